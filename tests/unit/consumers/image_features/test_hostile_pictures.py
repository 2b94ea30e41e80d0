"""A corpus of malformed and hostile files, made here: the right picture, or an error that says what is wrong."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import sys
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from consumers.image_features.cleaning import clean, whole_picture
from consumers.image_features.errors import (
    AnimatedImageError,
    EmptyImageError,
    ImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    NotAnImageError,
    TruncatedImageError,
)
from consumers.image_features.settings import ImageLimits

LIMITS = ImageLimits(max_bytes=2_000_000, max_pixels=4_000_000)
MEMORY_BYTES = 120_000_000

Good = dict[str, bytes]
Bad = dict[str, tuple[bytes, type[ImageError]]]


def scene(mode: str = "RGB", size: tuple[int, int] = (120, 80)) -> Image.Image:
    """Red on the left, blue on the right, with noise, so that files are longer than their headers."""
    pixels = np.random.default_rng(1).integers(0, 40, (size[1], size[0], 3)).astype(np.uint8)
    pixels[:, : size[0] // 2, 0] += 200
    pixels[:, size[0] // 2 :, 2] += 200
    return Image.fromarray(pixels).convert(mode)


def saved(picture: Image.Image, format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def jpeg_markers(data: bytes) -> Iterator[tuple[str, int]]:
    """Name and place of each segment up to the picture's data."""
    at = 2
    while at < len(data) and data[at] == 0xFF:
        yield f"{data[at + 1]:02x}", at
        if data[at + 1] == 0xDA:
            return
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]


def png_chunks(data: bytes) -> Iterator[tuple[str, int]]:
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8].decode("latin-1"), at
        at += 12 + length


def png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def turned(orientation: int) -> bytes:
    """The scene as a camera held so would store it."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = scene(size=(96, 96))
    return saved(picture.transpose(Image.Transpose(undo[orientation])), "PNG", exif=exif)


def readable() -> Good:
    corpus = {f"exif orientation {number}": turned(number) for number in range(2, 9)}
    for mode, format_ in (
        ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("P", "GIF"), ("LA", "PNG"), ("RGBA", "PNG"),
        ("RGBA", "WEBP"), ("CMYK", "TIFF"), ("RGB", "BMP"), ("RGB", "AVIF"), ("1", "PNG"), ("YCbCr", "TIFF"),
    ):  # fmt: skip
        corpus[f"{mode} {format_}"] = saved(scene(mode), format_)
    wide = np.asarray(scene("L")).astype(np.uint16) << 8
    corpus["16 bits a pixel"] = saved(Image.fromarray(wide), "PNG")
    corpus["16 bits a channel"] = png(64, 64, (b"\0" + bytes(32 * 6) + b"\xc0" * 32 * 6) * 64, bits=16)
    corpus["progressive"] = saved(scene(), "JPEG", progressive=True)
    corpus["an unreadable EXIF block"] = saved(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    corpus["a broken ICC profile"] = saved(scene(), "PNG", icc_profile=b"\0" * 200)
    corpus["another format's name"] = saved(scene(), "PNG")
    corpus["bytes after the end"] = saved(scene(), "JPEG") + b"<?php system($_GET[0]); ?>"
    corpus["very wide"] = saved(scene(size=(20_000, 30)), "PNG")
    corpus["very high"] = saved(scene(size=(30, 20_000)), "PNG")
    return corpus


def unusable() -> Bad:
    jpeg, a_png = saved(scene(), "JPEG"), saved(scene(), "PNG")
    corpus: Bad = {"nothing": (b"", EmptyImageError), "zeros": (bytes(5_000), NotAnImageError)}
    for name, at in jpeg_markers(jpeg):
        corpus[f"JPEG cut at {name} {at}"] = (jpeg[:at], ImageError)
        corpus[f"JPEG cut within {name} {at}"] = (jpeg[: at + 3], ImageError)
    for name, at in png_chunks(a_png):
        if name != "IEND":
            corpus[f"PNG cut at {name} {at}"] = (a_png[:at], ImageError)
            corpus[f"PNG cut within {name} {at}"] = (a_png[: at + 10], ImageError)
    for format_ in ("WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        data = saved(scene(), format_)
        corpus[f"{format_} cut in half"] = (data[: len(data) // 2], ImageError)
        corpus[f"{format_} header alone"] = (data[:12], NotAnImageError)
    for name, content in {
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "JSON": b'{"error": "gone"}', "ZIP": b"PK\x03\x04" + bytes(60),
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "HTML": b"<!doctype html>404",
    }.items():  # fmt: skip
        corpus[name] = (content, NotAnImageError)
    corpus["a bomb of pixels"] = (png(30_000, 30_000, bytes(1_000)), ImageTooLargeError)
    corpus["a bomb that lies about its size"] = (png(1_900, 2_000, bytes(1_000)), TruncatedImageError)
    corpus["more pixels than allowed"] = (saved(Image.new("1", (2_100, 2_000)), "PNG"), ImageTooLargeError)
    corpus["more bytes than allowed"] = (bytes(2_000_001), ImageTooLargeError)
    corpus["the largest dimensions there are"] = (png(2**31 - 1, 2**31 - 1, b""), ImageError)
    corpus["no width"] = (png(0, 10, b""), ImageError)
    gif_of_no_size = b"GIF89a\0\0\0\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\0\0\0\0\0\x02\x02D\x01\0;"
    corpus["a GIF of no size"] = (gif_of_no_size, ImageError)
    corpus["floating point"] = (saved(Image.new("F", (99, 99)), "TIFF"), NotAnImageError)
    corpus["one pixel"] = (saved(Image.new("RGB", (1, 1), "red"), "PNG"), ImageTooSmallError)
    corpus["a line"] = (saved(Image.new("RGB", (20_000, 2), "red"), "PNG"), ImageTooSmallError)
    frames = [scene(size=(40, 40)).rotate(90 * number) for number in range(3)]
    for format_ in ("GIF", "WEBP", "PNG"):
        animated = saved(frames[0], format_, save_all=True, append_images=frames[1:])
        corpus[f"animated {format_}"] = (animated, AnimatedImageError)
    return corpus


READABLE, UNUSABLE = readable(), unusable()


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(READABLE) + len(UNUSABLE) >= 80


@pytest.fixture(scope="module", autouse=True)
def bounded_memory() -> Iterator[None]:
    """The largest picture that is allowed has 12 MB as RGB; a decoder and a resize need a few of that."""
    before = peak_bytes()
    yield
    assert peak_bytes() - before < MEMORY_BYTES


def peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("name", READABLE)
def test_odd_but_honest_files_are_read(name: str) -> None:
    pixels = clean(READABLE[name], LIMITS)
    assert (pixels.shape, pixels.dtype) == ((224, 224, 3), np.uint8)
    assert min(whole_picture(READABLE[name], LIMITS).size) <= 448


@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_orientation_comes_out_upright(orientation: int) -> None:
    upright = clean(saved(scene(size=(96, 96)), "PNG"), LIMITS).astype(int)
    found = clean(READABLE[f"exif orientation {orientation}"], LIMITS).astype(int)
    assert np.abs(upright - found).mean() < 3


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_is_refused_with_the_reason(name: str) -> None:
    data, error = UNUSABLE[name]
    for read in (clean, whole_picture):
        with pytest.raises(error) as raised:
            read(data, LIMITS)
        assert not raised.value.retriable
        assert len(str(raised.value)) > 20


MAGIC = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM", b"II*\0"]
SEEDS = [saved(scene(size=(40, 30)), format_) for format_ in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]


@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files_give_a_picture_or_an_error(seed: bytes, data: st.DataObject) -> None:
    damaged = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
        damaged = damaged or bytearray(b"\0")
    try:
        pixels = clean(bytes(damaged), LIMITS)
    except ImageError:
        return
    assert (pixels.shape, pixels.dtype) == ((224, 224, 3), np.uint8)


@given(st.sampled_from(MAGIC), st.binary(max_size=300))
def test_any_bytes_give_a_picture_or_an_error(magic: bytes, rest: bytes) -> None:
    with contextlib.suppress(ImageError):
        clean(magic + rest, LIMITS)
