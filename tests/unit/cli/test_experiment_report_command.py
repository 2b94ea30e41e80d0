from __future__ import annotations

import json
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from consumers.experiments import Experiment
from consumers.runtime.records import Record
from recsys.evaluation.experiments import ExperimentReport, ExperimentTally
from schemas.codec import encode, topic_of
from schemas.errors import ConfigurationError
from schemas.events import Event, Impression, RecommendationOutcome
from schemas.keys import key_of
from storefront.experiments.reading import take

command: Any = import_module("cli.experiment")

EXPERIMENT = Experiment.model_validate(
    {"name": "test", "variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]}
)
SHOWN = ("similar.1.a", "home", "similar", 1)


def record(event: Event) -> Record:
    return Record(topic_of(event).name, 0, 0, 0, key_of(event).encode(), encode(event), ())


def report(of_a: int, of_b: int, since_ms: int = 0) -> ExperimentReport:
    """Every tenth shopper clicks, in b every fifth."""
    tally = ExperimentTally(EXPERIMENT.name, EXPERIMENT.shares(), EXPERIMENT.control_name)
    for variant, count, step in (("test:a", of_a, 10), ("test:b", of_b, 5)):
        for number in range(count):
            subject = f"{variant}{number}"
            take(tally, [record(Impression(f"i{subject}", 5, subject, None, "p", *SHOWN, variant))], since_ms)
            if number % step == 0:
                where = ("similar.1.a", "similar", "home", variant, 1, "p", 0.0, 0.0, 6, 6)
                take(tally, [record(RecommendationOutcome(f"c{subject}", subject, "click", 1, *where))], since_ms)
    broken = Record("impression", 0, 0, 0, b"u", b"\xc3\x01not a message", ())
    gone = Record("recommendation-outcomes", 0, 0, 0, b"ctest:b0", None, ())
    take(tally, [broken, gone])
    return tally.report()


def printed(*what: Any) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(*what)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_report_reads_as_tables_and_as_json() -> None:
    found = report(1_000, 1_000)
    text = printed(command.figures(found), command.lifts(found))
    assert "a (control)" in text
    assert "+99.0%" in text
    document = json.loads(json.dumps(command.as_document(found)))
    b = document["variants"][1]
    assert (b["variant"], b["shoppers"], b["clicks"]) == ("b", 1_000, 199)
    click_rate = b["metrics"]["click_rate"]
    assert click_rate["lift_low"] < 0.99 < click_rate["lift_high"]
    assert document["sample_ratio_mismatch"] is False
    assert command.remarks(found) == []


def test_what_makes_figures_worthless_is_said() -> None:
    (said,) = command.remarks(report(1_000, 800))
    assert "sample-ratio mismatch" in said
    (nothing,) = command.remarks(report(1_000, 1_000, since_ms=100))
    assert nothing == "no impression of the experiment has come yet"
    assert "–" in printed(command.lifts(report(0, 0)))


def test_an_experiment_that_is_not_there_is_named_with_those_that_are() -> None:
    assert command.find([EXPERIMENT], "test") is EXPERIMENT
    with pytest.raises(ConfigurationError, match="no experiment other in the configuration; there is test"):
        command.find([EXPERIMENT], "other")
