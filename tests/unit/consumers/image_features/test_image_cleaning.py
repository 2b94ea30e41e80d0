from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from consumers.image_features.cleaning import clean
from consumers.image_features.errors import (
    AnimatedImageError,
    EmptyImageError,
    FeaturelessImageError,
    ImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    NotAnImageError,
    TruncatedImageError,
)
from consumers.image_features.settings import ImageLimits

LIMITS = ImageLimits()
WHITE, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def quadrants(mode: str = "RGB", size: tuple[int, int] = (320, 320)) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = Image.new("RGB", size, WHITE)
    half = (size[0] // 2, size[1] // 2)
    image.paste(RED, (0, 0, *half))
    image.paste(GREEN, (half[0], 0, size[0], half[1]))
    image.paste(BLUE, (0, half[1], half[0], size[1]))
    return image.convert(mode)


def corners(pixels: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Middle pixels of the quadrants, rounded to fully on or off: top left, top right, bottom left, right."""
    points = ((56, 56), (56, 168), (168, 56), (168, 168))
    return [tuple(int(v > 127) * 255 for v in pixels[point]) for point in points]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_every_format_that_shops_upload_gives_the_same_picture(format_: str) -> None:
    pixels = clean(encoded(quadrants(), format_), LIMITS)
    assert (pixels.shape, pixels.dtype) == ((224, 224, 3), np.uint8)
    assert corners(pixels) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("mode", "format_"), [("P", "PNG"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("RGBA", "PNG"), ("YCbCr", "TIFF")]
)
def test_colour_spaces_become_rgb(mode: str, format_: str) -> None:
    assert corners(clean(encoded(quadrants(mode), format_), LIMITS)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_becomes_rgb(mode: str) -> None:
    image = Image.new("L", (300, 300), 0)
    image.paste(255, (150, 0, 300, 300))
    black = (0, 0, 0)
    assert corners(clean(encoded(image.convert(mode), "PNG"), LIMITS)) == [black, WHITE, black, WHITE]


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    pixels = np.full((256, 256), 0x4000, np.uint16)
    pixels[:, 128:] = 0xC000
    image = Image.fromarray(pixels)
    assert image.mode == "I;16"
    found = clean(encoded(image, "PNG"), LIMITS)
    assert (np.unique(found[:, :100]).tolist(), np.unique(found[:, 124:]).tolist()) == ([0x40], [0xC0])


def test_a_floating_point_picture_is_refused_with_what_to_do() -> None:
    with pytest.raises(NotAnImageError, match="stored as F; save it as 8-bit sRGB"):
        clean(encoded(Image.new("F", (256, 256), 0.5), "TIFF"), LIMITS)


def swapped_primaries() -> bytes:
    """An ICC profile (ICC.1:2001, matrix and gamma 2.2) in which the channels for red and blue are swapped."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    red, green, blue = xyz(0.4361, 0.2225, 0.0139), xyz(0.3851, 0.7169, 0.0971), xyz(0.1431, 0.0606, 0.7141)
    gamma = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    name = b"swapped\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78 + 4)
    tags = [(b"desc", description), (b"wtpt", xyz(0.9642, 1.0, 0.8249)), (b"cprt", b"text\0\0\0\0none\0\0\0\0")]
    tags += [(b"rXYZ", blue), (b"gXYZ", green), (b"bXYZ", red)]
    tags += [(b"rTRC", gamma), (b"gTRC", gamma), (b"bTRC", gamma)]
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for kind, data in tags:
        data += bytes(-len(data) % 4)
        table += kind + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI", size, b"\0\0\0\0", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    illuminant = struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(28) + illuminant + bytes(48) + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_embedded_colour_profile_is_applied(mode: str) -> None:
    data = encoded(quadrants(mode), "PNG", icc_profile=swapped_primaries())
    assert corners(clean(data, LIMITS)) == [BLUE, GREEN, RED, WHITE]


def test_a_profile_for_other_colours_is_passed_over() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB", 5000)).tobytes()
    assert corners(clean(encoded(quadrants(), "PNG", icc_profile=lab), LIMITS)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("profile", [b"not a profile", b"\x00" * 4000])
def test_a_broken_colour_profile_spoils_nothing(profile: bytes) -> None:
    assert corners(clean(encoded(quadrants(), "PNG", icc_profile=profile), LIMITS)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_shown_on_white(mode: str) -> None:
    image = Image.new(mode, (256, 256))  # black, and transparent but for a stripe
    image.paste(Image.new("L", (256, 60), 200).convert(mode), (0, 98))
    found = clean(encoded(image, "PNG"), LIMITS)
    assert (found[:40] == 255).all()
    assert (found[90:130] == 200).all()


def test_a_palette_with_a_transparent_colour_is_shown_on_white() -> None:
    image = quadrants("P", (256, 256))
    red = image.getpixel((10, 10))
    assert corners(clean(encoded(image, "PNG", transparency=red), LIMITS))[0] == WHITE


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_undone(orientation: int, format_: str) -> None:
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quadrants() if orientation == 1 else quadrants().transpose(inverse[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert corners(clean(encoded(stored, format_, exif=exif), LIMITS)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_spoils_nothing() -> None:
    data = encoded(quadrants(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert corners(clean(data, LIMITS)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("size", [(30, 2000), (2000, 30), (400, 1000), (1000, 400)])
def test_any_shape_becomes_the_central_square(size: tuple[int, int]) -> None:
    width, height = size
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (width // 2, height // 2, width, height))
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    image.paste(GREEN, (left, top, left + side, top + side))
    assert (clean(encoded(image, "PNG"), LIMITS) == GREEN).all()


def framed(size: tuple[int, int], box: tuple[int, int, int, int], background: tuple[int, int, int]) -> Image.Image:
    """A pattern at a place on a background with a little noise."""
    pixels = np.random.default_rng(4).normal(background, 1.5, (size[1], size[0], 3))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    image.paste(quadrants(size=(box[2] - box[0], box[3] - box[1])), (box[0], box[1]))
    return image


@pytest.mark.parametrize("box", [(40, 60, 240, 260), (500, 300, 700, 500), (300, 0, 500, 200)])
def test_uniform_borders_are_trimmed(box: tuple[int, int, int, int]) -> None:
    whole = clean(encoded(quadrants(), "PNG"), LIMITS).astype(int)
    found = clean(encoded(framed((800, 600), box, (90, 120, 150)), "JPEG", quality=95), LIMITS)
    assert corners(found) == corners(whole)
    assert (np.abs(found[104:120, 2].astype(int) - (90, 120, 150)) < 25).all(), "a margin is left"


def test_what_is_long_is_kept_whole_and_its_background_goes_on() -> None:
    found = clean(encoded(framed((300, 900), (100, 50, 200, 850), (200, 40, 200)), "PNG"), LIMITS)
    assert corners(found[:, 100:124].repeat(9, axis=1)) == [RED, GREEN, BLUE, WHITE]
    assert (np.abs(found[100:120, 10].astype(int) - (200, 40, 200)) < 20).all()


def test_a_background_that_is_nearly_white_becomes_white() -> None:
    found = clean(encoded(framed((600, 600), (150, 150, 450, 450), (236, 238, 235)), "PNG"), LIMITS)
    assert found[:, :3].min() > 250
    darker = clean(encoded(framed((600, 600), (150, 150, 450, 450), (200, 200, 200)), "PNG"), LIMITS)
    assert abs(darker[:, :3].mean() - 200) < 5


@pytest.mark.parametrize("colour", [(255, 255, 255), (12, 12, 12), (120, 130, 200)])
def test_a_picture_of_one_colour_is_refused(colour: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(4).normal(colour, 1.0, (300, 200, 3))
    blank = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    with pytest.raises(FeaturelessImageError, match="shows the product"):
        clean(encoded(blank, "JPEG"), LIMITS)


def test_a_picture_with_too_few_pixels_is_refused() -> None:
    with pytest.raises(ImageTooSmallError, match="20x300 pixels, at least 24"):
        clean(encoded(quadrants(size=(20, 300)), "PNG"), LIMITS)
    assert clean(encoded(quadrants(size=(20, 300)), "PNG"), ImageLimits(min_side=20)).shape == (224, 224, 3)


def test_fine_patterns_are_averaged_and_do_not_alias() -> None:
    checkered = (np.indices((1791, 1791)).sum(0) % 2 * 255).astype(np.uint8)
    checkered[:900] = 0
    pixels = clean(encoded(Image.fromarray(checkered), "PNG"), LIMITS)
    assert abs(pixels[120:].astype(int) - 127).max() < 12


def test_a_large_photograph_decoded_reduced_looks_as_decoded_whole() -> None:
    rng = np.random.default_rng(7)
    photo = Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8)).resize(
        (1440, 960), Image.Resampling.BICUBIC
    )
    reduced = clean(encoded(photo, "JPEG", quality=95), LIMITS).astype(int)
    whole = clean(encoded(photo, "BMP"), LIMITS).astype(int)
    assert abs(reduced - whole).mean() < 1.5


def test_no_bytes() -> None:
    with pytest.raises(EmptyImageError, match="no bytes"):
        clean(b"", LIMITS)


@pytest.mark.parametrize("data", [b"<html>404</html>", b"\x00" * 100, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>"])
def test_what_is_no_picture_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(NotAnImageError, match="save it as one of JPEG, PNG"):
        clean(data, LIMITS)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
def test_a_truncated_picture_is_refused(format_: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (120, 120, 3), np.uint8))
    data = encoded(noise, format_)
    with pytest.raises(NotAnImageError, match=r"upload it again|save it as"):
        clean(data[: int(len(data) * share)], LIMITS)


def test_a_truncated_photograph_is_named_so() -> None:
    data = encoded(quadrants(size=(640, 480)), "JPEG")
    with pytest.raises(TruncatedImageError, match="incomplete"):
        clean(data[: len(data) // 2], LIMITS)


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP"])
def test_animated_pictures_are_refused(format_: str) -> None:
    frames = [Image.new("RGB", (230, 230), colour) for colour in (GREEN, BLUE)]
    data = encoded(Image.new("RGB", (230, 230), RED), format_, save_all=True, append_images=frames, duration=100)
    with pytest.raises(AnimatedImageError, match="give a still one"):
        clean(data, LIMITS)


def test_a_camera_photo_with_its_preview_is_one_picture() -> None:
    data = encoded(quadrants(), "MPO", save_all=True, append_images=[quadrants(size=(160, 160))])
    assert corners(clean(data, LIMITS)) == [RED, GREEN, BLUE, WHITE]


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, with hardly any pixels behind it: a decompression bomb's first bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8_000, 10_000, 60_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side: int) -> None:
    with pytest.raises(ImageTooLargeError, match=r"save (it|the picture) smaller"):
        clean(png_header(side, side), LIMITS)


def test_a_picture_without_pixels() -> None:
    with pytest.raises(NotAnImageError):
        clean(png_header(0, 10), LIMITS)


def test_the_limits_are_exact() -> None:
    data = encoded(quadrants(size=(300, 200)), "PNG")
    clean(data, ImageLimits(max_bytes=len(data), max_pixels=60_000))
    with pytest.raises(ImageTooLargeError, match="bytes"):
        clean(data, ImageLimits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLargeError, match=r"300x200 pixels, 59,999 are allowed"):
        clean(data, ImageLimits(max_pixels=59_999))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_damaged_bytes_are_never_anything_but_an_image_error(format_: str) -> None:
    data = encoded(quadrants(size=(64, 48)), format_)
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        damaged = np.frombuffer(data, np.uint8).copy()
        at = rng.integers(0, len(damaged), 8)
        damaged[at] = rng.integers(0, 256, 8)
        try:
            assert clean(damaged.tobytes(), LIMITS).shape == (224, 224, 3)
        except ImageError:
            refused += 1
    assert refused > 0 or format_ in {"BMP", "JPEG"}
