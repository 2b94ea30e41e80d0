from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from consumers.image_features.encoder import Encoder
from consumers.image_features.errors import ImageError, ImageTooLargeError, NotAnImageError
from consumers.image_features.object_box import Box, object_box
from consumers.image_features.photo_search import PhotoSearch
from consumers.image_features.settings import ImageLimits
from recsys.neighbours import Neighbour
from recsys.neighbours.by_encoder import Feature

ASKED: list[tuple[Feature, int, str | None]] = []


def nearest(feature: Feature, count: int, category: str | None) -> list[Neighbour]:
    ASKED.append((feature, count, category))
    return [Neighbour("p", 0.5)]


@pytest.fixture(scope="module")
def photos() -> PhotoSearch:
    return PhotoSearch(Encoder(num_threads=1), nearest, ImageLimits(max_bytes=3_000_000, max_pixels=2_000_000))


def saved(picture: Image.Image, format_: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, format_)
    return file.getvalue()


def mug(size: tuple[int, int] = (200, 200)) -> Image.Image:
    picture = Image.new("RGB", size, (170, 30, 40))
    draw = ImageDraw.Draw(picture)
    for row in range(0, size[1], 20):
        draw.rectangle((0, row, size[0], row + 8), fill=(240, 220, 60))
    return picture


def on_a_table(thing: Image.Image, at: tuple[int, int], size: tuple[int, int] = (900, 700)) -> Image.Image:
    rng = np.random.default_rng(1)
    table = np.full((size[1], size[0], 3), (150.0, 160.0, 170.0)) + np.linspace(-25, 25, size[0])[None, :, None]
    picture = Image.fromarray(np.clip(table + rng.normal(0, 5, table.shape), 0, 255).astype(np.uint8))
    picture.paste(thing, at)
    return picture


@pytest.mark.parametrize("at", [(40, 60), (600, 420), (300, 250)])
def test_what_stands_out_is_boxed(at: tuple[int, int]) -> None:
    box = object_box(on_a_table(mug(), at))
    assert box is not None
    assert box == pytest.approx((at[0] / 900, at[1] / 700, (at[0] + 200) / 900, (at[1] + 200) / 700), abs=0.05)


def test_the_whole_photo_is_taken_where_nothing_stands_out_or_all_does() -> None:
    rng = np.random.default_rng(2)
    assert object_box(Image.new("RGB", (300, 200), (250, 250, 250))) is None
    assert object_box(Image.fromarray(rng.integers(0, 256, (200, 300, 3), np.uint8))) is None
    assert object_box(on_a_table(mug((860, 670)), (20, 15))) is None
    assert object_box(on_a_table(mug((12, 12)), (400, 300))) is None


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10_000))
def test_a_box_lies_within_the_picture(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    pixels[height // 3 :, width // 2 :] //= 9
    box = object_box(Image.fromarray(pixels))
    assert box is None or (0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1)


def test_a_thing_in_a_photo_is_embedded_as_in_its_own_picture(photos: PhotoSearch) -> None:
    product, _ = photos.embed(saved(mug()))
    photo, box = photos.embed(saved(on_a_table(mug(), (600, 420)), "JPEG"))
    assert isinstance(box, Box)
    whole = PhotoSearch(photos._encoder, nearest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("consumers.image_features.photo_search.object_box", lambda picture: None)
        unboxed, _ = whole.embed(saved(on_a_table(mug(), (600, 420)), "JPEG"))
    assert product.vector @ photo.vector > product.vector @ unboxed.vector + 0.2


def test_the_question_is_passed_on(photos: PhotoSearch) -> None:
    ASKED.clear()
    matches = photos.search(saved(mug()), 7, "mugs")
    assert matches.products == [Neighbour("p", 0.5)]
    ((feature, count, category),) = ASKED
    assert (count, category, feature.vector.dtype) == (7, "mugs", np.float16)
    assert feature.encoder_id.startswith("mobilenet_v2-")
    assert float(np.linalg.norm(feature.vector.astype(np.float64))) == pytest.approx(1, abs=0.01)


def test_a_photo_that_lies_on_its_side_is_turned_upright(photos: PhotoSearch) -> None:
    upright = on_a_table(mug(), (100, 400))
    turned = Image.Exif()
    turned[0x0112] = 6
    file = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=turned)
    (a, box_a), (b, box_b) = photos.embed(saved(upright)), photos.embed(file.getvalue())
    assert box_a == pytest.approx(box_b, abs=0.02)
    assert a.vector @ b.vector > 0.98


@pytest.mark.parametrize(
    ("size", "mode"), [((24, 24), "RGB"), ((30, 900), "L"), ((700, 30), "RGBA"), ((40, 40), "CMYK")]
)
def test_odd_shapes_are_embedded(photos: PhotoSearch, size: tuple[int, int], mode: str) -> None:
    feature, _ = photos.embed(saved(Image.new(mode, size), "TIFF"))
    assert np.isfinite(feature.vector).all()


def test_what_is_no_usable_picture_is_refused_with_the_reason(photos: PhotoSearch) -> None:
    with pytest.raises(ImageTooLargeError, match="2,000,000 are allowed"):
        photos.search(saved(Image.new("1", (2_000, 2_000))))
    with pytest.raises(ImageTooLargeError, match="3,000,000 are allowed"):
        photos.search(bytes(3_000_001))
    with pytest.raises(NotAnImageError):
        photos.search(b"<svg/>")
    with pytest.raises(ImageError):
        photos.search(saved(mug(), "JPEG")[:400])
