"""Search by photo, as the HTTP edge needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ImageSearch(Protocol):
    """Finds products whose pictures look like a photo; called on worker threads, several at a time."""

    def search(self, image_bytes: bytes, n: int, category: str | None) -> Sequence[tuple[str, float]]:
        """The ``n`` products that look most like the photo, best first, with their likeness up to 1.

        Raises an ``ImageError`` that says what is wrong with the photo.
        """
        ...
