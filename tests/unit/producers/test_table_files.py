from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import tables
from producers.cells import RowError, as_number, as_text, as_time_ms, as_truth
from producers.errors import UnreadableSourceError
from producers.tables import RawRow, Table, parse_mapping, resolve_columns


def rows_of(tmp_path: Path, content: bytes, name: str = "t.csv") -> list[RawRow]:
    path = tmp_path / name
    path.write_bytes(content)
    return list(Table(path).rows())


def test_the_header_is_line_1_and_empty_cells_are_left_out(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, b"a,b,c\n1,,3\n , 2 ,\n")
    assert rows == [RawRow(2, {"a": "1", "c": "3"}), RawRow(3, {"b": " 2 "})]


def test_lines_count_when_values_go_over_several(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, b'a,b\r\n1,"two\r\nlines"\r\n\r\n,\r\n2,x\r\n')
    assert [row.line for row in rows] == [2, 6]
    assert rows[0].cells["b"] == "two\r\nlines"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"\xef\xbb\xbfa,b\n1,2\n"),
        ("t.csv", b"a;b\n1;2\n"),
        ("t.csv", b"a\tb\n1\t2\n"),
        ("t.csv", b"a|b\n1|2"),
        ("t.tsv", b"a\tb\n1\t2\n"),
        ("t.TXT", b"a,b\n1,2\n"),
        ("t.csv", b' a , "b"\n1,2\n'.replace(b' "b"', b"b ")),
    ],
)
def test_byte_order_marks_and_other_delimiters_are_understood(tmp_path: Path, name: str, content: bytes) -> None:
    assert rows_of(tmp_path, content, name) == [RawRow(2, {"a": "1", "b": "2"})]


def test_a_tsv_may_have_commas_in_its_header(tmp_path: Path) -> None:
    assert rows_of(tmp_path, b"a, or b\tc\n1\t2\n", "t.tsv") == [RawRow(2, {"a, or b": "1", "c": "2"})]


def test_quotes_delimiters_and_quotes_within_quotes(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, b'a,b\n"x, y","say ""hi"""\n5" nail,it\'s\n')
    assert [dict(row.cells) for row in rows] == [{"a": "x, y", "b": 'say "hi"'}, {"a": '5" nail', "b": "it's"}]


def test_a_row_with_too_few_or_too_many_values_is_a_defect_of_its_own(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, b"a,b\n1\n1,2,3\n1,2\n")
    assert [(row.line, row.defect) for row in rows] == [
        (2, "has 1 values where the header has 2"),
        (3, "has 3 values where the header has 2"),
        (4, None),
    ]


def test_a_quote_left_open_spoils_its_own_row_alone(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, b'a,b\n1,"open\n2,x\n3,"fine"\n4,y\n5,"to the end\n6,z\n')
    assert [row.line for row in rows] == [2, 3, 4, 5, 6, 7]
    assert [row.line for row in rows if row.defect is not None] == [2, 6]
    assert all("is a quote left open?" in (row.defect or "quote left open?") for row in rows if row.defect)


def test_a_huge_value_is_refused_and_what_follows_is_read(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, b"a,b\n1," + b"x" * 200_000 + b"\n2,y\n")
    assert rows[0].line == 2
    assert "field larger than field limit" in (rows[0].defect or "")
    assert rows[1] == RawRow(3, {"a": "2", "b": "y"})


def test_an_endless_line_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 1000)
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n" + b"x" * 2000)
    found = []
    with pytest.raises(UnreadableSourceError, match=r"line 3 of t.csv is longer than 1,000 bytes"):
        found.extend(Table(path).rows())
    with pytest.raises(UnreadableSourceError, match="line 1"):
        rows_of(tmp_path, b"x" * 2000)


def test_bytes_that_are_not_utf8_spoil_their_own_row_alone(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "a,b\n1,é\n".encode() + b"2,\xe9\n3,\xff\xfe\n4,z\n")
    assert [row.line for row in rows if row.defect is None] == [2, 5]
    assert rows[0].cells["b"] == "é"
    assert rows[1].defect == "is not UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "has no header"),
        ("t.csv", b"\n1,2\n", "has no header"),
        ("t.csv", b"a,b,a\n", "has the columns a more than once"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "is not UTF-8 text; save it as UTF-8"),
        ("t.csv", b'a,"b\n1,2\n', "the header of t.csv is not readable"),
        ("t.xlsx", b"PK", "the ending of t.xlsx says not what it holds; make it one of .csv, .tsv"),
        ("t.parquet", b"PAR1 and nothing", "is not a Parquet file"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(UnreadableSourceError, match=message):
        rows_of(tmp_path, content, name)


def test_a_folder_or_nothing_is_no_table(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(UnreadableSourceError, match="is not a file"):
            Table(path)


def test_the_read_fraction_grows_to_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\n" + b"1\n" * 100)
    table = Table(path)
    fractions = [table.read_fraction for _ in table.rows()]
    assert 0 < fractions[0] < fractions[49] < fractions[-1] == table.read_fraction == 1.0


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=2, max_size=2)))
def test_what_csv_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, values: list[list[str]]) -> None:
    import csv

    path = tmp_path_factory.mktemp("t") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([["a", "b"], *values])
    read = [[row.cells.get("a", ""), row.cells.get("b", "")] for row in Table(path).rows()]
    kept = [["" if not value.strip() else value for value in row] for row in values]
    assert read == [row for row in kept if any(row)]


def test_parquet_rows_count_from_1_and_nulls_nans_and_empty_text_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    columns = {"a": pa.array([1, None]), "b": pa.array([float("nan"), 2.5]), "c": pa.array(["", "x"])}
    pq.write_table(pa.table(columns), path)
    table = Table(path)
    assert list(table.rows()) == [RawRow(1, {"a": 1}), RawRow(2, {"b": 2.5, "c": "x"})]
    assert table.read_fraction == 1.0


def test_a_parquet_file_that_is_damaged_further_on_says_where(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"a": [f"{i:06d}" for i in range(20_000)]}), path, compression="none", use_dictionary=False
    )
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4)
    path.write_bytes(data)
    with pytest.raises(UnreadableSourceError, match=r"t.parquet is damaged after row 0"):
        list(Table(path).rows())


def test_parquet_columns_of_every_kind_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    when = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    table = pa.table(
        {
            "category": pa.array(["x", "y"]).dictionary_encode(),
            "price": pa.array([Decimal("1.50"), Decimal("2.00")]),
            "at_us": pa.array([when, when], pa.timestamp("us", "UTC")),
            "at_ns": pa.array([when, when], pa.timestamp("ns", "UTC")),
            "day": pa.array([when.date(), when.date()]),
            "yes": pa.array([True, False]),
            "raw": pa.array([b"p1", b"\xff"]),
            "sizes": pa.array([[1, 2], []]),
        }
    )
    pq.write_table(table, path)
    first, second = Table(path).rows()
    cells = first.cells
    assert as_text(cells["category"]) == "x"
    assert as_number("price", cells["price"]) == 1.5
    at_ms = int(when.timestamp() * 1000)
    assert as_time_ms("at", cells["at_us"], "ms") == as_time_ms("at", cells["at_ns"], "s") == at_ms
    assert as_time_ms("at", cells["day"], "ms") == at_ms - 12 * 3_600_000
    assert [as_truth("yes", row.cells["yes"]) for row in (first, second)] == [True, False]
    assert as_text(cells["raw"]) == "p1"
    with pytest.raises(RowError, match="is not UTF-8 text"):
        as_text(second.cells["raw"])
    assert as_text(cells["sizes"]) == "[1, 2]"


@pytest.mark.parametrize(
    ("value", "text"), [("  x ", "x"), (7, "7"), (7.0, "7"), (7.5, "7.5"), (True, "True"), (Decimal("1.0"), "1.0")]
)
def test_cells_as_text(value: object, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("value", ["ten", "1,5", "nan", "inf", "", float("inf"), Decimal("NaN"), "1e999"])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    with pytest.raises(RowError, match=r"price is .*; give a (finite )?number"):
        as_number("price", value)


def test_truth_has_many_words_but_not_any() -> None:
    assert all(as_truth("x", word) for word in ("true", "Yes", "1", 1, True))
    assert not any(as_truth("x", word) for word in ("FALSE", "no", 0, False))
    with pytest.raises(RowError, match="in_stock is 'maybe'; give true or false"):
        as_truth("in_stock", "maybe")


@pytest.mark.parametrize(
    ("value", "unit", "at_ms"),
    [
        ("1700000000123", "ms", 1_700_000_000_123),
        (1_700_000_000_123, "ms", 1_700_000_000_123),
        ("1700000000", "s", 1_700_000_000_000),
        ("1700000000.25", "s", 1_700_000_000_250),
        (1700000000.25, "s", 1_700_000_000_250),
        ("1.7e12", "ms", 1_700_000_000_000),
        ("2014-04-07T10:51:09.277Z", "iso", 1_396_867_869_277),
        ("2014-04-07 10:51:09", "iso", 1_396_867_869_000),
        ("2014-04-07T12:51:09+02:00", "iso", 1_396_867_869_000),
        ("0", "ms", 0),
    ],
)
def test_times(value: object, unit: str, at_ms: int) -> None:
    assert as_time_ms("timestamp_ms", value, unit) == at_ms


@pytest.mark.parametrize(
    ("value", "unit"),
    [("yesterday", "ms"), ("-1", "ms"), ("9" * 30, "ms"), ("1e300", "s"), ("1700000000", "iso"), ("nan", "s")],
)
def test_what_is_no_time_is_refused(value: object, unit: str) -> None:
    with pytest.raises(RowError, match="timestamp_ms is"):
        as_time_ms("timestamp_ms", value, unit)


def test_mappings_are_read_and_wrong_ones_named() -> None:
    assert parse_mapping(" product_id = sku ,title=name,") == {"product_id": "sku", "title": "name"}
    for wrong in ("sku", "=sku", "product_id="):
        with pytest.raises(UnreadableSourceError, match="is not field=column"):
            parse_mapping(wrong)
    with pytest.raises(UnreadableSourceError, match="names the field a twice"):
        parse_mapping("a=b,a=c")


def test_columns_are_found_by_mapping_then_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sku,id,name\n")
    table = Table(path)
    fields = {"product_id": ("product_id", "id", "sku"), "title": ("title", "name"), "code": ("sku",)}
    assert resolve_columns(table, {}, fields, ("product_id",)) == {
        "product_id": "id",
        "title": "name",
        "code": "sku",
    }
    mapped = resolve_columns(table, {"product_id": "sku"}, fields, ("product_id",))
    assert mapped == {"product_id": "sku", "title": "name"}
    for mapping, message in (
        ({"colour": "id"}, "no such field: colour; the fields are product_id, title, code"),
        ({"title": "label"}, "t.csv has no column label; it has sku, id, name"),
    ):
        with pytest.raises(UnreadableSourceError, match=message):
            resolve_columns(table, mapping, fields, ())
    with pytest.raises(UnreadableSourceError, match=r"no column for price; .* say which with --map price=COLUMN"):
        resolve_columns(table, {}, {"price": ("price",)}, ("price",))
