"""What the publishing commands refuse before they connect to anything, and what they say of rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import publish, publishing
from cli.main import app
from producers.client import ShopEvents
from producers.publications import Publication
from schemas.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clicks.csv").write_text("timestamp_ms,user_id,product_id,event\n")
    (tmp_path / "none.csv").write_text("product_id\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("publish events clicks.csv --speed 2", "--speed needs --as-recorded"),
        ("publish events clicks.csv --rate 5 --as-recorded", "give a rate or as recorded, not both"),
        ("publish events clicks.csv --rate 0", "the rate is 0.0; give a number above 0"),
        ("publish events clicks.csv --map user=x", "no such field: user"),
        ("publish events clicks.csv --map user_id", "the mapping 'user_id' is not field=column"),
        ("publish events absent.csv", "absent.csv is not a file"),
        ("publish catalogue absent", "there is no absent"),
        ("publish catalogue none.csv --rejects no/such/folder.csv", "cannot write the rejected rows to no/such"),
        ("simulate --rate 0", "events_per_second is 0.0; give a number above 0"),
        ("simulate --catalog none.csv", "there are no products in none.csv"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_calls_say_what_is_wrong(arguments: str, message: str) -> None:
    result = CliRunner().invoke(app, arguments.split())
    assert isinstance(result.exception, ConfigurationError)
    assert message in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments", ["events clicks.csv --time-unit days", "events clicks.csv --default-event refund"]
)
@pytest.mark.usefixtures("folder")
def test_unknown_choices_are_refused(arguments: str) -> None:
    assert CliRunner().invoke(publish.app, arguments.split()).exit_code == 2


class Shop(ShopEvents):
    """Publishes nowhere."""

    def __init__(self) -> None:
        self.published: list[Publication] = []

    def publish(self, publication: Publication) -> None:
        self.published.append(publication)

    def flush(self, timeout_seconds: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass


def test_what_a_reason_holds_cannot_steer_the_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "opened_shop", Shop)
    (folder / "shop.csv").write_text("product_id,price\nP1,\x1b[31mred\nP2,1\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["publish", "catalogue", "shop.csv"])
    assert result.exit_code == publishing.STATUS_REJECTED
    assert "\x1b" not in result.stderr
    assert "price is '" in result.stderr
    assert result.stderr.splitlines()[-1] == "1 published, 1 rejected"


def test_pictures_need_no_hint_where_the_stage_knows_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    monkeypatch.setattr(publishing, "opened_shop", lambda: shop)
    (folder / "shop").mkdir()
    (folder / "shop" / "shop.csv").write_text("id,image\nP1,a.jpg\n", encoding="utf-8")
    arguments = ["publish", "catalogue", "shop/shop.csv"]
    assert "pictures are paths below" in CliRunner().invoke(app, arguments).stderr
    monkeypatch.setenv("RECSYS_IMAGES__FETCH__IMAGES_DIR", str(folder))
    assert "pictures" not in CliRunner().invoke(app, arguments).stderr
    assert [getattr(event, "image_url", None) for event in shop.published] == ["a.jpg", "shop/a.jpg"]
