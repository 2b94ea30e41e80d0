"""Tuning an encoder: on little, through the whole path, and on photographs where they are."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cli.similar_evaluation import evaluate_similar
from consumers.image_features.encoder import DEFAULT_MODEL, Encoder
from consumers.image_features.settings import ImageSettings

keras = pytest.importorskip("keras", reason="needs the train dependency group")
from training.cutting import cut  # noqa: E402
from training.errors import TooFewProductsError  # noqa: E402
from training.litert_network import network_of  # noqa: E402
from training.products import read_products  # noqa: E402
from training.report import write_report  # noqa: E402
from training.tuning import Tuned, TuneOptions, tune  # noqa: E402

pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.timeout(1_800),
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own
]

DATA = Path(os.environ.get("RECSYS_TEST_DATA") or Path(__file__).parents[2].parent / "shared/data")
CLOTHING = DATA / "clothing"
SHAPES = ("ellipse", "rectangle", "triangle")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shapes in any colour, eighteen of each; every sixth is not to be learnt from."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    with (folder / "catalog.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["product_id", "category", "image", "split", "size"])
        for number in range(54):
            shape, (x, y) = SHAPES[number % 3], rng.integers(20, 60, 2).tolist()
            background, colour = rng.integers(0, 256, (2, 3)).tolist()
            picture = Image.new("RGB", (160, 200), tuple(background))
            draw = ImageDraw.Draw(picture)
            if shape == "triangle":
                draw.polygon([(x, y + 80), (x + 40, y), (x + 80, y + 80)], fill=tuple(colour))
            else:
                getattr(draw, shape)((x, y, x + 80, y + 80), fill=tuple(colour))
            picture.save(folder / f"{number}.png")
            table.writerow(
                [
                    f"p{number}",
                    shape,
                    f"{number}.png",
                    "validation" if number % 18 < 3 else "train",
                    "SML"[number % 3],
                ]
            )
    return folder


def run(catalogue: Path, output: Path, **options: Any) -> Tuned:
    return tune(TuneOptions(catalogue, output, **options), ImageSettings(), lambda doing, done, total: None)


def test_the_same_seed_gives_the_same_encoder_and_a_report(catalogue: Path, tmp_path: Path) -> None:
    first, again = (run(catalogue, tmp_path / name / "ours.tflite", epochs=3, seed=5) for name in ("a", "b"))
    assert first.exported.description == again.exported.description
    assert first.exported.path.read_bytes() == again.exported.path.read_bytes()
    described = first.exported.description
    assert described.keras_max_difference is not None
    assert described.keras_max_difference < 5e-3
    assert (described.dimensions, described.trained["properties"]) == (128, "category, size")
    assert (len(first.products), first.unusable) == (45, 0), "the train split alone"

    page, found = write_report(first, catalogue, "mobilenet-v2", ImageSettings(), lambda *_: None)
    assert found["precision_after"] > found["precision_before"]
    for name in ("neighbours.png", "confusion.png", "map.png", "training.png"):
        assert f'src="{name}"' in page.read_text()
        assert Image.open(page.with_name(name)).width > 500

    settings = ImageSettings(encoder=str(first.exported.path))
    judged = evaluate_similar(catalogue, "validation", settings=settings)
    assert judged["queries"] == 9


def test_pairs_alone_are_enough(catalogue: Path, tmp_path: Path) -> None:
    table = tmp_path / "catalog.csv"
    with (catalogue / "catalog.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table.write_text("product_id,image\n" + "".join(f"{row['product_id']},{row['image']}\n" for row in rows))
    for row in rows:
        (tmp_path / row["image"]).write_bytes((catalogue / row["image"]).read_bytes())
    events = tmp_path / "clicks.csv"
    lines = [f"{1_000 * at},u{at % 3},p{at},view" for at in range(54)]
    events.write_text("timestamp_ms,user_id,product_id,event\n" + "\n".join(lines) + "\n")
    tuned = run(table, tmp_path / "ours.tflite", epochs=3, events=events, head_only=True)
    assert len(tuned.products.pairs) == 51
    assert not tuned.products.labels
    with pytest.raises(TooFewProductsError, match="give a category column, attributes, or --events"):
        read_products(table, "train", None, 0)


def test_a_small_network_learns_from_scratch(catalogue: Path, tmp_path: Path) -> None:
    tuned = run(catalogue, tmp_path / "ours.tflite", epochs=4, from_scratch=True)
    encoder = Encoder(tuned.exported.path)
    assert (encoder.side, encoder.dimensions) == (128, 128)
    assert tuned.fitted.losses[-1] < tuned.fitted.losses[0]


def test_the_network_is_cut_before_its_last_stage() -> None:
    network = network_of(DEFAULT_MODEL.read_bytes())
    part = cut(network, head_only=False)
    assert part.trunk.output_shape == (None, 7, 7, 160)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    np.testing.assert_allclose(part.tail(part.trunk(picture)), network(picture), atol=1e-4)
    assert cut(network, head_only=True).tail is None


def test_too_few_products_are_said_to_be(catalogue: Path, tmp_path: Path) -> None:
    with pytest.raises(TooFewProductsError, match="has 0 products with a picture to learn from; 20 are needed"):
        run(catalogue, tmp_path / "ours.tflite", split="elsewhere")


@pytest.mark.skipif(not CLOTHING.is_dir(), reason=f"no clothing photographs at {CLOTHING}; set RECSYS_TEST_DATA")
def test_clothes_that_were_not_seen_find_their_category(tmp_path: Path) -> None:
    tuned = run(CLOTHING, tmp_path / "clothes.tflite")
    settings = ImageSettings(encoder=str(tuned.exported.path))
    assert evaluate_similar(CLOTHING, "validation", settings=settings)["precision"] >= 0.84
