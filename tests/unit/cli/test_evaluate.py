"""``recsys evaluate``: files in, figures out, on data whose right answer is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.evaluate import app
from cli.evaluation_files import read_events, read_positions, read_sessions, read_test_products
from producers.errors import UnreadableSourceError

START_S = 1_700_000_000


def ran(*args: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)


def report(*args: str | Path) -> dict[str, Any]:
    result = ran(*args, "--json")
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def sessions_file(path: Path, *sessions: str, first: int = 0) -> Path:
    """A session a word, a click a letter, thirty seconds apart; sessions are an hour apart."""
    lines = ["SessionId\tItemId\tTime"]
    for number, clicks in enumerate(sessions, first):
        lines += [f"s{number}\t{item}\t{START_S + 3_600 * number + 30 * n}.25" for n, item in enumerate(clicks)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """After a comes b, after b comes c; x and y belong to others."""
    return sessions_file(tmp_path / "train.tsv", *["abc"] * 6, *["xy"] * 6)


def test_the_next_item_is_found_where_sessions_repeat_themselves(train: Path, tmp_path: Path) -> None:
    test = sessions_file(tmp_path / "test.tsv", "abc", "xy", "q", first=50)
    found = report("next-item", "--train", train, "--test", test, "--k", "2")
    assert (found["k"], found["queries"], found["hr"], found["recall"]) == (2, 3, 1.0, 1.0)
    assert found["mrr"] == 1.0
    assert (found["products"], found["events"]) == (5, 30)


def test_only_the_positions_named_are_asked_for(train: Path, tmp_path: Path) -> None:
    test = sessions_file(tmp_path / "test.tsv", "abx", first=50)
    positions = tmp_path / "positions.csv"
    positions.write_text("session_id,position\ns50,0\n")
    assert report("next-item", "--train", train, "--test", test, "--positions", positions, "--k", "1")["hr"] == 1.0
    positions.write_text("session_id,position\ns50,1\n")
    assert report("next-item", "--train", train, "--test", test, "--positions", positions, "--k", "1")["hr"] == 0.0


def test_nothing_is_learnt_from_the_test_file(train: Path, tmp_path: Path) -> None:
    once = sessions_file(tmp_path / "once.tsv", "ax", first=50)
    often = sessions_file(tmp_path / "often.tsv", *["ax"] * 20, first=50)
    few, many = (report("next-item", "--train", train, "--test", test) for test in (once, often))
    assert many["mrr"] == pytest.approx(few["mrr"])
    assert many["mrr"] < 0.5


def holdout_files(folder: Path, events: str, test: str) -> tuple[Path, Path]:
    paths = folder / "events.csv", folder / "test.csv"
    for path, text in zip(paths, (events, test), strict=True):
        path.write_text(text)
    return paths


def recorded(*users: str) -> str:
    """A user a word; a minute between events."""
    lines = ["timestamp_ms,user_id,product_id,event"]
    for number, products in enumerate(users):
        lines += [
            f"{(START_S + 86_400 * number + 60 * n) * 1_000},u{number},{product},view"
            for n, product in enumerate(products)
        ]
    return "\n".join(lines) + "\n"


def test_a_holdout_leaves_out_what_a_user_has_seen(tmp_path: Path) -> None:
    events, test = holdout_files(
        tmp_path, recorded(*["abc"] * 6, "ab"), "user_id,product_id\nu6,c\nu0,b\nnobody,b\n"
    )
    found = report("holdout", "--events", events, "--test", test, "--k", "1")
    # u6 gets c; u0 has seen everything, so its list is empty; who is not known gets what is popular.
    assert (found["k"], found["queries"], found["events"]) == (1, 3, 20)
    assert found["hr"] == pytest.approx(2 / 3)
    assert found["coverage"] == pytest.approx(2 / 3)


def test_what_was_seen_is_left_out_however_long_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_INTERACTIONS__MAX_EVENTS", "2")
    events, test = holdout_files(tmp_path, recorded(*["abc"] * 6), "user_id,product_id\nu0,a\n")
    assert report("holdout", "--events", events, "--test", test)["hr"] == 0.0


def test_rejected_rows_are_reported(tmp_path: Path) -> None:
    events, test = holdout_files(tmp_path, recorded("ab", "ab") + "soon,u9,a,view\n", "user_id,product_id\nu0,b\n")
    found = report("holdout", "--events", events, "--test", test)
    assert found["rejected"] == 1
    assert found["first_rejection"].startswith("line 6: timestamp_ms")
    assert "rows rejected" in ran("holdout", "--events", events, "--test", test).stdout


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    events, test = holdout_files(
        tmp_path, recorded("ab", "ab").replace("user_id", "shopper"), "shopper,product_id\nu0,b\n"
    )
    assert report("holdout", "--events", events, "--test", test, "--map", "user_id=shopper")["queries"] == 1
    with pytest.raises(UnreadableSourceError, match=r"events\.csv has no column for user_id"):
        ran("holdout", "--events", events, "--test", test)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SessionId\tItemId\n1\ta\n", "has no column for Time"),
        ("SessionId\tItemId\tTime\n1\ta\tsoon\n", r"line 2 of f\.tsv: Time is 'soon'; give a number"),
        ("SessionId\tItemId\tTime\n1\t\t3\n", r"line 2 of f\.tsv has no ItemId"),
        ("SessionId\tItemId\tTime\n1\ta\n", r"line 2 of f\.tsv has 2 values where the header has 3"),
        ("SessionId\tItemId\tTime\n", "has a header only"),
    ],
)
def test_sessions_that_cannot_be_read_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "f.tsv").write_text(text)
    with pytest.raises(UnreadableSourceError, match=message):
        read_sessions(tmp_path / "f.tsv", {})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("s0,2\n", "line 2 of p.csv: '2', but session s0 has the positions 0 to 1"),
        ("s0,-1\n", "'-1', but session s0 has the positions 0 to 1"),
        ("s1,0\n", "session s1 has no click that another follows"),
        ("s9,0\n", "session s9 has no click that another follows"),
        ("s0,0\ns0,0\n", "line 3 of p.csv: session s0, 0 is there twice"),
        ("", "has a header only"),
    ],
)
def test_positions_that_the_sessions_do_not_have_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    sessions = read_sessions(sessions_file(tmp_path / "test.tsv", "abc", "x"), {})
    (tmp_path / "p.csv").write_text("session_id,position\n" + rows)
    with pytest.raises(UnreadableSourceError, match=message):
        read_positions(tmp_path / "p.csv", sessions)


def test_a_test_without_a_next_item_is_refused(train: Path, tmp_path: Path) -> None:
    test = sessions_file(tmp_path / "test.tsv", "a", "b", first=50)
    with pytest.raises(UnreadableSourceError, match=r"no session of test\.tsv has two clicks"):
        ran("next-item", "--train", train, "--test", test)


def test_a_test_without_products_is_refused(tmp_path: Path) -> None:
    events, test = holdout_files(
        tmp_path, "timestamp_ms,user_id,product_id,event\nsoon,u,a,view\n", "product_id\na\n"
    )
    with pytest.raises(UnreadableSourceError, match="no usable event; line 2: timestamp_ms is 'soon'"):
        read_events(events, {})
    with pytest.raises(UnreadableSourceError, match=r"line 2 of test\.csv has neither user_id nor session_id"):
        read_test_products(test, {})
    test.write_text("user_id,product_id\n")
    with pytest.raises(UnreadableSourceError, match="has a header only"):
        read_test_products(test, {})


def test_a_table_is_printed_without_json(train: Path) -> None:
    result = ran("next-item", "--train", train, "--test", train, "--k", "3")
    assert result.exit_code == 0
    assert "next item in train.tsv after train.tsv" in result.stdout
    assert "hit rate" in result.stdout
