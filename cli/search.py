"""``recsys search``: the products that look like a photo."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from consumers.image_features.encoder import Encoder
    from consumers.image_features.photo_search import PhotoMatches
    from recsys.neighbours.feature_search import FeatureSearch
    from storefront.features import FeatureTable
    from storefront.products import ProductTable


def search(
    photo: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="a picture file")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=200, help="how many products")] = 10,
    category: Annotated[str | None, typer.Option(help="only products of this category")] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(exists=True, help="search this folder or table, embedded now, instead of the shop's topics"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON alone on standard output")] = False,
) -> None:
    """Print the products that look most like what a photo shows.

    [bold]recsys search photo.jpg --category dress[/bold] searches the features that the shop's stages published.
    """
    from consumers.configuration import load
    from consumers.image_features.encoder import Encoder
    from consumers.image_features.encoders import encoder_path
    from consumers.image_features.photo_search import PhotoSearch

    configuration = load()
    encoder = Encoder(encoder_path(configuration.images.encoder, configuration.images.encoders_dir))
    if catalog is None:
        features, products = _published(configuration.kafka)
    else:
        features, products = _embedded(catalog, encoder, configuration)
    matches = PhotoSearch(encoder, features.search).search(photo.read_bytes(), count, category)
    _require_any(matches, features, category)
    if as_json:
        sys.stdout.write(json.dumps(_as_json(matches, products), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(photo.name, matches, products)


def _published(kafka: Any) -> tuple[FeatureTable | FeatureSearch, ProductTable]:
    from storefront.features import FOLLOWED, FeatureTable
    from storefront.following import TopicFollower
    from storefront.products import ProductTable

    features, products = FeatureTable(), ProductTable()
    with TopicFollower(kafka, FOLLOWED) as follower:
        for records in follower.to_end():
            features.apply(records)
            products.apply(records)
    return features, products


def _embedded(catalog: Path, encoder: Encoder, configuration: Any) -> tuple[FeatureSearch, ProductTable]:
    from cli.catalogue_search import embed_for_search

    return embed_for_search(catalog, encoder, configuration.images, configuration.similar_products)


def _require_any(matches: PhotoMatches, features: FeatureTable | FeatureSearch, category: str | None) -> None:
    from schemas.errors import ConfigurationError

    if matches.products:
        return
    if not len(features):
        raise ConfigurationError("no product has a feature; publish a catalogue and run image-features")
    where = f"in the category {category!r}" if category else "in stock with a feature of this encoder"
    known = ", ".join(f"{encoder_id} ({products})" for encoder_id, products in sorted(features.encoders().items()))
    raise ConfigurationError(f"no product is {where}; features there are: {known}")


def _as_json(matches: PhotoMatches, products: ProductTable) -> dict[str, Any]:
    def facts(product_id: str) -> dict[str, Any]:
        product = products.get(product_id)
        return {} if product is None else {"title": product.title, "category": product.category}

    return {
        "box": None if matches.box is None else matches.box._asdict(),
        "products": [
            {"product_id": found.product_id, "score": round(found.score, 4), **facts(found.product_id)}
            for found in matches.products
        ],
    }


def _print(name: str, matches: PhotoMatches, products: ProductTable) -> None:
    from rich.console import Console
    from rich.table import Table

    from storefront.wording import printable, product_name

    looked_at = "all of it" if matches.box is None else "what stands out in it"
    table = Table("", "product", "category", "score", title=f"like {printable(name)} ({looked_at})")
    for rank, found in enumerate(matches.products, 1):
        product = products.get(found.product_id)
        category = printable(product.category) if product is not None else ""
        table.add_row(str(rank), product_name(found.product_id, product), category, f"{found.score:.3f}")
    Console().print(table)
