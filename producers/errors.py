"""What can go wrong while a shop publishes, in the project's exception tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.errors import ConfigurationError, RecsysError

if TYPE_CHECKING:
    from producers.publications import Publication


class UnreadableSourceError(ConfigurationError):
    """A catalogue or clickstream cannot be read at all; the message names the file and what it lacks."""


class ClientClosedError(RecsysError):
    """Something was published with a client that is closed; open another one."""


class BufferFullError(RecsysError):
    """Kafka takes events more slowly than they are published, and the buffer has been full for too long."""

    retriable = True


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """One event that Kafka did not acknowledge, and why."""

    publication: Publication
    reason: str


class DeliveryError(RecsysError):
    """Events were not acknowledged; publish them again with the same event_id, which counts each once.

    ``count`` is how many; ``failures`` holds the first of them (a bounded number).
    """

    retriable = True

    def __init__(self, count: int, failures: Sequence[DeliveryFailure]) -> None:
        self.count = count
        self.failures = tuple(failures)
        reasons = list(dict.fromkeys(failure.reason for failure in failures))
        shown = "; ".join(reasons[:3]) + ("; …" if len(reasons) > 3 else "")
        super().__init__(
            f"{count} event{'s were' if count != 1 else ' was'} not acknowledged by Kafka ({shown}); "
            "publish what .failures holds again, with the same event_id"
        )
