from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from producers.catalogue import Catalogue
from producers.rendered_catalogue import planned_products, render_catalogue
from producers.rendered_catalogue.looks import COLOURS, PATTERNS, textured
from producers.rendered_catalogue.rendering import CATEGORIES, DrawnProduct, drawn
from producers.tables import AcceptedRow
from schemas.errors import ConfigurationError


def test_the_catalogue_is_large_and_varied() -> None:
    planned = planned_products(320)
    assert len({item.product_id for item in planned}) == 320
    patterned = [(i.category, i.colour, i.ink, i.pattern) for i in planned if i.pattern != "plain"]
    assert len(set(patterned)) == len(patterned)
    assert len(CATEGORIES) >= 10
    sizes = Counter(item.category for item in planned).values()
    assert max(sizes) - min(sizes) <= 1
    assert {item.colour for item in planned} == set(COLOURS)
    assert {item.pattern for item in planned} == set(PATTERNS)


def test_titles_read_well_and_prices_fit() -> None:
    for item in planned_products(500):
        assert item.title[0].isupper()
        assert item.title.endswith(f", {item.colour}")
        assert (item.pattern in item.title.lower()) == (item.pattern != "plain")
        low, high = CATEGORIES[item.category].prices
        assert low - 1 < item.price < high
        assert item.material in CATEGORIES[item.category].materials


def test_more_products_than_looks_repeat_them_and_a_longer_plan_begins_like_a_shorter() -> None:
    assert len({item.product_id for item in planned_products(4_000)}) == 4_000
    assert planned_products(400)[:50] == planned_products(50)
    assert planned_products(50, seed=1) != planned_products(50)


def test_nothing_is_no_catalogue() -> None:
    with pytest.raises(ConfigurationError, match="a catalogue of 0 products is none"):
        planned_products(0)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_folder_is_one_that_can_be_published_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    done: list[int] = []
    planned = render_catalogue(tmp_path / "a", products=20, seed=3, on_progress=done.append)
    assert done == list(range(1, 21))
    rows = list(Catalogue(tmp_path / "a", 0).rows())
    assert all(isinstance(row, AcceptedRow) for row in rows)
    published = [row.event for row in rows if isinstance(row, AcceptedRow)]
    for product, item in zip(published, planned, strict=True):
        assert (product.product_id, product.category, product.title) == (
            item.product_id,
            item.category,
            item.title,
        )
        assert product.price == pytest.approx(item.price)
        assert product.attributes == {"colour": item.colour, "pattern": item.pattern, "material": item.material}
        with Image.open(tmp_path / "a" / (product.image_url or "")) as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (320, 320), "RGB")
    render_catalogue(tmp_path / "b", products=20, seed=3)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_shape_fills_the_picture_and_stays_within_it(category: str) -> None:
    n_variants = len(CATEGORIES[category].variants) + 1
    for variant in range(n_variants):
        item = DrawnProduct("p", category, "", "crimson", "ivory", "plain", "", 1.0, variant)
        picture = drawn(item, side_px=160)
        pixels = np.asarray(picture).astype(int)
        coloured = np.ptp(pixels, axis=2) > 40
        assert 0.08 < coloured.mean() < 0.7
        rows, columns = np.nonzero(coloured)
        assert min(rows.min(), columns.min()) > 2
        assert max(rows.max(), columns.max()) < 157
        corner = pixels[:8, :8].mean()
        assert corner > 225


@pytest.mark.parametrize("pattern", [pattern for pattern in PATTERNS if pattern != "plain"])
def test_every_pattern_shows_both_colours(pattern: str) -> None:
    pixels = np.asarray(textured(pattern, (0, 0, 0), (255, 255, 255), 200))[..., 0]
    assert 0.05 < (pixels < 64).mean() < 0.95
    assert 0.05 < (pixels > 191).mean() < 0.95


def test_colours_are_told_apart() -> None:
    palette = np.array(list(COLOURS.values()), float)
    distances = np.linalg.norm(palette[:, None] - palette[None], axis=2)
    assert distances[~np.eye(len(palette), dtype=bool)].min() > 30
