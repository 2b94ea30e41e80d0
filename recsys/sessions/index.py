"""Which items each session visited, and which sessions each item was visited in, as the sessions go on.

The state is a function of the sessions as they are now: neither the order in which sessions came, nor what they
were before, nor sessions that were forgotten, leave a trace. A session of a known user is all that is kept of the
user; one of a guest joins the user's when they log in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from recsys.sessions.exchanging import (
    ItemRows,
    Numbers,
    Seconds,
    VisitRows,
    differences,
    insert_visits,
    remove_visits,
    visit_places,
)
from recsys.sessions.ragged_rows import Integers, RaggedRows
from recsys.sessions.subjects import SubjectNumbers

Strengths = NDArray[np.float16]

_LATEST_S = (1 << 32) - 1
_NARROW_ITEMS = 1 << 16
"""Items whose numbers take two bytes; where there are more, each visit takes two more."""
_STEPS = 64
"""Steps in which the retention moves on: between them nothing expires."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How much is kept: by time before the latest visit of all, sessions, and items of one session."""

    retention_ms: int = 365 * 86_400_000
    max_sessions: int = 200_000
    """Where there are more, the eighth that is longest without a visit goes."""
    max_items: int = 200
    """Items of a session at most, those visited latest."""


class Sessions(NamedTuple):
    """Sessions as they are now, one after the other: each of its items once, with the time of the latest visit."""

    subjects: Sequence[str]
    counts: Integers
    """Items by session; a session without items is forgotten."""
    items: Numbers
    times_ms: Integers
    strengths: NDArray[np.float32]
    """What the visits to an item amount to; for what learns from it, which keeps three digits."""


class Changes(NamedTuple):
    """What a batch changed: numbers of sessions and items whose visits are others than before, each once."""

    sessions: Integers
    items: Integers


class SessionIndex:
    """Sessions by item and items by session.

    A visit is known by its item, the second of its time and, where they are ``weighed``, its strength; a session
    by a hash of its subject. Sessions of an item are in order of the visits, at equal times by that hash. Memory:
    about 11 bytes a visit (2 more where weighed, 2 more with 65,536 items), 32 a session and 20 an item.
    """

    def __init__(self, rules: SessionRules | None = None, *, weighed: bool = False) -> None:
        self._rules = rules or SessionRules()
        columns: list[npt.DTypeLike] = [np.uint16, np.uint32]
        self.visits = RaggedRows(*columns, *([np.float16] if weighed else []), room=0)
        self._weighed = weighed
        self.sessions_of = RaggedRows(np.int32, room=8)
        self._subjects = SubjectNumbers()
        self.latest_s: Seconds = np.zeros(0, np.uint32)
        """When each session's latest visit was; of a number that is free it means nothing."""
        self._table: Numbers = np.zeros(0, np.int32)
        self.newest_ms = 0
        """Time of the latest visit of all."""
        self._cutoff_s = 0

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._subjects)

    @property
    def numbers(self) -> int:
        """More than every number that a session has."""
        return self._subjects.used

    @property
    def items(self) -> int:
        """More than every number of an item that was visited."""
        return len(self.sessions_of)

    @property
    def nbytes(self) -> int:
        """Bytes that all of it takes."""
        rows = self.visits.nbytes + self.sessions_of.nbytes
        return rows + self._subjects.nbytes + self.latest_s.nbytes + self._table.nbytes

    def find(self, subjects: Sequence[str]) -> Integers:
        """The sessions' numbers, -1 for one that there is not."""
        return self._subjects.find(subjects)

    def used(self) -> Integers:
        """The numbers of all sessions."""
        return np.flatnonzero(self.visits.lengths)

    def names(self, numbers: Integers) -> list[int]:
        """``subject_hash`` of whose sessions have these numbers, for the subjects themselves are not kept."""
        return self._subjects.hashes[numbers].tolist()  # type: ignore[no-any-return]

    def popularity(self, items: Integers) -> Integers:
        """How many sessions these items were visited in; an item may be one that there is not yet."""
        known = items < self.items
        return np.where(known, self.sessions_of.lengths[np.where(known, items, 0)], 0) if self.items else items * 0

    @property
    def visit_rows(self) -> VisitRows:
        """The sessions' rows, for compiled code to read."""
        rows = self.visits
        return VisitRows(rows.starts, rows.lengths, rows.columns[0], rows.columns[1], self._subjects.hashes)

    @property
    def item_rows(self) -> ItemRows:
        """The items' rows, for compiled code to read."""
        rows = self.sessions_of
        return ItemRows(rows.starts, rows.lengths, rows.columns[0])

    def session(self, subject: str) -> dict[int, int]:
        """A session's items, each with the time of its latest visit in seconds; empty where there is none."""
        number = int(self.find([subject])[0])
        if number < 0:
            return {}
        items, times_s = self.visits.row(number)[:2]
        return dict(zip(items.tolist(), times_s.tolist(), strict=True))

    def visited(self, numbers: Integers) -> tuple[Integers, Numbers, Strengths]:
        """By session the items, one session after the other, and what the visits amount to; of a weighed index."""
        places, counts = self.visits.places(numbers)
        items, _, strengths = (column[places] for column in self.visits.columns)
        return counts, items.astype(np.int32), strengths

    def visitors(self, items: Integers, last: int) -> tuple[Integers, Numbers, Strengths]:
        """By item the sessions, ``last`` at most, and what the visits amount to; of a weighed index."""
        places, counts = self.sessions_of.places(items, last)
        sessions = self.sessions_of.columns[0][places]
        return (
            counts,
            sessions,
            self.visits.columns[2][visit_places(self.visit_rows, sessions, np.repeat(items, counts))],
        )

    def put(self, sessions: Sessions) -> Changes:
        """Take sessions as they are now, each subject once; returns what changed."""
        counts, items, times_s, strengths = self._bounded(sessions)
        numbers = self._assign(sessions.subjects)
        if len(items):
            self.reserve_items(int(items.max()) + 1)
        self.latest_s[numbers] = 0
        np.maximum.at(self.latest_s, np.repeat(numbers, counts), times_s)
        changes = self._exchange(numbers, counts, (items, times_s, strengths))
        self._subjects.release(numbers[counts == 0])
        return self._retain(changes)

    def forget(self, subject: str) -> Changes:
        """Drop a session; the rest is as if it had never been there."""
        return self.put(no_visits([subject]))

    def join(self, guest: str, user: str) -> Changes:
        """Make a guest's session part of the user's, who logged in."""
        parts = [int(number) for number in self.find([guest, user])]
        if guest == user or parts[0] < 0:
            return self.put(no_visits([]))
        rows = [self.visits.row(number) for number in parts if number >= 0]
        items, times_s, *rest = (np.concatenate(column) for column in zip(*rows, strict=True))
        strengths = rest[0].astype(np.float32) if rest else np.ones(len(items), np.float32)
        order = np.lexsort((times_s, items))
        last = np.append(items[order][1:] != items[order][:-1], True)
        together = np.add.reduceat(strengths[order], np.flatnonzero(np.append(True, last[:-1])))
        latest = order[last]
        times_ms = times_s[latest].astype(np.int64) * 1_000
        counts = np.array([0, len(latest)])
        return self.put(Sessions([guest, user], counts, items[latest].astype(np.int32), times_ms, together))

    def reserve_items(self, items: int) -> None:
        """Have room for so many items."""
        self.sessions_of.reserve(items)
        if self.items > len(self._table):
            self._table = np.zeros(self.items, np.int32)
        if items > _NARROW_ITEMS and self.visits.columns[0].dtype == np.uint16:
            self.visits.widen(0, np.int32)

    def _bounded(self, sessions: Sessions) -> tuple[Integers, Numbers, Seconds, Strengths]:
        """Visits by session, items, times and strengths, without what is beyond the bounds.

        That is the oldest items of a long session, and sessions that are too old.
        """
        counts, limit = sessions.counts, self._rules.max_items
        times_s = np.clip(sessions.times_ms // 1_000, 0, _LATEST_S)
        owners = np.repeat(np.arange(len(counts)), counts)
        newest = np.zeros(len(counts), np.int64)
        np.maximum.at(newest, owners, times_s)
        kept = newest[owners] >= self._cutoff_s
        if len(counts) and counts.max() > limit:
            order = np.lexsort((sessions.items, -sessions.times_ms, owners))
            rank = np.empty(len(owners), np.int64)
            rank[order] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
            kept &= rank < limit
        self.newest_ms = max(self.newest_ms, int(sessions.times_ms.max(initial=0)))
        if not kept.all():
            counts = np.bincount(owners[kept], minlength=len(counts))
        strengths = sessions.strengths[kept].astype(np.float16)
        return counts, sessions.items[kept], times_s[kept].astype(np.uint32), strengths

    def _assign(self, subjects: Sequence[str]) -> Integers:
        numbers = self._subjects.assign(subjects)
        self.visits.reserve(self._subjects.used)
        missing = len(self.visits) - len(self.latest_s)
        if missing:
            self.latest_s = np.concatenate([self.latest_s, np.zeros(missing, np.uint32)])
        return numbers

    def _exchange(self, numbers: Integers, counts: Integers, new: tuple[Numbers, Seconds, Strengths]) -> Changes:
        """Bring the sessions' visits, and the items' sessions, from what they are to what they are now."""
        places, before = self.visits.places(numbers)
        old = [column[places] for column in self.visits.columns]
        items = old[0].astype(np.int32), new[0]
        columns = new if self._weighed else new[:2]
        codes = _codes(*old[1:]), _codes(*columns[1:])
        gone, came = differences((before, counts), items, codes, self._table)
        sessions = np.repeat(numbers, before)[gone], np.repeat(numbers, counts)[came]
        remove_visits(self.visit_rows, self.item_rows, sessions[0], items[0][gone])
        self.visits.put(numbers, counts, *columns)
        each, more = np.unique(items[1][came].astype(np.int64), return_counts=True)
        self.sessions_of.make_room(each, self.sessions_of.lengths[each] + more)
        insert_visits(self.visit_rows, self.item_rows, sessions[1], items[1][came])
        return Changes(np.unique(np.concatenate(sessions)), np.union1d(items[0][gone].astype(np.int64), each))

    def _retain(self, changes: Changes) -> Changes:
        """Drop what is too old by now, and what is too much."""
        retention_s = -(-self._rules.retention_ms // 1_000)
        step = max(1, retention_s // _STEPS)
        cutoff = max(0, self.newest_ms // 1_000 - retention_s) // step * step
        if cutoff > self._cutoff_s:
            self._cutoff_s = cutoff
            used = self.used()
            changes = self._drop(used[self.latest_s[used] < cutoff], changes)
        if len(self) > self._rules.max_sessions:
            used = self.used()
            excess = len(self) - self._rules.max_sessions + self._rules.max_sessions // 8
            ages = self.latest_s[used].astype(np.uint64) << np.uint64(32)
            ages |= self._subjects.hashes[used] >> np.uint64(32)
            changes = self._drop(used[np.argpartition(ages, excess - 1)[:excess]], changes)
        return changes

    def _drop(self, numbers: Integers, changes: Changes) -> Changes:
        """Drop many sessions at once."""
        if not len(numbers):
            return changes
        items = np.unique(self.visits.columns[0][self.visits.places(numbers)[0]]).astype(np.int64)
        dropped = np.zeros(self.numbers, bool)
        dropped[numbers] = True
        rows = self.sessions_of
        rows.keep(items, ~dropped[rows.columns[0][rows.places(items)[0]]])
        self.visits.put(numbers, np.zeros(len(numbers), np.int64), *(column[:0] for column in self.visits.columns))
        self._subjects.release(numbers)
        return Changes(np.union1d(changes.sessions, numbers), np.union1d(changes.items, items))


def _codes(times_s: Seconds, strengths: Strengths | None = None) -> Integers:
    """What tells two visits of a session to an item apart, as one number each."""
    codes = times_s.astype(np.int64) << 16
    return codes if strengths is None else codes | strengths.view(np.uint16)


def no_visits(subjects: Sequence[str]) -> Sessions:
    """Sessions of which nothing is left."""
    none = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32)
    return Sessions(subjects, np.zeros(len(subjects), np.int64), *none)
