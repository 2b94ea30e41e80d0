"""A join of the group that outlasts one poll, which kafka-python 3.0 forgets.

Where the answer comes between two polls the client drops it and joins again, so that everybody else has to join
again too: members that are busy between their polls keep a group dealing for ever. And a join that is due to new
metadata is not waited for by the next poll at all.
"""

from __future__ import annotations

from typing import Any


class PatientJoin:
    """Hands the answer of a join that ended between two polls to the next poll.

    All that this touches is the client's own affair, which it gives no public way to.
    """

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator
        self._join = coordinator._do_join_and_sync_async  # noqa: SLF001
        self._answer: tuple[Any, bytes] | None = None
        coordinator._do_join_and_sync_async = self._answered_join  # noqa: SLF001

    def insist(self) -> None:
        """Before a poll: keep wanting the join that is under way."""
        if self._coordinator._join_task is not None:  # noqa: SLF001
            self._coordinator.rejoin_needed = True

    def taken(self) -> None:
        """The answer has been applied; the next join is a new one."""
        self._answer = None

    async def _answered_join(self) -> bytes:
        answer, self._answer = self._answer, None
        if answer is None or answer[0] is not self._coordinator._generation:  # noqa: SLF001
            assignment: bytes = await self._join()
            answer = self._coordinator._generation, assignment  # noqa: SLF001
        self._answer = answer
        return answer[1]
