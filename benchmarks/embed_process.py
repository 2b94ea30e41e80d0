"""Embeds a folder of pictures as the stage does, once for each line on standard input.

    python -m benchmarks.embed_process FOLDER [keras]

Says ``{}`` when the first vector is there, then pictures a second and resident memory for each round. With
``keras`` the same pictures, fetched and cleaned by the same threads, go through ``model.predict`` of that network.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from consumers.image_features.catalogue_embedding import cleaned_pictures, embed_catalogue
from consumers.image_features.encoder import Encoder
from consumers.image_features.encoder_file import SIDE
from consumers.image_features.pipeline import Fetched
from consumers.image_features.settings import FetchSettings, ImageSettings

_WARM_UP = 64


def main() -> None:
    """Answer until standard input ends."""
    folder = Path(sys.argv[1])
    settings = ImageSettings(fetch=FetchSettings(images_dir=folder))
    urls = {path.name: path.relative_to(folder).as_posix() for path in picture_files(folder)}
    embed = _keras(settings) if sys.argv[2:] == ["keras"] else _ours(settings)
    process = psutil.Process()
    _say()
    embed(dict(list(urls.items())[:_WARM_UP]))
    for _ in sys.stdin:
        start = time.perf_counter()
        embed(urls)
        seconds = time.perf_counter() - start
        _say(images_per_s=len(urls) / seconds, rss_mb=process.memory_info().rss / 1e6)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})


def _ours(settings: ImageSettings) -> Callable[[dict[str, str]], Any]:
    encoder = Encoder()
    encoder.embed(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    return lambda urls: embed_catalogue(urls, settings, encoder=encoder)


def _keras(settings: ImageSettings) -> Callable[[dict[str, str]], Any]:
    from training.architectures import make_network

    network = make_network("mobilenet-v2").whole

    def predict(pictures: list[NDArray[np.uint8]]) -> None:
        network.predict(np.stack(pictures).astype(np.float32), batch_size=settings.embed_batch, verbose=0)

    def embed(urls: dict[str, str]) -> None:
        batch: list[NDArray[np.uint8]] = []
        for outcomes in cleaned_pictures(urls, settings, SIDE):
            batch += [outcome.pixels for outcome in outcomes if isinstance(outcome, Fetched)]
            while len(batch) >= settings.embed_batch:
                predict(batch[: settings.embed_batch])
                del batch[: settings.embed_batch]
        if batch:
            predict(batch)

    predict([np.zeros((SIDE, SIDE, 3), np.uint8)])
    return embed


def _say(**figures: float) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
