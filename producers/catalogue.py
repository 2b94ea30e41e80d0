"""A shop's catalogue as product-created events: a table with a column mapping, or a folder of pictures.

Three layouts are read, as streams:

- a CSV, TSV or Parquet file with a row a product;
- a folder with a ``catalog.csv`` (or ``catalogue``; ``.tsv``, ``.parquet``) in it;
- a folder of pictures by category, ``folder/category/P123.jpg``: the file's name is the product_id.

A path in the table begins at ``pictures_dir`` (the catalogue's own folder unless it is given) and is published
relative to ``images_dir``, the folder that the image stage looks below; http(s) addresses are passed on. Further
pictures, ``other_images``, have commas or vertical bars between them, or are a list of Parquet. Columns that are
no field become attributes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from producers.cells import RowError, as_number, as_text, as_texts, as_time_ms, as_truth
from producers.errors import UnreadableSourceError
from producers.tables import AcceptedRow, RawRow, RejectedRow, Table, resolve_columns
from schemas.errors import ContractError
from schemas.events import ProductCreated

CatalogueRow = AcceptedRow[ProductCreated] | RejectedRow

FIELDS: dict[str, tuple[str, ...]] = {
    "product_id": ("product_id", "id", "sku", "item_id"),
    "title": ("title", "name"),
    "category": ("category",),
    "image": ("image", "image_url", "image_link", "picture"),
    "other_images": ("other_images", "other_image_urls", "additional_image_link"),
    "price": ("price",),
    "in_stock": ("in_stock",),
    "event_time_ms": ("event_time_ms",),
}
"""The fields of a product, and the column names that are taken for them without a mapping."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
TABLE_NAMES = tuple(
    f"{stem}{suffix}" for stem in ("catalog", "catalogue") for suffix in (".csv", ".tsv", ".parquet")
)

REMEMBERED_IDS = 1_000_000
"""How many product ids are remembered to find repeated ones; beyond it a repeated row is simply an update."""


@dataclass(frozen=True, slots=True)
class CatalogueOptions:
    """How a catalogue is to be read. ``mapping`` is field → column.

    ``pictures_dir`` is the catalogue's own folder unless it is given, and ``images_dir`` is ``pictures_dir``.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    pictures_dir: Path | None = None
    images_dir: Path | None = None


class Catalogue:
    """A catalogue on disk; raises ``UnreadableSourceError`` when there is none at ``path``.

    ``event_time_ms`` dates the products whose row says nothing of it.
    """

    def __init__(self, path: Path, event_time_ms: int, options: CatalogueOptions | None = None) -> None:
        options = options or CatalogueOptions()
        if not path.exists():
            raise UnreadableSourceError(f"there is no {path}; give a catalogue file or a folder of pictures")
        table_path = _table_in(path)
        self._event_time_ms = event_time_ms
        self._folder = path if path.is_dir() else path.parent
        self._pictures_dir = options.pictures_dir or self._folder
        self.images_dir = Path(os.path.abspath(options.images_dir or self._pictures_dir))
        """The folder that the image stage has to look below, absolute."""
        self._table: Table | None = None
        if table_path is not None:
            self._table = Table(table_path)
            self._columns = resolve_columns(self._table, options.mapping, FIELDS, ("product_id",))
            taken = set(self._columns.values())
            self._attributes = [column for column in self._table.columns if column and column not in taken]
        elif options.mapping:
            raise UnreadableSourceError(f"{path} is a folder of pictures; a column mapping needs a table")

    @property
    def read_fraction(self) -> float | None:
        """How much of the table has been read, 0 to 1; None for a folder of pictures."""
        return None if self._table is None else self._table.read_fraction

    def rows(self) -> Iterator[CatalogueRow]:
        """Every product in order, rejected rows among them."""
        made = self._table_products() if self._table is not None else self._picture_products()
        line_of: dict[str, int] = {}
        for row in made:
            if isinstance(row, AcceptedRow):
                product_id = row.event.product_id
                first = line_of.get(product_id)
                if first is not None:
                    yield RejectedRow(row.line, f"product_id {product_id} was already given in line {first}")
                    continue
                if len(line_of) < REMEMBERED_IDS:
                    line_of[product_id] = row.line
            yield row

    def _table_products(self) -> Iterator[CatalogueRow]:
        assert self._table is not None
        for raw in self._table.rows():
            try:
                yield AcceptedRow(raw.line, self._product(raw))
            except ContractError as error:
                yield RejectedRow(raw.line, str(error))

    def _product(self, raw: RawRow) -> ProductCreated:
        if raw.defect is not None:
            raise RowError(raw.defect)
        cells = {name: raw.cells[column] for name, column in self._columns.items() if column in raw.cells}
        image, price, in_stock, at = (cells.get(name) for name in ("image", "price", "in_stock", "event_time_ms"))
        return ProductCreated(
            product_id=as_text(cells.get("product_id", "")),
            event_time_ms=self._event_time_ms if at is None else as_time_ms("event_time_ms", at, "ms"),
            title=as_text(cells.get("title", "")),
            category=as_text(cells.get("category", "")),
            image_url=None if image is None else self._image_url(self._pictures_dir, as_text(image)),
            price=None if price is None else as_number("price", price),
            in_stock=True if in_stock is None else as_truth("in_stock", in_stock),
            other_image_urls=[
                self._image_url(self._pictures_dir, other) for other in as_texts(cells.get("other_images"))
            ],
            attributes={column: as_text(raw.cells[column]) for column in self._attributes if column in raw.cells},
        )

    def _image_url(self, folder: Path, image: str) -> str:
        if image.lower().startswith(("http://", "https://")):
            return image
        if "://" in image:
            raise RowError(f"image {image[:80]!r} is neither http, https nor a path")
        # Lexically, for the pictures need not be on this machine; the image stage checks what is really there.
        relative = os.path.relpath(folder / image, self.images_dir)
        if relative == os.curdir or relative.split(os.sep)[0] == os.pardir:
            raise RowError(f"image {image[:80]!r} is not below the images folder {self.images_dir}")
        return Path(relative).as_posix()

    def _picture_products(self) -> Iterator[CatalogueRow]:
        for line, path in enumerate(_files_below(self._folder), start=1):
            name = path.relative_to(self._folder)
            try:
                if path.suffix.lower() not in PICTURE_SUFFIXES:
                    raise RowError("is not a picture")
                product = ProductCreated(
                    product_id=path.stem,
                    event_time_ms=self._event_time_ms,
                    category="" if name.parent == Path() else name.parent.as_posix(),
                    image_url=self._image_url(self._folder, name.as_posix()),
                )
            except ContractError as error:
                yield RejectedRow(line, f"{name.as_posix()}: {error}")
            else:
                yield AcceptedRow(line, product)


def _table_in(path: Path) -> Path | None:
    """The table of a catalogue: the file itself, or the one in the folder; None for a folder of pictures."""
    if path.is_file():
        return path
    return next((path / name for name in TABLE_NAMES if (path / name).is_file()), None)


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder in a fixed order, hidden files and folders left out; links are not followed."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(parent, name)
