"""``recsys weights``: what each scorer counts in for-you lists, as learnt so far."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from consumers.interactions.settings import InteractionSettings
    from consumers.runtime.records import Record
    from recsys.scoring.weights import GroupReport


def weights(as_json: Annotated[bool, typer.Option("--json", help="print the weights as JSON")] = False) -> None:
    """Print the weights of the blend by what is known of shoppers and by segment, and what they rest on.

    They begin as [bold]interactions.blend[/bold] says, and follow as [bold]interactions.learning[/bold] says.
    """
    from rich.console import Console

    from consumers.configuration import load
    from schemas.topics import BLEND_STATE
    from storefront.following import TopicFollower

    configuration = load()
    with TopicFollower(configuration.kafka, [BLEND_STATE]) as follower:
        reports = reports_of(configuration.interactions, (record for some in follower.to_end() for record in some))
    if as_json:
        sys.stdout.write(
            json.dumps([report_json(report) for report in reports], ensure_ascii=False, indent=2) + "\n"
        )
    else:
        Console().print(report_table(reports))


def reports_of(settings: InteractionSettings, records: Iterable[Record]) -> list[GroupReport]:
    """The weights of all groups, from the records of blend-state."""
    from recsys.scoring.weights import OnlineWeights
    from schemas.codec import decode
    from schemas.events import BlendState

    configured = {name: weight for name, weight in settings.blend.model_dump().items() if weight > 0}
    learnt = OnlineWeights(configured, settings.learning.rules())
    for record in records:
        if record.value is not None:
            state = decode(record.topic, record.value)
            assert isinstance(state, BlendState)
            learnt.follow(state)
    return learnt.report()


def report_json(report: GroupReport) -> dict[str, Any]:
    """One group for programs."""
    return {
        "knowledge": report.group.knowledge,
        "segment": report.group.segment,
        "events": report.events,
        "weights": report.weights,
        "credits": report.credits,
    }


def report_table(reports: Iterable[GroupReport]) -> Table:
    """All groups for people: each scorer's weight, and its part in what was foreseen."""
    from rich.table import Table
    from rich.text import Text

    from storefront.wording import printable

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("known", "segment", "events", "scorer", "weight", "part"):
        table.add_column(heading, justify="right" if heading in ("events", "weight", "part") else "left")
    for report in reports:
        first = (report.group.knowledge, printable(report.group.segment), f"{report.events:.0f}")
        for name, weight in report.weights.items():
            part = f"{report.credits[name]:.1%}" if report.events else ""
            table.add_row(*map(Text, (*first, name, f"{weight:.3f}", part)))
            first = ("", "", "")
    return table
