"""The catalogue's pictures, served from below one folder, and nothing else from there or from anywhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

_HEAD_BYTES = 16


class Picture(NamedTuple):
    """A picture's bytes, media type, and a tag that changes when the file does."""

    data: bytes
    media_type: str
    etag: str


class Pictures:
    """Reads pictures below ``root``; links that lead out of it, other files and large ones are not there.

    What a file is, its first bytes say and not its name, so that no page or script can be served as one.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = Path(os.path.realpath(root))
        self._max_bytes = max_bytes

    def read(self, path: str) -> Picture | None:
        """The picture at a path relative to the root; None where there is none."""
        try:
            file = Path(os.path.realpath(self._root / path))
            if not file.is_relative_to(self._root):
                return None
            # Opening a named pipe would wait for a writer.
            with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
                status = os.fstat(opened.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size > self._max_bytes:
                    return None
                data = opened.read(self._max_bytes)
        except (OSError, ValueError):  # a null character is a ValueError
            return None
        media_type = media_type_of(data[:_HEAD_BYTES])
        if media_type is None:
            return None
        return Picture(data, media_type, f'"{status.st_mtime_ns:x}-{status.st_size:x}"')


def media_type_of(head: bytes) -> str | None:
    """The media type of a picture that browsers show, by its first bytes; None for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return "image/bmp" if head.startswith(b"BM") else None
