"""``recsys forget``: has a user forgotten, and proves it from the topics."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from cli.ledger import Ledger
    from schemas.kafka_settings import KafkaSettings
    from schemas.topics import Topic
    from storefront.following import TopicFollower
    from storefront.traces import Held, Traces

_POLL_MS = 200
_END_TIMEOUT_MS = 10_000
_OF_THE_USER = ("interactions", "outcomes")
"""Stages that take the request itself."""
_OF_ALL = ("item-neighbours", "item-factors", "trending")
"""Stages that take what those withdraw."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What there was of a user, and what there is."""

    user: str
    before: Mapping[str, int]
    """Values that stood, by topic."""
    held: Sequence[Held]
    behind: Sequence[str]
    """Stages that have not taken in time what they had to."""
    absent: Sequence[str]
    """Stages that never ran, and so know nobody."""

    @property
    def is_forgotten(self) -> bool:
        """True where nothing of the user stands, and every stage has taken what is withdrawn."""
        return not self.behind and not any(one.standing for one in self.held)


def forget(
    user: Annotated[str, typer.Argument(help="the user's id, or a guest's session")],
    verify: Annotated[
        bool, typer.Option("--verify", help="wait until it is done, and show what every topic holds")
    ] = False,
    wait: Annotated[float, typer.Option(min=1, help="seconds until which it has to be done")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="print what is found as JSON")] = False,
) -> None:
    """Forget a user: history, lists, outcomes, and what they added to what others are shown.

    With [bold]--verify[/bold] every topic is read before and after; what is left there makes the exit status 1.
    Outcomes that are too old for their stage to know are withdrawn too. Events stay for as long as their topics
    keep them; the table says until when.
    """
    from cli.publishing import note, opened_shop
    from producers.publications import UserForgotten

    request = UserForgotten(user)
    if verify:
        _report(prove(request, wait), as_json)
        return
    with opened_shop() as shop:
        shop.publish(request)
    note(f"asked the stages to forget {user}; see that they did with `recsys forget {user} --verify`")


def prove(request: Any, wait_seconds: float) -> Proof:
    """Publish a request, wait for the stages to take it and what follows from it, and read every topic again."""
    from cli.ledger import Ledger
    from cli.publishing import opened_shop
    from consumers.configuration import load
    from consumers.stages import STAGES
    from deploy.topics import topic_configs
    from schemas.topics import RECOMMENDATION_OUTCOMES, TOPICS
    from storefront.following import TopicFollower
    from storefront.traces import Traces

    settings = load().kafka
    specs = [STAGES[name].spec for name in (*_OF_THE_USER, *_OF_ALL)]
    traces = Traces(request.user_id)
    with (
        TopicFollower(settings, list(TOPICS.values())) as follower,
        closing(Ledger(settings, specs, [], settings.named)) as ledger,
        opened_shop() as shop,
    ):
        for records in follower.to_end():
            traces.take(records)
        before = {name: len(traces.standing(topic)) for name, topic in TOPICS.items()}
        shop.publish(request)
        shop.flush(wait_seconds)
        deadline = time.monotonic() + wait_seconds
        behind, absent = _taken(ledger, deadline)
        topics = [topic for topic in TOPICS.values() if topic.compacted]
        _read_on(follower, traces, [topic for topic in topics if topic is not RECOMMENDATION_OUTCOMES], deadline)
        if not behind:
            withdraw(settings, RECOMMENDATION_OUTCOMES.name, traces.standing(RECOMMENDATION_OUTCOMES))
            _read_on(follower, traces, topics, deadline)
    return Proof(request.user_id, before, traces.held(topic_configs(settings)), behind, absent)


def _taken(ledger: Ledger, deadline: float) -> tuple[list[str], list[str]]:
    """Wait for the stages that ever ran, first those that others follow; which are behind, and which never ran."""
    absent = [name for name in (*_OF_THE_USER, *_OF_ALL) if not ledger.has_run(name)]
    behind: list[str] = []
    for names in (_OF_THE_USER, _OF_ALL):
        behind += ledger.wait_until_taken([name for name in names if name not in absent], deadline)
    return behind, absent


def _read_on(follower: TopicFollower, traces: Traces, topics: Sequence[Topic], deadline: float) -> None:
    """Take what is on the topics by now, and go on until nothing of the user stands on these, or in time.

    Stages' offsets can be seen to be committed a moment before their outputs are.
    """
    while True:
        ends = follower.ends(_END_TIMEOUT_MS)
        while ends is not None and not follower.has_reached(ends) and time.monotonic() < deadline:
            traces.take(follower.poll(_POLL_MS))
        if not any(map(traces.standing, topics)) or time.monotonic() > deadline:
            return
        traces.take(follower.poll(_POLL_MS))


def withdraw(settings: KafkaSettings, topic: str, keys: Sequence[bytes]) -> None:
    """Write nulls for keys that the stage which wrote them no longer knows, and so will not write again."""
    from kafka import KafkaProducer

    if keys:
        with closing(KafkaProducer(**settings.client_options(), acks="all")) as producer:
            for sent in [producer.send(settings.named(topic), key=key, value=None) for key in keys]:
                sent.get(timeout=_END_TIMEOUT_MS / 1_000)


def _report(proof: Proof, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        sys.stdout.write(json.dumps(as_document(proof), ensure_ascii=False, indent=2) + "\n")
    else:
        Console().print(as_table(proof))
    notes = Console(stderr=True, soft_wrap=True, highlight=False)
    for text in remarks(proof):
        notes.print(text, markup=False)
    if not proof.is_forgotten:
        raise typer.Exit(1)


def as_document(proof: Proof) -> dict[str, Any]:
    """What was found, as JSON has it."""
    topics = [
        {
            "topic": one.topic.name,
            "cleanup": one.topic.cleanup,
            "before": proof.before[one.topic.name],
            "left": one.standing,
            "passing": one.passing,
            "until_ms": one.until_ms,
        }
        for one in proof.held
    ]
    return {
        "user": proof.user,
        "forgotten": proof.is_forgotten,
        "topics": topics,
        "stages_behind": list(proof.behind),
        "stages_absent": list(proof.absent),
    }


def as_table(proof: Proof) -> Table:
    """What was found, for a person."""
    from rich.table import Table

    table = Table("topic", "kept", box=None, pad_edge=False, title=proof.user, title_justify="left")
    for column in ("stood before", "left", "in the log", "gone by"):
        table.add_column(column, justify="right")
    for one in proof.held:
        compacted = one.topic.compacted
        counts = (str(proof.before[one.topic.name]), str(one.standing)) if compacted else ("", "")
        until = (
            ""
            if one.until_ms is None
            else f"{datetime.fromtimestamp(one.until_ms / 1_000, UTC):%Y-%m-%d %H:%M} UTC"
        )
        table.add_row(one.topic.name, one.topic.cleanup, *counts, str(one.passing), until)
    return table


def remarks(proof: Proof) -> list[str]:
    """What the table does not say."""
    said = [f"{name} has not taken it in time; is it running? `recsys run {name}`" for name in proof.behind]
    if proof.absent:
        said.append(f"never ran here, so they know nobody: {', '.join(proof.absent)}")
    if not proof.held:
        said.append(f"no topic holds anything of {proof.user}")
    if proof.is_forgotten:
        said.append(f"{proof.user} is forgotten; what is still in the log goes with compaction and retention")
    else:
        said.append(f"{proof.user} is not forgotten yet")
    return said
