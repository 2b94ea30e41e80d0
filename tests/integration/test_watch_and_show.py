from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import typer
from kafka import KafkaProducer
from typer.testing import CliRunner

from cli.absence import NoListError
from cli.watch import show, watch
from producers.client import ShopEvents
from producers.publications import ProductRetired
from schemas.codec import encode
from schemas.events import ListedProduct, ProductCreated, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import RECOMMENDATION_UPDATED
from storefront.errors import MissingTopicError
from storefront.following import TopicFollower
from storefront.lists import ListTable

app = typer.Typer()
app.command()(show)
app.command()(watch)


def a_list(subject: str, products: str, revision: int = 1, kind: str = "similar") -> RecommendationUpdated:
    items = [ListedProduct(p, 0.5, "looks-like", subject) for p in products.split()]
    return RecommendationUpdated(kind, subject, revision, items, 0, "pdp-view/e1", time.time_ns() // 1_000_000)


class Stage:
    """Publishes lists as a stage does: in transactions."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic = settings.named(RECOMMENDATION_UPDATED)
        self._producer = KafkaProducer(
            **settings.client_options(), transactional_id=settings.named("test"), retry_backoff_ms=5
        )
        self._producer.init_transactions()

    def publish(self, *lists: RecommendationUpdated, abort: bool = False) -> None:
        self._producer.begin_transaction()
        for each in lists:
            self._producer.send(self._topic, key=each.key.encode(), value=encode(each))
        self._producer.flush()
        if abort:
            self._producer.abort_transaction()
        else:
            self._producer.commit_transaction()

    def withdraw(self, key: str) -> None:
        self._producer.begin_transaction()
        self._producer.send(self._topic, key=key.encode(), value=None)
        self._producer.commit_transaction()

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def stage(kafka: KafkaSettings) -> Iterator[Stage]:
    stage = Stage(kafka)
    yield stage
    stage.close()


@pytest.fixture
def environment(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    said = {"KAFKA_BOOTSTRAP_SERVERS": str(kafka.bootstrap_servers), "KAFKA_TOPIC_PREFIX": kafka.topic_prefix}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    return said


@contextmanager
def watching(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``recsys watch`` in a process of its own, once it has caught up."""
    code = "import typer; from cli.watch import watch; typer.run(watch)"
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        while said and "following what changes" not in said:
            said = process.stderr.readline()
        assert said, process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    read: dict[str, Any] = json.loads(process.stdout.readline())
    return read


def test_a_follower_sees_committed_records_alone_and_knows_when_it_has_caught_up(
    kafka: KafkaSettings, stage: Stage
) -> None:
    stage.publish(a_list("P1", "a b"), a_list("P2", "a"))
    stage.publish(a_list("P1", "x y", revision=2), abort=True)
    table = ListTable()
    with TopicFollower(kafka, [RECOMMENDATION_UPDATED]) as follower:
        for records in follower.to_end():
            table.apply(records)
        assert follower.caught_up
        assert table.counts == {"similar": 2}
        found = table.get("similar", "P1")
        assert found is not None
        assert [item.product_id for item in found.items] == ["a", "b"]
        stage.publish(a_list("P1", "c", revision=2))
        while not (records := follower.poll(200)):
            pass
        table.apply(records)
        assert table.get("similar", "P1").revision == 2  # type: ignore[union-attr]


def test_a_follower_that_begins_at_the_end_sees_only_what_is_new(kafka: KafkaSettings, stage: Stage) -> None:
    stage.publish(a_list("P1", "a"))
    with TopicFollower(kafka, [RECOMMENDATION_UPDATED], start="end") as follower:
        assert follower.caught_up
        stage.publish(a_list("P2", "a"))
        while not (records := follower.poll(200)):
            pass
        assert [record.key for record in records] == [b"similar:P2"]


def test_a_topic_that_is_not_there_is_named(kafka_cluster: KafkaSettings) -> None:
    settings = kafka_cluster.model_copy(update={"topic_prefix": "nobody."})
    with pytest.raises(MissingTopicError, match=r"no topic nobody\.recommendation-updated .*recsys kafka up"):
        TopicFollower(settings, [RECOMMENDATION_UPDATED])


@pytest.mark.usefixtures("environment")
def test_watch_prints_each_change_as_it_is_committed(stage: Stage) -> None:
    stage.publish(a_list("P1", "a b c"), a_list("u1", "z", kind="for-you"))
    with watching("--json", "--kind", "similar") as process:
        stage.publish(a_list("u1", "a z", revision=2, kind="for-you"))
        stage.publish(a_list("P1", "b d a", revision=2))
        stage.withdraw("similar:P1")
        change = line(process)
        assert (change["subject"], change["entered"], change["left"], change["moved"]) == (
            "P1", ["d"], ["c"], ["b", "a"],
        )  # fmt: skip
        assert 0 <= change["freshness_ms"] < 60_000
        gone = line(process)
        assert (gone["withdrawn"], gone["left"]) == (True, ["b", "d", "a"])
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.usefixtures("environment")
def test_watch_from_the_beginning_shows_what_is_there(stage: Stage) -> None:
    stage.publish(a_list("P1", "a"), a_list("P2", "b"))
    with watching("--json", "--from-beginning", "--subject", "P2") as process:
        change = line(process)
        assert (change["subject"], change["entered"]) == ("P2", ["b"])


@pytest.mark.usefixtures("environment")
def test_show_prints_one_list_with_titles_and_reasons(kafka: KafkaSettings, stage: Stage) -> None:
    with ShopEvents(kafka) as shop:
        for product_id, title in (("P1", "Red mug"), ("P2", "Blue mug")):
            shop.product_created(product_id, title=title, category="mugs")
    stage.publish(a_list("P1", "P2 P9"))
    printed = CliRunner().invoke(app, ["show", "similar", "P1", "--json"])
    assert printed.exit_code == 0
    shown = json.loads(printed.stdout)
    assert [(i["rank"], i["product_id"], i["title"], i["text"]) for i in shown["items"]] == [
        (1, "P2", "Blue mug", "looks like Red mug"),
        (2, "P9", None, "looks like Red mug"),
    ]
    text = CliRunner().invoke(app, ["show", "similar", "P1"]).stdout
    assert "Blue mug" in text
    assert "looks like Red mug" in text


@pytest.mark.usefixtures("environment")
def test_show_says_why_there_is_no_list(kafka: KafkaSettings) -> None:
    with ShopEvents(kafka) as shop:
        shop.product_created("plain", title="No picture")
        shop.product_created("old", image_url="a.png")
        shop.publish(ProductRetired("old"))
        shop.publish(ProductCreated("waiting", 0, image_url="a.png"))
    for subject, why in (
        ("plain", "published without a picture"),
        ("old", "was retired"),
        ("waiting", "has not been embedded yet"),
        ("nothing", "no such product was published"),
    ):
        shown = CliRunner().invoke(app, ["show", "similar", subject])
        assert isinstance(shown.exception, NoListError)
        assert why in str(shown.exception)
        assert shown.stdout == ""
