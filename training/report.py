"""What tuning changed, as a page with pictures: neighbours before and after, confusions, a map."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from consumers.image_features.catalogue_embedding import cleaned_pictures, embed_catalogue
from consumers.image_features.pipeline import Fetched
from consumers.image_features.settings import ImageSettings
from producers.catalogue import Catalogue
from producers.tables import AcceptedRow
from training.fitting import K, precision
from training.tuning import Tuned, below

_QUERIES = 8
_SHOWN = 6
_THUMBNAIL = 96
_MAPPED = 4_000
_MOST_CATEGORIES = 20
_DIFFERENT, _SAME = "#c0392b", "#2e8b57"

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Compared:
    """The same products through both encoders."""

    ids: Sequence[str]
    urls: Mapping[str, str]
    categories: NDArray[np.int32]
    names: Sequence[str]
    before: Vectors
    after: Vectors
    unseen: NDArray[np.int64]
    """Positions of the products that nothing was learnt from."""


def write_report(
    tuned: Tuned, catalog: Path, before: str, images: ImageSettings, on_progress: Callable[[str, int, int], None]
) -> tuple[Path, dict[str, float]]:
    """Embed the whole catalogue with both encoders and draw; returns the page, and precision@10 before and after.

    Both are of products that nothing was learnt from, searched among all. ``before`` is what it is compared with.
    """
    mpl.use("Agg")
    folder = tuned.exported.path.with_suffix(".report")
    folder.mkdir(parents=True, exist_ok=True)
    images = below(tuned.products.images_dir, images)
    compared = _compare(tuned, catalog, before, images, on_progress)
    figures = {
        "neighbours.png": _neighbours(compared, images),
        "confusion.png": _confusion(compared),
        "map.png": _map(compared),
        "training.png": _training(tuned),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110, metadata={"Software": None})
    found = {
        "precision_before": precision(compared.before, compared.categories, compared.unseen),
        "precision_after": precision(compared.after, compared.categories, compared.unseen),
    }
    page = folder / "report.html"
    page.write_text(_page(tuned, compared, found, list(figures)), encoding="utf-8")
    return page, {name: round(value, 4) for name, value in found.items()}


def _compare(
    tuned: Tuned, catalog: Path, before: str, images: ImageSettings, on_progress: Callable[[str, int, int], None]
) -> _Compared:
    events = [row.event for row in Catalogue(catalog, event_time_ms=0).rows() if isinstance(row, AcceptedRow)]
    urls = {event.product_id: event.image_url for event in events if event.image_url}
    vectors = []
    for encoder in (before, str(tuned.exported.path)):
        chosen = images.model_copy(update={"encoder": encoder})
        embedded = embed_catalogue(urls, chosen, lambda done: on_progress("comparing", done, len(urls)))
        vectors.append(embedded.vectors)
    ids = [product_id for product_id in urls if product_id in vectors[0] and product_id in vectors[1]]
    category_of = {event.product_id: event.category for event in events}
    names = sorted({category_of[product_id] for product_id in ids} - {""})
    number = {name: at for at, name in enumerate(names)}
    learnt = set(tuned.products.ids) - set(tuned.held_out_ids)
    return _Compared(
        ids,
        urls,
        np.array([number.get(category_of[product_id], -1) for product_id in ids], np.int32),
        names,
        np.stack([vectors[0][product_id] for product_id in ids]).astype(np.float32),
        np.stack([vectors[1][product_id] for product_id in ids]).astype(np.float32),
        np.array([at for at, product_id in enumerate(ids) if product_id not in learnt], np.int64),
    )


def _nearest(vectors: Vectors, queries: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    cosines = vectors[queries] @ vectors.T
    cosines[np.arange(len(queries)), queries] = -2
    return np.argsort(-cosines, axis=1, kind="stable")[:, :count]


def _neighbours(compared: _Compared, images: ImageSettings) -> Figure:
    """A row a product: itself, its nearest before, its nearest after; green is its own category."""
    rng = np.random.default_rng(0)
    queries = np.sort(rng.permutation(compared.unseen)[:_QUERIES])
    lists = [_nearest(vectors, queries, _SHOWN) for vectors in (compared.before, compared.after)]
    wanted = {compared.ids[int(at)] for at in (*queries, *np.concatenate(lists, axis=1).ravel())}
    thumbnails = {
        outcome.ref: outcome.pixels
        for outcomes in cleaned_pictures({i: compared.urls[i] for i in wanted}, images, _THUMBNAIL)
        for outcome in outcomes
        if isinstance(outcome, Fetched)
    }
    width = 2 * _SHOWN + 3
    figure = Figure(figsize=(width * 0.95, len(queries) * 1.08 + 0.5), layout="constrained")
    axes = figure.subplots(len(queries), width, squeeze=False)
    for one in axes.ravel():
        one.set_axis_off()
    for row, query in enumerate(queries):
        cells = [(0, int(query))]
        for block, found in enumerate(lists):
            cells += [(2 + block * (_SHOWN + 1) + place, int(at)) for place, at in enumerate(found[row])]
        for column, at in cells:
            same = compared.categories[at] == compared.categories[query]
            _thumbnail(axes[row, column], thumbnails.get(compared.ids[at]), None if column == 0 else same)
    for column, title in ((0, "product"), (2, "before"), (3 + _SHOWN, "after")):
        axes[0, column].set_title(title, loc="left", fontsize=11)
    return figure


def _thumbnail(axes: Any, pixels: NDArray[np.uint8] | None, same: Any) -> None:
    if pixels is None:
        return
    axes.set_axis_on()
    axes.imshow(pixels)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_linewidth(0 if same is None else 2.5)
        side.set_color(_SAME if same else _DIFFERENT)


def _confusion(compared: _Compared) -> Figure:
    """Which category stands in the lists of which, before and after: shares of the ten nearest."""
    count = len(compared.names)
    figure = Figure(figsize=(14, 6.4), layout="constrained")
    for axes, title, vectors in zip(
        figure.subplots(1, 2), ("before", "after"), (compared.before, compared.after), strict=True
    ):
        shares = np.zeros((count, count))
        queries = compared.unseen[compared.categories[compared.unseen] >= 0]
        listed = compared.categories[_nearest(vectors, queries, min(K, len(compared.ids) - 1))]
        for own, others in zip(compared.categories[queries], listed, strict=True):
            np.add.at(shares[own], others[others >= 0], 1)
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"{title}: category of a product (row) and of its nearest (column)", fontsize=10)
        axes.set_xticks(range(count), compared.names, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(count), compared.names, fontsize=8)
        if count <= _MOST_CATEGORIES:
            for row, column in zip(*np.nonzero(shares >= 0.005), strict=True):
                share = shares[row, column]
                colour = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=7, color=colour)
    return figure


def _map(compared: _Compared) -> Figure:
    """The catalogue in two dimensions, by t-SNE (van der Maaten and Hinton, 2008), before and after."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(compared.ids))[:_MAPPED])
    figure = Figure(figsize=(15, 6.6), layout="constrained")
    colours = mpl.colormaps["tab20"]
    panels = figure.subplots(1, 2)
    for axes, title, vectors in zip(panels, ("before", "after"), (compared.before, compared.after), strict=True):
        reduced = PCA(min(50, len(chosen) - 1, vectors.shape[1]), random_state=0).fit_transform(vectors[chosen])
        perplexity = min(30.0, (len(chosen) - 1) / 3)
        points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
        for number, name in enumerate(compared.names):
            own = compared.categories[chosen] == number
            axes.scatter(*points[own].T, s=7, color=colours(number % 20), label=name)
        axes.set_title(title, fontsize=11)
        axes.set_xticks([])
        axes.set_yticks([])
    if 0 < len(compared.names) <= _MOST_CATEGORIES:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", markerscale=2.5)
    return figure


def _training(tuned: Tuned) -> Figure:
    fitted = tuned.fitted
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(fitted.losses) + 1)
    left.plot(epochs, fitted.losses, marker="o")
    left.set(title="loss", xlabel="epoch")
    right.plot(epochs, fitted.held_out_precision, marker="o")
    right.axvline(fitted.best_epoch, color="grey", linestyle=":")
    right.set(title="held-out precision@10; the dotted epoch was kept", xlabel="epoch")
    return figure


def _page(tuned: Tuned, compared: _Compared, found: Mapping[str, float], pictures: Sequence[str]) -> str:
    described = tuned.exported.description
    facts = {
        "encoder id": described.encoder_id,
        "tuned from": described.architecture,
        "learnt from": f"{len(tuned.products) - len(tuned.held_out_ids):,} products, "
        f"{len(tuned.products.pairs):,} pairs; properties: {', '.join(tuned.products.labels) or 'none'}",
        "precision@10 before": f"{found['precision_before']:.4f}",
        "precision@10 after": f"{found['precision_after']:.4f}",
        "judged on": f"{len(compared.unseen):,} products that nothing was learnt from, searched among all",
        "largest difference to Keras": f"{described.keras_max_difference:.2g}",
        "vector": f"{described.dimensions} numbers",
    }
    rows = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in facts.items())
    images = "".join(f'<figure><img src="{name}" alt="{name}"></figure>' for name in pictures)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Tuned encoder</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
        "th{text-align:left;padding-right:2rem}figure{margin:2rem 0}img{max-width:100%}</style>"
        f"<h1>{html.escape(described.name)}</h1><table>{rows}</table>{images}</html>\n"
    )
