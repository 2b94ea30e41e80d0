from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers import catalogue
from producers.catalogue import Catalogue, CatalogueOptions
from producers.errors import UnreadableSourceError
from producers.tables import AcceptedRow, RejectedRow
from schemas.events import ProductCreated

NOW_MS = 1_700_000_000_000


def read(path: Path, options: CatalogueOptions | None = None) -> tuple[dict[int, ProductCreated], dict[int, str]]:
    accepted: dict[int, ProductCreated] = {}
    rejected: dict[int, str] = {}
    for row in Catalogue(path, NOW_MS, options).rows():
        if isinstance(row, RejectedRow):
            rejected[row.line] = row.reason
        else:
            accepted[row.line] = row.event
    return accepted, rejected


def table(folder: Path, text: str, name: str = "catalog.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_field_and_the_other_columns_as_attributes(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "sku,name,category,image,price,in_stock,event_time_ms,colour,size\n"
        "P1,Red mug,mugs,img/1.jpg,9.90,no,123,red,\n"
        "P2,,,,,,,,\n",
    )
    accepted, rejected = read(path)
    assert rejected == {}
    assert accepted == {
        2: ProductCreated("P1", 123, "Red mug", "mugs", "img/1.jpg", 9.9, False, {"colour": "red"}),
        3: ProductCreated("P2", NOW_MS),
    }


def test_rejected_rows_carry_line_and_reason_and_the_rest_goes_through(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "product_id,price,in_stock,image\n"
        "P1,1,,\n"
        ",2,,\n"
        "P3,cheap,,\n"
        "P4,-1,,\n"
        "P5,1,perhaps,\n"
        "P6,1\n"
        f"{'x' * 257},1,,\n"
        "P1,5,,\n"
        "P7,1,,../other/7.jpg\n"
        "P8,1,,s3://bucket/8.jpg\n"
        "P9,,,\n",
    )
    accepted, rejected = read(path)
    assert [product.product_id for product in accepted.values()] == ["P1", "P9"]
    assert rejected == {
        3: "product_id is empty; give the shop's own id",
        4: "price is 'cheap'; give a number",
        5: "price of P4 is -1.0; give a number of at least 0",
        6: "in_stock is 'perhaps'; give true or false",
        7: "has 2 values where the header has 4",
        8: f"product_id is longer than 256 bytes: {'x' * 40!r}…",
        9: "product_id P1 was already given in line 2",
        10: f"image '../other/7.jpg' is not below the images folder {tmp_path}",
        11: "image 's3://bucket/8.jpg' is neither http, https nor a path",
    }


def test_pictures_are_published_relative_to_the_folder_that_the_stage_looks_below(tmp_path: Path) -> None:
    path = table(
        tmp_path / "shop", f"id,image\n1,a/1.jpg\n2,{tmp_path}/shop/2.jpg\n3,HTTPS://cdn/3.jpg\n4,./x/../4.jpg\n"
    )
    urls = [product.image_url for product in read(path)[0].values()]
    assert urls == ["a/1.jpg", "2.jpg", "HTTPS://cdn/3.jpg", "4.jpg"]
    accepted, _ = read(path, CatalogueOptions(images_dir=tmp_path))
    assert [product.image_url for product in accepted.values()][:2] == ["shop/a/1.jpg", "shop/2.jpg"]
    accepted, _ = read(path, CatalogueOptions(pictures_dir=tmp_path / "shop" / "pictures", images_dir=tmp_path))
    assert [product.image_url for product in accepted.values()][:2] == ["shop/pictures/a/1.jpg", "shop/2.jpg"]
    assert Catalogue(path, NOW_MS).images_dir == tmp_path / "shop"
    assert Catalogue(path, NOW_MS, CatalogueOptions(pictures_dir=tmp_path)).images_dir == tmp_path


def test_a_mapping_says_which_column_holds_a_field(tmp_path: Path) -> None:
    path = table(tmp_path, "code,label,id\nA,Mug,7\n")
    accepted, _ = read(path, CatalogueOptions({"product_id": "code", "title": "label"}))
    assert accepted[2] == ProductCreated("A", NOW_MS, "Mug", attributes={"id": "7"})


@pytest.mark.parametrize("name", ["catalog.csv", "catalogue.csv", "catalog.tsv"])
def test_a_folder_with_a_table_is_that_table(tmp_path: Path, name: str) -> None:
    table(tmp_path, "id\nP1\n", name)
    (tmp_path / "stray.jpg").write_bytes(b"")
    assert list(read(tmp_path)[0].values()) == [ProductCreated("P1", NOW_MS)]


def test_several_pictures_of_a_product(tmp_path: Path) -> None:
    path = table(
        tmp_path, 'id,image,additional_image_link\na,1.jpg,"2.jpg, https://x.example/3.jpg"\nb,1.jpg,4.jpg|5.jpg\n'
    )
    accepted, _ = read(path)
    assert [list(event.other_image_urls) for event in accepted.values()] == [
        ["2.jpg", "https://x.example/3.jpg"],
        ["4.jpg", "5.jpg"],
    ]
    columns = {"id": ["a", "b"], "other_images": pa.array([["2.jpg", None, "3,3.jpg"], None])}
    pq.write_table(pa.table(columns), tmp_path / "some.parquet")
    accepted, _ = read(tmp_path / "some.parquet")
    assert [list(event.other_image_urls) for event in accepted.values()] == [["2.jpg", "3,3.jpg"], []]


def test_parquet_with_types_of_its_own(tmp_path: Path) -> None:
    columns = {
        "id": pa.array([17, 18], pa.int64()),
        "price": pa.array([2.5, None]),
        "in_stock": pa.array([True, False]),
        "size": pa.array([41.0, float("nan")]),
        "category": pa.array(["shoes", "hats"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "catalogue.parquet")
    assert read(tmp_path)[0] == {
        1: ProductCreated("17", NOW_MS, category="shoes", price=2.5, attributes={"size": "41"}),
        2: ProductCreated("18", NOW_MS, category="hats", in_stock=False),
    }


def test_a_folder_of_pictures_by_category(tmp_path: Path) -> None:
    for name in (
        "mugs/P2.jpg",
        "mugs/P1.PNG",
        "hats/felt/P3.webp",
        "P4.jpeg",
        "mugs/notes.txt",
        ".git/P5.jpg",
        "hats/P1.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"not looked at")
    accepted, rejected = read(tmp_path)
    assert {(p.product_id, p.category, p.image_url) for p in accepted.values()} == {
        ("P4", "", "P4.jpeg"),
        ("P1", "hats", "hats/P1.jpg"),
        ("P3", "hats/felt", "hats/felt/P3.webp"),
        ("P2", "mugs", "mugs/P2.jpg"),
    }
    assert sorted(rejected.values()) == [
        "mugs/notes.txt: is not a picture",
        "product_id P1 was already given in line 2",
    ]
    assert Catalogue(tmp_path, NOW_MS).read_fraction is None
    below, _ = read(tmp_path / "mugs", CatalogueOptions(images_dir=tmp_path))
    assert {product.image_url for product in below.values()} == {"mugs/P1.PNG", "mugs/P2.jpg"}


def test_what_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match=r"there is no .*absent; give a catalogue file or a folder"):
        Catalogue(tmp_path / "absent", NOW_MS)
    with pytest.raises(UnreadableSourceError, match="is a folder of pictures; a column mapping needs a table"):
        Catalogue(tmp_path, NOW_MS, CatalogueOptions({"title": "name"}))
    with pytest.raises(UnreadableSourceError, match="no column for product_id; it has title"):
        Catalogue(table(tmp_path, "title\nx\n"), NOW_MS)


def test_repeated_ids_beyond_what_is_remembered_are_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "REMEMBERED_IDS", 2)
    path = table(tmp_path, "id\nA\nB\nC\nC\nA\n")
    rows = list(Catalogue(path, NOW_MS).rows())
    assert [isinstance(row, AcceptedRow) for row in rows] == [True, True, True, True, False]
