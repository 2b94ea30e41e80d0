"""Whatever fails, and whenever: the final tables are those of an undisturbed run, and each event counts once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from last_seen import POISON, LastSeen, LastSeenByOne

from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.stage import Stage
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode
from schemas.events import PdpView

USERS = ("anna", "ben", "cleo", "dan")
IMPATIENT = WorkerSettings(backoff_base_seconds=0.0, max_batch_records=3, max_consecutive_aborts=1_000)

STEPS = st.one_of(
    st.tuples(st.just("view"), st.sampled_from(USERS), st.sampled_from(("p0", "p1", "p2", POISON))),
    st.tuples(st.just("fail"), st.sampled_from(("before", "after")), st.just("")),
    st.tuples(st.sampled_from(("start", "kill", "stop", "round", "retire")), st.just(""), st.just("")),
)


class Group:
    """Members of one group on one log, driven step by step."""

    def __init__(self, stage: type[Stage]) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self._stage = stage
        self._members: list[tuple[Worker, MemoryTransport]] = []
        self._views = 0
        self.start()

    def start(self) -> None:
        spec = self._stage.spec
        transport = MemoryTransport(
            self.log, spec.name, ["pdp-view"], ["product-created"], sole_owner=spec.sole_owner
        )
        worker = Worker(self._stage(), transport, settings=IMPATIENT)
        self._members.append((worker, transport))

    def view(self, user: str, product: str) -> None:
        self._views += 1
        event = PdpView(f"e{self._views}", 1_000, user, None, product)
        self.log.append("pdp-view", user.encode(), encode(event))

    def retire(self) -> None:
        self.log.append("product-created", b"p0", None)

    def round(self) -> None:
        for worker, _ in self._members:
            worker.run_once(timeout_ms=0)

    def kill(self) -> None:
        if self._members:
            self._members.pop(0)[1].kill()

    def stop(self) -> None:
        if self._members:
            worker, _ = self._members.pop(0)
            worker.stop()
            worker.run()

    def until_quiet(self) -> None:
        if not self._members:
            self.start()
        for _ in range(200):
            self.round()
            if all(worker.idle and worker.ready for worker, _ in self._members):
                return
        raise AssertionError("the group does not come to rest")

    def tables(self) -> dict[str, Any]:
        lists = self.log.table("recommendation-updated")
        listed = {k: [i.product_id for i in decode("recommendation-updated", v).items] for k, v in lists.items()}
        states = self.log.table("interaction-state")
        viewed = {k: decode("interaction-state", v).product_ids for k, v in states.items()}
        refused = sorted(r.value for r in self.log.records("dead-letter") if r.value is not None)
        return {"lists": listed, "states": viewed, "refused": refused}


def play(stage: type[Stage], steps: Sequence[tuple[str, str, str]], *, disturbed: bool) -> Group:
    group = Group(stage)
    for name, first, second in steps:
        if name == "view":
            group.view(first, second)
        elif name == "retire":
            group.retire()
        elif disturbed and name == "fail":
            group.log.fail_next_commit(first)  # type: ignore[arg-type]
        elif disturbed and name in ("start", "kill", "stop", "round"):
            getattr(group, name)()
    group.until_quiet()
    return group


@given(st.sampled_from((LastSeen, LastSeenByOne)), st.lists(STEPS, max_size=40))
def test_disturbances_leave_no_trace(stage: type[Stage], steps: Sequence[tuple[str, str, str]]) -> None:
    undisturbed = play(stage, steps, disturbed=False)
    assert play(stage, steps, disturbed=True).tables() == undisturbed.tables()
