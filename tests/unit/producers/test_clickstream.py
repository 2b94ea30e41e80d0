from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.cells import RowError
from producers.clickstream import Clickstream, ClickstreamOptions, ShopperEvent
from producers.errors import UnreadableSourceError
from producers.tables import RejectedRow
from schemas.events import CartAdd, PdpView, Purchase

AT_MS = 1_700_000_000_000


def read(path: Path, options: ClickstreamOptions | None = None) -> tuple[dict[int, ShopperEvent], dict[int, str]]:
    accepted: dict[int, ShopperEvent] = {}
    rejected: dict[int, str] = {}
    for row in Clickstream(path, options).rows():
        if isinstance(row, RejectedRow):
            rejected[row.line] = row.reason
        else:
            accepted[row.line] = row.event
    return accepted, rejected


def table(folder: Path, text: str, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_event_and_field(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "timestamp_ms,user_id,product_id,event,session_id,quantity,unit_price,event_id\n"
        f"{AT_MS},u1,p1,view,s1,,,e1\n"
        f"{AT_MS},,p1,add_to_cart,s2,2,,e2\n"
        f"{AT_MS},u1,p1,Purchase,,-1,9.5,e3\n",
    )
    assert read(path) == (
        {
            2: PdpView("e1", AT_MS, "u1", "s1", "p1"),
            3: CartAdd("e2", AT_MS, None, "s2", "p1", 2.0),
            4: Purchase("e3", AT_MS, "u1", None, "p1", -1.0, 9.5),
        },
        {},
    )


@pytest.mark.parametrize(
    ("word", "event_type"),
    [
        ("view", PdpView),
        ("Page View", PdpView),
        ("click", PdpView),
        ("addtocart", CartAdd),
        ("CART_ADD", CartAdd),
        ("buy", Purchase),
        ("transaction", Purchase),
    ],
)
def test_words_for_events(tmp_path: Path, word: str, event_type: type[ShopperEvent]) -> None:
    accepted, _ = read(table(tmp_path, f"timestamp_ms,user_id,product_id,event\n1,u,p,{word}\n"))
    assert type(accepted[2]) is event_type


def test_rejected_rows_carry_line_and_reason_and_the_rest_goes_through(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "timestamp_ms,user_id,session_id,product_id,event,quantity\n"
        "1,u,,p,view,\n"
        ",u,,p,view,\n"
        "soon,u,,p,view,\n"
        "1,,,p,view,\n"
        "1,u,,,view,\n"
        "1,u,,p,,\n"
        "1,u,,p,refund,\n"
        "1,u,,p,purchase,many\n"
        "1,u,,p,cart-add,-1\n"
        "1,u,,p,purchase,0\n"
        "1,u\n"
        "1,u,,p,view,ignored\n",
    )
    accepted, rejected = read(path)
    assert list(accepted) == [2, 13]
    assert rejected.pop(5).endswith("has neither user_id nor session_id; give one")
    assert rejected.pop(10).endswith("is -1.0; give a number above 0")
    assert rejected.pop(11).endswith("is 0.0; give a number other than 0")
    assert rejected == {
        3: "timestamp_ms is empty",
        4: "timestamp_ms is 'soon'; give a number",
        6: "product_id is empty; give the shop's own id",
        7: "event is empty; give view, cart-add or purchase",
        8: "event is 'refund'; give view, cart-add or purchase",
        9: "quantity is 'many'; give a number",
        12: "has 2 values where the header has 6",
    }


def test_event_ids_are_the_same_each_time_and_differ_by_row(tmp_path: Path) -> None:
    text = "timestamp_ms,user_id,product_id,event\n1,u,p,view\n1,u,p,view\n1,u,q,view\n"
    first, _ = read(table(tmp_path, text))
    again, _ = read(table(tmp_path, text, "copy.csv"))
    ids = [event.event_id for event in first.values()]
    assert ids == [event.event_id for event in again.values()]
    assert len(set(ids)) == 3
    assert all(len(event_id) == 32 for event_id in ids)
    longer, _ = read(table(tmp_path, text + "2,u,p,view\n"))
    assert [event.event_id for event in longer.values()][:3] == ids


def test_ids_hold_across_processes(tmp_path: Path) -> None:
    accepted, _ = read(table(tmp_path, "timestamp_ms,user_id,product_id,event\n1,u,p,view\n"))
    assert accepted[2].event_id == "0513ca82d8b4f0380f2711836195b468"


def test_views_alone_with_a_mapping_and_seconds(tmp_path: Path) -> None:
    path = table(tmp_path, "SessionId\tItemId\tTime\n1\t214\t1396861448.0\n", "train.tsv")
    mapping = {"session_id": "SessionId", "product_id": "ItemId", "timestamp_ms": "Time"}
    accepted, _ = read(path, ClickstreamOptions(mapping, "s", "view"))
    event = accepted[2]
    assert (event.event_time_ms, event.user_id, event.subject, event.product_id) == (
        1_396_861_448_000,
        None,
        "1",
        "214",
    )


def test_a_default_stands_in_for_an_empty_event_too(tmp_path: Path) -> None:
    path = table(tmp_path, "timestamp_ms,user_id,product_id,event\n1,u,p,\n1,u,p,buy\n")
    accepted, _ = read(path, ClickstreamOptions(default_event="view"))
    assert [type(event) for event in accepted.values()] == [PdpView, Purchase]


def test_iso_times(tmp_path: Path) -> None:
    path = table(tmp_path, "timestamp,user,sku,event\n2024-05-01T12:00:00Z,u,p,view\n12:00,u,p,view\n")
    accepted, rejected = read(path, ClickstreamOptions(time_unit="iso"))
    assert accepted[2].event_time_ms == 1_714_564_800_000
    assert rejected == {3: "timestamp_ms is '12:00'; give an ISO 8601 date and time"}


def test_parquet_with_types_of_its_own(tmp_path: Path) -> None:
    columns = {
        "timestamp_ms": pa.array([AT_MS, None], pa.timestamp("ms")),
        "user_id": pa.array([7, 8]),
        "product_id": pa.array([1.0, 2.0]),
        "event": pa.array(["view", "view"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "events.parquet")
    accepted, rejected = read(tmp_path / "events.parquet")
    assert (accepted[1].event_time_ms, accepted[1].user_id, accepted[1].product_id) == (AT_MS, "7", "1")
    assert rejected == {2: "timestamp_ms is empty"}


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("user_id,product_id,event", "timestamp_ms"),
        ("timestamp_ms,user_id,event", "product_id"),
        ("timestamp_ms,user_id,product_id", "event"),
        ("timestamp_ms,product_id,event", "user_id or session_id"),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, header: str, missing: str) -> None:
    with pytest.raises(UnreadableSourceError, match=f"has no column for {missing}; it has {header.split(',')[0]}"):
        Clickstream(table(tmp_path, header + "\n"))


def test_an_unknown_default_event_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="event is 'refund'"):
        Clickstream(
            table(tmp_path, "timestamp_ms,user_id,product_id\n"), ClickstreamOptions(default_event="refund")
        )
