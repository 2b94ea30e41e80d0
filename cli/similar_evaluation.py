"""Category precision of similar products over a catalogue on disk: what ``recsys evaluate similar`` computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from consumers.image_features.catalogue_embedding import embed_catalogue
from consumers.image_features.settings import FetchSettings, ImageSettings
from producers.catalogue import Catalogue
from producers.tables import AcceptedRow
from recsys.evaluation.category_precision import category_precision
from recsys.evaluation.in_degrees import in_degrees
from recsys.neighbours import Changes, ExactIndex, ExactSettings
from recsys.neighbours.hubness import learn_correction
from schemas.errors import ConfigurationError
from schemas.events import ProductCreated

SPLIT_COLUMN = "split"
_FEWEST = 200
"""Products that say enough of a catalogue to correct hubs; the stage waits for more, as it learns few times."""
_PLACES = 20
"""Length of the lists that hubs are counted in, as a shop's."""

OnProgress = Callable[[int, int], None]


def evaluate_similar(
    catalog: Path,
    queries_split: str | None = None,
    k: int = 10,
    on_progress: OnProgress = lambda done, total: None,
    settings: ImageSettings | None = None,
) -> dict[str, Any]:
    """Embed a catalogue and measure its lists; returns ``k``, ``queries``, ``precision`` and what was left out.

    ``plain`` is the same of lists without the correction of hubs; ``hubness`` says of both, for lists of
    ``places``, in how many the most listed product stands, and what share of the products stands in none.

    Every product with a category is a query, or those of one split are; all are searched. One whose picture
    cannot be used (``unusable``) counts as 0, for shoppers see no list either. ``rejected`` rows of the table are
    no products. ``on_progress`` is told (pictures dealt with, pictures in all). Errors: ``ConfigurationError``.
    """
    products, rejected, images_dir = read_products(catalog)
    queries = _queries(products, queries_split)
    urls = {product_id: product.image_url for product_id, product in products.items() if product.image_url}
    embedded = embed_catalogue(
        urls, below(images_dir, settings or ImageSettings()), lambda done: on_progress(done, len(urls))
    )
    category_of = {product_id: product.category for product_id, product in products.items()}
    places = max(k, _PLACES)
    plain, corrected = (_lists(vectors, places) for vectors in _plain_and_corrected(embedded.vectors))
    found = category_precision(queries, corrected, category_of, k)
    if not found.queries:
        raise ConfigurationError(f"no product of {catalog} has a category; add a category column, or name it")
    before, after = in_degrees(plain, places), in_degrees(corrected, places)
    return {
        **found._asdict(),
        "plain": {"precision": category_precision(queries, plain, category_of, k).precision},
        "hubness": {
            "places": places,
            "largest_before": before.largest,
            "largest_after": after.largest,
            "in_no_list_before": before.share_in_no_list,
            "in_no_list_after": after.share_in_no_list,
        },
        "products": len(products),
        "unusable": len(products) - len(embedded.vectors),
        "rejected": rejected,
    }


def read_products(catalog: Path) -> tuple[dict[str, ProductCreated], int, Path]:
    """The products of a catalogue, how many rows are none, and the folder that its pictures are below."""
    source = Catalogue(catalog, event_time_ms=0)
    products: dict[str, ProductCreated] = {}
    rejected = 0
    for row in source.rows():
        if isinstance(row, AcceptedRow):
            products[row.event.product_id] = row.event
        else:
            rejected += 1
    return products, rejected, source.images_dir


def _queries(products: Mapping[str, ProductCreated], split: str | None) -> list[str]:
    if split is None:
        return list(products)
    split_of = {product_id: product.attributes.get(SPLIT_COLUMN, "") for product_id, product in products.items()}
    queries = [product_id for product_id, found in split_of.items() if found == split]
    if not queries:
        known = ", ".join(sorted(filter(None, set(split_of.values())))) or f"none (no {SPLIT_COLUMN} column)"
        raise ConfigurationError(f"no product is in the split {split!r}; the splits are: {known}")
    return queries


def below(images_dir: Path, settings: ImageSettings) -> ImageSettings:
    """Settings that fetch from this folder."""
    fetch = FetchSettings(**{**settings.fetch.model_dump(), "images_dir": images_dir})
    return settings.model_copy(update={"fetch": fetch})


def _plain_and_corrected(vectors: Mapping[str, Any]) -> Iterator[Changes]:
    yield Changes(vectors)
    if len(vectors) < _FEWEST:
        yield Changes(vectors)
        return
    rows, penalties = learn_correction(vectors)(np.stack(list(vectors.values())))
    yield Changes(
        dict(zip(vectors, rows, strict=True)), penalties=dict(zip(vectors, penalties.tolist(), strict=True))
    )


def _lists(changes: Changes, places: int) -> dict[str, list[str]]:
    if not changes.vectors:
        return {}
    index = ExactIndex(len(next(iter(changes.vectors.values()))), ExactSettings(list_length=places, margin=0))
    index.apply(changes)
    return {
        product_id: [near.product_id for near in index.neighbours(product_id)] for product_id in changes.vectors
    }
