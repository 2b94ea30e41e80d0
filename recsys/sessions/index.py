"""Which items each session visited, and which sessions each item was visited in, as the sessions go on.

The state is a function of the sessions as they are now: neither the order in which sessions came, nor what they
were before, nor sessions that were forgotten, leave a trace. A session of a known user is all that is kept of the
user; one of a guest joins the user's when they log in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.sessions.ragged_rows import Integers, RaggedRows

Numbers = NDArray[np.int32]

_HASH_BITS = 22
_HASHES = 1 << _HASH_BITS
_LATEST_MS = (1 << 63 - _HASH_BITS) - 1
_NEVER = -1
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
    """What the visits to an item amount to; for what learns from it."""


class Changes(NamedTuple):
    """What a batch changed: numbers of sessions and items whose visits are others than before, each once."""

    sessions: Integers
    items: Integers


class _Visits(NamedTuple):
    """Visits of sessions, by number, to items."""

    owners: Integers
    items: Integers
    keys: Integers
    strengths: NDArray[np.float32]

    def where(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> _Visits:
        """Those that are marked, or at these places in this order."""
        return _Visits(self.owners[which], self.items[which], self.keys[which], self.strengths[which])


class SessionIndex:
    """Sessions by item and items by session.

    ``visits`` are rows by session number of (item, key, strength), ``sessions_of`` rows by item of (key, session
    number, strength), the latest last. A key orders visits by time, at equal times by a hash of the session.
    Memory: about 30 bytes a visit, and 250 a session.
    """

    def __init__(self, rules: SessionRules | None = None) -> None:
        self._rules = rules or SessionRules()
        self.visits = RaggedRows(np.int32, np.int64, np.float32)
        self.sessions_of = RaggedRows(np.int64, np.int32, np.float32)
        self.latest: Integers = np.full(0, _NEVER, np.int64)
        """The key of each session's latest visit; -1 for a number that is free."""
        self._hashes: Integers = np.zeros(0, np.int64)
        self._numbers: dict[str, int] = {}
        self._subjects: list[str] = []
        self._free: list[int] = []
        self.newest_ms = 0
        """Time of the latest visit of all."""
        self._cutoff_ms = 0

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._numbers)

    @property
    def numbers(self) -> int:
        """More than every number that a session has."""
        return len(self._subjects)

    def used(self) -> Integers:
        """The numbers that sessions have."""
        return np.flatnonzero(self.latest >= 0)

    def number(self, subject: str) -> int | None:
        """A session's number; None for one that there is not."""
        return self._numbers.get(subject)

    def subject(self, number: int) -> str:
        """Whose session has this number."""
        return self._subjects[number]

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return self.visits.nbytes + self.sessions_of.nbytes + self.latest.nbytes + self._hashes.nbytes

    def session(self, subject: str) -> dict[int, int]:
        """A session's items, each with the time of its latest visit in ms; empty where there is none."""
        number = self._numbers.get(subject)
        if number is None:
            return {}
        items, keys, _ = self.visits.row(number)
        return dict(zip(items.tolist(), (keys >> _HASH_BITS).tolist(), strict=True))

    def put(self, sessions: Sessions) -> Changes:
        """Take sessions as they are now, each subject once; returns what changed."""
        sessions = self._bounded(sessions)
        numbers = self._assign(sessions.subjects)
        if len(sessions.items):
            self._reserve_items(int(sessions.items.max()) + 1)
        owners = np.repeat(numbers, sessions.counts)
        keys = np.minimum(sessions.times_ms, _LATEST_MS) << _HASH_BITS | self._hashes[owners]
        visits = _Visits(owners, sessions.items.astype(np.int64), keys, sessions.strengths)
        changes = self._exchange(numbers, visits)
        self.visits.put(numbers, sessions.counts, sessions.items, keys, sessions.strengths)
        self.latest[numbers] = _NEVER
        np.maximum.at(self.latest, owners, keys)
        self._release(numbers[sessions.counts == 0])
        return self._retain(changes)

    def forget(self, subject: str) -> Changes:
        """Drop a session; the rest is as if it had never been there."""
        return self.put(no_visits([subject]))

    def join(self, guest: str, user: str) -> Changes:
        """Make a guest's session part of the user's, who logged in."""
        parts = [self._numbers[subject] for subject in (guest, user) if subject in self._numbers]
        if guest == user or guest not in self._numbers:
            return self.put(no_visits([]))
        rows = [self.visits.row(number) for number in parts]
        items, keys, strengths = (np.concatenate(column) for column in zip(*rows, strict=True))
        order = np.lexsort((keys, items))
        last = np.append(items[order][1:] != items[order][:-1], True)
        together = np.add.reduceat(strengths[order], np.flatnonzero(np.append(True, last[:-1])))
        latest = order[last]
        counts = np.array([0, len(latest)])
        times = keys[latest] >> _HASH_BITS
        return self.put(Sessions([guest, user], counts, items[latest], times, together.astype(np.float32)))

    def _bounded(self, sessions: Sessions) -> Sessions:
        """Without what is beyond the bounds: the oldest items of a long session, and sessions that are too old."""
        counts, limit = sessions.counts, self._rules.max_items
        owners = np.repeat(np.arange(len(counts)), counts)
        newest = np.zeros(len(counts), np.int64)
        np.maximum.at(newest, owners, sessions.times_ms)
        kept = newest[owners] >= self._cutoff_ms
        if len(counts) and counts.max() > limit:
            order = np.lexsort((sessions.items, -sessions.times_ms, owners))
            rank = np.empty(len(owners), np.int64)
            rank[order] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
            kept &= rank < limit
        self.newest_ms = max(self.newest_ms, int(newest.max(initial=0)))
        if kept.all():
            return sessions
        counts = np.bincount(owners[kept], minlength=len(counts))
        items, times_ms, strengths = sessions.items[kept], sessions.times_ms[kept], sessions.strengths[kept]
        return Sessions(sessions.subjects, counts, items, times_ms, strengths)

    def _assign(self, subjects: Sequence[str]) -> Integers:
        known = self._numbers
        for subject in subjects:
            if subject not in known:
                number = self._free.pop() if self._free else len(self._subjects)
                if number == len(self._subjects):
                    self._subjects.append(subject)
                    self._reserve_sessions(number + 1)
                self._subjects[number] = subject
                self._hashes[number] = _hash(subject)
                known[subject] = number
        return np.fromiter((known[subject] for subject in subjects), np.int64, len(subjects))

    def _release(self, numbers: Integers) -> None:
        for number in numbers.tolist():
            del self._numbers[self._subjects[number]]
            self._subjects[number] = ""
            self._free.append(number)

    def _reserve_sessions(self, sessions: int) -> None:
        if sessions > len(self.latest):
            self.visits.reserve(sessions)
            missing = len(self.visits) - len(self.latest)
            self.latest = np.concatenate([self.latest, np.full(missing, _NEVER, np.int64)])
            self._hashes = np.concatenate([self._hashes, np.zeros(missing, np.int64)])

    def _reserve_items(self, items: int) -> None:
        self.sessions_of.reserve(items)

    def _exchange(self, numbers: Integers, new: _Visits) -> Changes:
        """Bring the items' sessions from what is kept of these sessions to what they are now."""
        places, counts = self.visits.places(numbers)
        items, keys, strengths = (column[places] for column in self.visits.columns)
        gone, came = _difference(_Visits(np.repeat(numbers, counts), items.astype(np.int64), keys, strengths), new)
        self._remove(gone)
        self._add(came)
        sessions, items = (np.unique(np.concatenate(pair)) for pair in zip(gone[:2], came[:2], strict=True))
        return Changes(sessions, items)

    def _remove(self, gone: _Visits) -> None:
        rows = self.sessions_of
        for owner, item, key in zip(*(column.tolist() for column in gone[:3]), strict=True):
            found, owners, _ = rows.row(item)
            place = int(np.searchsorted(found, key))
            while owners[place] != owner:  # another of the same time and hash
                place += 1
            rows.remove(item, place)

    def _add(self, came: _Visits) -> None:
        rows = self.sessions_of
        came = came.where(np.lexsort((came.keys, came.items)))
        firsts = np.flatnonzero(np.append(True, came.items[1:] != came.items[:-1])[: len(came.items)])
        each, counts = came.items[firsts], np.diff(np.append(firsts, len(came.items)))
        last, present = rows.places(each, last=1)
        ends = np.full(len(each), _NEVER, np.int64)
        ends[present > 0] = rows.columns[0][last]
        appended = came.keys[firsts] >= ends
        in_order = np.repeat(appended, counts)
        some = came.where(in_order)
        rows.extend(each[appended], counts[appended], some.keys, some.owners, some.strengths)
        late = came.where(~in_order)
        for owner, item, key, strength in zip(*(column.tolist() for column in late), strict=True):
            rows.insert(item, int(np.searchsorted(rows.row(item)[0], key)), (key, owner, strength))

    def _retain(self, changes: Changes) -> Changes:
        """Drop what is too old by now, and what is too much."""
        step = max(1, self._rules.retention_ms // _STEPS)
        cutoff = max(0, self.newest_ms - self._rules.retention_ms) // step * step
        if cutoff > self._cutoff_ms:
            self._cutoff_ms = cutoff
            expired = (self.latest >= 0) & (self.latest < cutoff << _HASH_BITS)
            changes = self._drop(np.flatnonzero(expired), changes)
        if len(self) > self._rules.max_sessions:
            used = self.used()
            excess = len(self) - self._rules.max_sessions + self._rules.max_sessions // 8
            oldest = np.argpartition(self.latest[used], excess - 1)[:excess]
            changes = self._drop(used[oldest], changes)
        return changes

    def _drop(self, numbers: Integers, changes: Changes) -> Changes:
        """Drop many sessions at once."""
        if not len(numbers):
            return changes
        items = np.unique(self.visits.columns[0][self.visits.places(numbers)[0]]).astype(np.int64)
        dropped = np.zeros(len(self.latest), bool)
        dropped[numbers] = True
        rows = self.sessions_of
        rows.keep(items, ~dropped[rows.columns[1][rows.places(items)[0]]])
        self.visits.put(numbers, np.zeros(len(numbers), np.int64), *(column[:0] for column in self.visits.columns))
        self.latest[numbers] = _NEVER
        self._release(numbers)
        return Changes(np.union1d(changes.sessions, numbers), np.union1d(changes.items, items))


def _difference(old: _Visits, new: _Visits) -> tuple[_Visits, _Visits]:
    """What is only in the one, and what is only in the other."""
    both = zip(old, new, strict=True)
    owners, items, keys, strengths = (np.concatenate([column, other]) for column, other in both)
    codes = owners << 32 | items
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    for column in (keys, strengths):
        same &= column[order][1:] == column[order][:-1]
    single = np.ones(len(order), bool)
    single[order[1:][same]] = False
    single[order[:-1][same]] = False
    border = len(old.owners)
    return old.where(single[:border]), new.where(single[border:])


def _hash(subject: str) -> int:
    digest = blake2b(subject.encode(errors="surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little") % _HASHES


def no_visits(subjects: Sequence[str]) -> Sessions:
    """Sessions of which nothing is left."""
    none = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32)
    return Sessions(subjects, np.zeros(len(subjects), np.int64), *none)
