"""``recsys publish`` and ``recsys simulate`` as processes, on a real Kafka."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.codec import decode
from schemas.events import Interaction, ProductCreated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import CART_ADD, PDP_VIEW, PRODUCT_CREATED, PURCHASE, Topic
from storefront.following import TopicFollower


class Recsys:
    """The command line, in a folder of its own and with the test's topics."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "RECSYS_"))},
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=self._folder,
            env={**self._environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def recsys(kafka: KafkaSettings, tmp_path: Path) -> Recsys:
    return Recsys(kafka, tmp_path)


def values_on(settings: KafkaSettings, *topics: Topic) -> list[object]:
    """Every event on the topics, in order by partition; None for a withdrawal."""
    with TopicFollower(settings, topics) as follower:
        records = [record for batch in follower.to_end() for record in batch]
    return [None if record.value is None else decode(record.topic, record.value) for record in records]


def interactions_on(settings: KafkaSettings) -> list[Interaction]:
    return [v for v in values_on(settings, PDP_VIEW, CART_ADD, PURCHASE) if isinstance(v, Interaction)]


def test_a_catalogue_with_bad_rows(recsys: Recsys, kafka: KafkaSettings, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("code,price,image\nP1,1.5,a.jpg\nP2,dear,\n" + ",1,\n" * 30 + "P3,2,\n")
    status, out, err = recsys(
        "publish", "catalogue", "shop.csv", "--map", "product_id=code", "--rejects", "bad.csv", "--json"
    )
    assert status == 3
    report = json.loads(out)
    assert (report["published"], report["rejected"]) == (2, 31)
    assert report["rejections"][0] == {"line": 3, "reason": "price is 'dear'; give a number"}
    assert "line 3: price is 'dear'; give a number" in err
    assert "… and 11 more rejected rows; in bad.csv" in err
    assert f"pictures are paths below {tmp_path}" in err.replace("\n", "")
    lines = (tmp_path / "bad.csv").read_text().splitlines()
    assert lines[:2] == ["line,reason", "3,price is 'dear'; give a number"]
    assert len(lines) == 32
    products = [value for value in values_on(kafka, PRODUCT_CREATED) if isinstance(value, ProductCreated)]
    assert {(p.product_id, p.price, p.image_url) for p in products} == {("P1", 1.5, "a.jpg"), ("P3", 2.0, None)}


def test_a_product_is_retired(recsys: Recsys, kafka: KafkaSettings) -> None:
    status, out, err = recsys("publish", "retire", "P1")
    assert (status, out, err) == (0, "", "P1 is retired\n")
    assert values_on(kafka, PRODUCT_CREATED) == [None]


def test_events_published_twice_have_the_same_ids(recsys: Recsys, kafka: KafkaSettings, tmp_path: Path) -> None:
    rows = "".join(f"{1_700_000_000 + n},{n % 3},p{n}\n" for n in range(50))
    (tmp_path / "clicks.csv").write_text("timestamp,session,sku\n" + rows)
    arguments = ("publish", "events", "clicks.csv", "--default-event", "view", "--rate", "500")
    status, _, err = recsys(*arguments)
    assert status == 0
    assert "the first event is dated 1970-01-20; if its time is in seconds, give --time-unit s" in err
    assert "50 published, 0 rejected" in err
    for _ in range(2):
        status, out, err = recsys(*arguments, "--time-unit", "s", "--json")
        assert (status, json.loads(out)) == (0, {"published": 50, "rejected": 0, "rejections": []})
        assert "dated" not in err
    events = interactions_on(kafka)
    assert len(events) == 150
    assert len({event.event_id for event in events}) == 50
    assert sorted({event.event_time_ms for event in events})[50:] == [
        1000 * (1_700_000_000 + n) for n in range(50)
    ]


def test_shoppers_play_over_what_is_published_until_ctrl_c(
    recsys: Recsys, kafka: KafkaSettings, tmp_path: Path
) -> None:
    status, out, _ = recsys("publish", "demo-catalogue", "demo", "--products", "15", "--json")
    assert (status, json.loads(out)["published"]) == (0, 15)
    recsys("publish", "retire", "mug-001")
    status, _, err = recsys("simulate", "--events", "200", "--rate", "2000", "--seed", "4")
    assert (status, err.splitlines()[-1]) == (0, "200 events published")
    events = interactions_on(kafka)
    assert len(events) == 200
    assert "mug-001" not in {event.product_id for event in events}
    process = recsys.start("simulate", "--catalog", "demo", "--rate", "100")
    try:
        with TopicFollower(kafka, [PDP_VIEW], start="end") as follower:
            deadline = time.monotonic() + 30
            while not follower.poll(500) and time.monotonic() < deadline:
                pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    sent = int(err.splitlines()[-1].removesuffix(" events published"))
    assert len(interactions_on(kafka)) == 200 + sent > 200


def test_no_kafka_is_one_line_and_status_1(recsys: Recsys, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("id\nP1\n")
    elsewhere = Recsys(KafkaSettings(bootstrap_servers="127.0.0.1:1"), tmp_path)
    status, out, err = elsewhere("publish", "catalogue", "shop.csv")
    assert (status, out) == (1, "")
    assert err.startswith("recsys: no Kafka answers at 127.0.0.1:1")
    assert len(err.splitlines()) == 1
