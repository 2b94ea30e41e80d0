"""From a picture's bytes to the square RGB pixels that the encoder takes, whatever the shop uploaded."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from consumers.image_features.borders import (
    SEEN,
    SEEN_LEAST,
    Surroundings,
    shows_nothing,
    square_around,
    surroundings,
)
from consumers.image_features.encoder_file import SIDE
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

Pixels = NDArray[np.uint8]
T = TypeVar("T")
_SMOOTH = Image.Resampling.BICUBIC


def comparable_id(encoder_id: str, side: int) -> str:
    """Names an encoder and this way of cleaning together: vectors with the same id are comparable."""
    return f"{encoder_id}-trim{side}"


FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
"""What a shop uploads. Pillow's other readers stay shut: one of them starts Ghostscript."""

_ANIMATED_FORMATS = {"GIF", "PNG", "WEBP", "AVIF"}  # a JPEG with several frames is a camera's photo and preview

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def clean(data: bytes, limits: ImageLimits, side: int = SIDE) -> Pixels:
    """Decode a picture and bring it into the encoder's form: uint8 (side, side, 3), RGB.

    Upright as its EXIF orientation says, transparency on white, colours as sRGB, reduced with antialiasing. Of a
    picture with uniform borders, the square around what is within them, its background white where it nearly is;
    of others the central square, which beats squashing and padding for shop photographs (0.697, 0.665 and 0.685
    category precision@10 on the clothing photographs).

    Errors: an ``ImageError`` that says what is wrong. Nothing is decoded before the limits are checked.
    """
    return _decoded(data, limits, lambda image: np.asarray(_square(image, side)))


def whole_picture(data: bytes, limits: ImageLimits, side: int = SIDE) -> Image.Image:
    """The same without the crop: RGB, its shorter side at most twice ``side``; for looking at its parts."""
    return _decoded(data, limits, lambda image: _whole(image, 2 * side))


def square_of(picture: Image.Image, box: tuple[float, float, float, float], side: int = SIDE) -> Pixels:
    """A box of a picture, pixels from the top left, in the encoder's form: uint8 (side, side, 3)."""
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))


def _decoded(data: bytes, limits: ImageLimits, take: Callable[[Image.Image], T]) -> T:
    if not data:
        raise EmptyImageError("the picture has no bytes; upload it again")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"the picture has {len(data):,} bytes, {limits.max_bytes:,} are allowed; save it smaller"
        )
    image = _open(data)
    _check(image, limits)
    try:
        return take(image)
    except ImageError:
        raise
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise TruncatedImageError(
            f"the picture's data is damaged or incomplete ({error}); upload it again"
        ) from error


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(f"{error}; save the picture smaller") from error
    except Exception as error:  # as above: the header may be damaged in any way
        raise NotAnImageError(f"not a picture that can be read; save it as one of {', '.join(FORMATS)}") from error


def _check(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise EmptyImageError(f"the picture is {width}x{height} pixels; upload it again")
    if min(width, height) < limits.min_side:
        raise ImageTooSmallError(
            f"the picture is {width}x{height} pixels, at least {limits.min_side} a side are needed; upload more"
        )
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            f"the picture has {width}x{height} pixels, {limits.max_pixels:,} are allowed; save it smaller"
        )
    if image.format in _ANIMATED_FORMATS and _is_animated(image):
        raise AnimatedImageError("the picture is animated; give a still one")


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception as error:  # Pillow seeks in the file to find out
        raise TruncatedImageError("the picture's frames are damaged or incomplete; upload it again") from error


def _square(image: Image.Image, side: int) -> Image.Image:
    """The square that is embedded, at the encoder's size; steps that a small picture allows wait until then."""
    turn = _UPRIGHT.get(_orientation(image))
    _decode_reduced(image, 2 * side)
    image.load()
    whole = _resizable(image)
    profile = image.info.get("icc_profile")
    seen = _on_white(_seen(whole), profile)
    if shows_nothing(seen):
        raise FeaturelessImageError("the picture is all of one colour; upload one that shows the product")
    around = surroundings(seen)
    if around is None:
        small = _on_white(_central_square(whole).resize((side, side), _SMOOTH, reducing_gap=3.0), profile)
    else:
        small = _on_background(
            _on_white(_part(whole, square_around(whole.size, around.box), side), profile), around
        )
    return small if turn is None else small.transpose(turn)


def _seen(whole: Image.Image) -> Image.Image:
    scale = min(1.0, SEEN / max(whole.size))
    width, height = (min(length, max(SEEN_LEAST, round(length * scale))) for length in whole.size)
    return whole.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _central_square(whole: Image.Image) -> Image.Image:
    shorter = min(whole.size)
    left, top = (whole.width - shorter) // 2, (whole.height - shorter) // 2
    return whole.crop((left, top, left + shorter, top + shorter))


def _part(whole: Image.Image, square: tuple[int, int, int, int], side: int) -> Image.Image:
    """The square at the encoder's size; where it reaches beyond the picture, the picture's edge goes on."""
    left, top, right, bottom = square
    inside = (max(0, left), max(0, top), min(whole.width, right), min(whole.height, bottom))
    scale = side / (right - left)
    width = max(1, round((inside[2] - inside[0]) * scale))
    height = max(1, round((inside[3] - inside[1]) * scale))
    small = whole.crop(inside).resize((width, height), _SMOOTH, reducing_gap=3.0)
    at_x, at_y = round((inside[0] - left) * scale), round((inside[1] - top) * scale)
    before = ((at_y, max(0, side - height - at_y)), (at_x, max(0, side - width - at_x)))
    pixels = np.asarray(small)
    padded = np.pad(pixels, (*before, *((0, 0),) * (pixels.ndim - 2)), mode="edge")[:side, :side]
    return Image.fromarray(padded, small.mode)


def _on_background(small: Image.Image, around: Surroundings) -> Image.Image:
    """Where the background is nearly white, make it so; what is darker keeps its shade."""
    if not around.whitish or around.colour == (255, 255, 255):
        return small
    gain = 255.0 / np.array(around.colour, np.float32)
    return Image.fromarray(np.minimum(np.asarray(small) * gain + 0.5, 255).astype(np.uint8))


def _whole(image: Image.Image, largest: int) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    _decode_reduced(image, largest)
    image.load()
    whole = _resizable(image)
    scale = max(1.0, min(whole.size) / largest)
    size = (max(1, round(whole.width / scale)), max(1, round(whole.height / scale)))
    small = whole.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0) if scale > 1 else whole
    if turn is not None:
        small = small.transpose(turn)
    return _on_white(small, image.info.get("icc_profile"))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, TypeError, OSError, KeyError, struct.error):
        return 1  # an unreadable EXIF block spoils no pixel


def _decode_reduced(image: Image.Image, at_least: int) -> None:
    """Let libjpeg decode a large photograph at 1/2, 1/4 or 1/8, its shorter side no smaller than ``at_least``."""
    scale = at_least / min(image.size)
    if scale < 1:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))


def _resizable(image: Image.Image) -> Image.Image:
    """In a mode that can be resized smoothly: L, RGB, RGBA or CMYK."""
    if image.mode.startswith("I"):  # 16 bits a pixel; convert() would clip all above 255 to white
        wide = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(wide, 0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in {"L", "RGB", "CMYK"}:
        return image
    if image.mode in {"1", "P", "YCbCr", "RGBX", "HSV"}:
        return image.convert("RGB")
    raise NotAnImageError(f"the picture's colours are stored as {image.mode}; save it as 8-bit sRGB")


def _on_white(small: Image.Image, profile: bytes | None) -> Image.Image:
    rgb = _as_srgb(small, profile)
    if small.mode != "RGBA":
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, "white"), small.getchannel("A"))


def _as_srgb(small: Image.Image, profile: bytes | None) -> Image.Image:
    colours = small.convert("RGB") if small.mode != "CMYK" else small
    if profile:
        transform = _transform_to_srgb(profile, colours.mode)
        if transform is not None:
            return ImageCms.applyTransform(colours, transform) or colours.convert("RGB")
    return colours.convert("RGB")


@functools.lru_cache(maxsize=32)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the colours of an embedded ICC profile to sRGB; None where that changes nothing or cannot be done."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a broken profile, or one for other colours: the pixels are taken as they are
