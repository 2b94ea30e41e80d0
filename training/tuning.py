"""Tunes an encoder to a catalogue: from its products to a file that is ready to be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from consumers.image_features.settings import SHIPPED_ENCODER, ImageSettings
from training.architectures import Network, make_network
from training.conversion import Exported, convert, export
from training.cutting import Cut, cut
from training.fitting import Fit, FitSettings, Fitted
from training.head import add_head, joined, small_network
from training.products import Products, read_products
from training.views import Trunk, Views, make_views

SCRATCH_SIDE = 128

_STAGE_EPOCHS, _STAGE_PATIENCE = 8, 2
_LONG_EPOCHS, _LONG_PATIENCE = 40, 8
"""For a head alone, whose epochs are short, and for a network without any earlier training."""

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What is tuned, on what, and how."""

    catalog: Path
    output: Path
    encoder: str = SHIPPED_ENCODER
    """A name, a ``.keras`` file, or a ``.tflite`` file of operators that are known."""
    weights: Path | None = None
    scaling: str = "none"
    events: Path | None = None
    split: str = "train"
    head_only: bool = False
    from_scratch: bool = False
    epochs: int | None = None
    seed: int = 0


class Tuned(NamedTuple):
    """What came out."""

    exported: Exported
    fitted: Fitted
    products: Products
    held_out_ids: list[str]
    unusable: int


def tune(options: TuneOptions, images: ImageSettings, on_progress: OnProgress) -> Tuned:
    """Train, and write the encoder's file; the same seed gives the same file on the same machine.

    Errors: ``TooFewProductsError``, those of ``make_network`` and of ``export``.
    """
    keras.backend.clear_session()  # layers are numbered anew, and their names are in the file
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    products = read_products(options.catalog, options.split, options.events, options.seed)
    images = below(products.images_dir, images)
    network = _network(options)
    part = Cut(None, network.core) if options.from_scratch else cut(network.core, head_only=options.head_only)
    views = _views(network, part, products, images, options, on_progress)
    settings = _settings(options)
    trainable = add_head(part, views.values[:, 0])
    fit = Fit(trainable, products, views, settings)
    fitted = fit.run(lambda done, total: on_progress("epochs", done, total))
    on_progress("converting", 0, 1)
    name = options.output.stem
    done = (
        network._replace(core=trainable.model)
        if part.trunk is None
        else joined(network, part.trunk, trainable.model, name)
    )
    exported = export(done, options.output, trained=_record(options, products, fitted))
    on_progress("converting", 1, 1)
    held_out = [products.ids[int(at)] for at in views.usable[fitted.held_out]]
    return Tuned(exported, fitted, products, held_out, len(products) - len(views.usable))


def below(images_dir: Path, images: ImageSettings) -> ImageSettings:
    """The same settings, with pictures fetched from below a catalogue's folder."""
    return images.model_copy(update={"fetch": images.fetch.model_copy(update={"images_dir": images_dir})})


def _network(options: TuneOptions) -> Network:
    if options.from_scratch:
        return small_network(SCRATCH_SIDE)
    return make_network(options.encoder, options.weights, options.scaling)


def _settings(options: TuneOptions) -> FitSettings:
    long = options.from_scratch or options.head_only
    epochs, patience = (_LONG_EPOCHS, _LONG_PATIENCE) if long else (_STAGE_EPOCHS, _STAGE_PATIENCE)
    return FitSettings(epochs=options.epochs or epochs, patience=patience, seed=options.seed)


def _views(
    network: Network,
    part: Cut,
    products: Products,
    images: ImageSettings,
    options: TuneOptions,
    on_progress: OnProgress,
) -> Views:
    trunk = None
    if part.trunk is not None:
        first = network._replace(core=part.trunk)
        trunk = Trunk(convert(first.whole, half=False), network.side)

    def report(done: int, total: int) -> None:
        on_progress("pictures", done, total)

    return make_views(products.image_urls, images, network.side, trunk, options.seed, report)


def _part(options: TuneOptions) -> str:
    if options.from_scratch:
        return "all, from scratch"
    return "head" if options.head_only else "last stage and head"


def _record(options: TuneOptions, products: Products, fitted: Fitted) -> dict[str, Any]:
    return {
        "products": len(products),
        "properties": ", ".join(products.labels),
        "pairs": len(products.pairs),
        "epochs": fitted.best_epoch,
        "held_out_precision": round(float(np.max(fitted.held_out_precision)), 4),
        "part": _part(options),
        "seed": options.seed,
    }
