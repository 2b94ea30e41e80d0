"""Pictures for benchmarks: coarse random colours, each unlike the others, and slight variants of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_SIZE = (300, 300)
_CELLS = 6
_VARIATION = 12


def render(folder: Path, number: int, *, variant: int = 0) -> str:
    """Draw picture ``number`` unless it is there; variants of a number look alike. Returns its file name."""
    name = f"{number}-{variant}.jpg"
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        cells = np.random.default_rng(number).integers(0, 256, (_CELLS, _CELLS, 3))
        noise = np.random.default_rng((number, variant)).integers(-_VARIATION, _VARIATION + 1, cells.shape)
        pixels = np.clip(cells + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize(_SIZE, Image.Resampling.NEAREST).save(path, quality=90)
    return name
