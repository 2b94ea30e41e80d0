"""A catalogue on disk, embedded to be searched at once, without Kafka."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.similar_evaluation import below, read_products
from consumers.image_features.catalogue_embedding import embed_catalogue
from consumers.image_features.cleaning import comparable_id
from consumers.image_features.encoder import Encoder
from consumers.image_features.settings import ImageSettings
from consumers.runtime.records import Record
from consumers.similar_products.settings import SimilarProductsSettings
from recsys.neighbours.feature_search import FeatureSearch
from recsys.neighbours.hubness import learn_correction
from schemas.codec import encode
from schemas.events import ImageFeature
from schemas.topics import PRODUCT_CREATED
from storefront.products import ProductTable


def embed_for_search(
    catalog: Path, encoder: Encoder, settings: ImageSettings, similar: SimilarProductsSettings
) -> tuple[FeatureSearch, ProductTable]:
    """The features of a folder or table as ``recsys publish catalogue`` takes it, and its products."""
    products, _, images_dir = read_products(catalog)
    urls = {product_id: product.image_url for product_id, product in products.items() if product.image_url}
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(urls))
        embedded = embed_catalogue(
            urls, below(images_dir, settings), lambda done: bar.update(task, completed=done)
        )
    encoder_id = comparable_id(encoder.encoder_id, encoder.side)
    features = {
        product_id: ImageFeature(
            product_id, 0, encoder_id, b"", products[product_id].category, vector.astype("<f2").tobytes(), "", 0
        )
        for product_id, vector in embedded.vectors.items()
    }
    search, table = FeatureSearch(), ProductTable()
    if similar.correct_hubs and len(embedded.vectors) >= min(similar.learn_at()):
        search.correct(encoder_id, learn_correction(embedded.vectors))
    search.apply(features, products)
    table.apply(
        [
            Record(PRODUCT_CREATED.name, 0, 0, 0, product_id.encode(), encode(product), ())
            for product_id, product in products.items()
        ]
    )
    return search, table
