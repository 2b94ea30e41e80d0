"""The file of rules, read anew when it changes, and kept as it was where the new one is wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from storefront.errors import RulesError
from storefront.rules.model import RuleSet, parse_rules

_log = logging.getLogger(__name__)

MAX_RULES_BYTES = 1_000_000
_CHECK_SECONDS = 1.0


def read_rules(path: Path) -> RuleSet:
    """The rules of a file; raises ``RulesError`` that names the file and what is wrong."""
    try:
        data = path.read_bytes()
        if len(data) > MAX_RULES_BYTES:
            raise RulesError(f"it has more than {MAX_RULES_BYTES} bytes")
        return parse_rules(data.decode())
    except (OSError, UnicodeDecodeError, RulesError) as error:
        raise RulesError(f"rules in {path}: {error}") from error


class RulesFile:
    """Rules as they are now; the file is looked at once a second at most, when they are asked for.

    Raises ``RulesError`` where the file is wrong at the start. Later a file that is wrong is logged, and
    ``problem`` says what is wrong with it, while the rules before it go on.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = clock()
        self._stamp = None if path is None else _stamp(path)
        self._rules = RuleSet() if path is None else read_rules(path)
        self.problem: str | None = None

    def current(self) -> RuleSet:
        """The rules of the last file that was in order."""
        if self._path is not None and self._clock() - self._looked_at >= _CHECK_SECONDS:
            self._looked_at = self._clock()
            self._look(self._path)
        return self._rules

    def _look(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._rules = read_rules(path)
        except RulesError as error:
            self.problem = str(error)
            _log.error("the rules stay as they were: %s", error)
        else:
            self.problem = None
            _log.warning("took %d rules from %s", len(self._rules.rule) + len(self._rules.never_together), path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
