from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.similar_evaluation import evaluate_similar
from schemas.errors import ConfigurationError


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """Three red and three striped pictures, a broken one, and a row that is no product."""
    rng = np.random.default_rng(3)
    lines = ["product_id,category,image,split"]
    for number in range(3):
        red = np.clip(np.array([200, 20, 20]) + rng.integers(0, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(red).save(tmp_path / f"red{number}.png")
        stripes = np.zeros((64, 64, 3), np.uint8)
        stripes[:, number::8] = (20, 200, 20)
        Image.fromarray(stripes).save(tmp_path / f"stripes{number}.png")
        split = "validation" if number == 0 else "train"
        lines += [f"r{number},red,red{number}.png,{split}", f"s{number},stripes,stripes{number}.png,{split}"]
    (tmp_path / "broken.png").write_bytes(b"nothing")
    lines += ["b,red,broken.png,train", ",red,red0.png,train"]
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_lists_are_measured_over_all_products(catalogue: Path) -> None:
    progress: list[tuple[int, int]] = []
    found = evaluate_similar(catalogue, k=2, on_progress=lambda *done: progress.append(done))
    assert found.pop("plain") == {"precision": found["precision"]}
    assert list(found.pop("hubness")) == [
        "places", "largest_before", "largest_after", "in_no_list_before", "in_no_list_after",
    ]  # fmt: skip
    assert found == {
        "k": 2, "queries": 7, "precision": pytest.approx(6 / 7), "products": 7, "unusable": 1, "rejected": 1,
    }  # fmt: skip
    assert progress[-1] == (7, 7)


def test_one_split_asks_and_all_products_answer(catalogue: Path) -> None:
    found = evaluate_similar(catalogue, "validation", 2)
    assert (found["queries"], found["precision"]) == (2, 1.0)
    with pytest.raises(ConfigurationError, match="no product is in the split 'test'; the splits are: train, v"):
        evaluate_similar(catalogue, "test", 2)


def test_a_catalogue_without_categories_cannot_be_measured(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").write_text("product_id,image\na,a.png\n")
    with pytest.raises(ConfigurationError, match="has a category"):
        evaluate_similar(tmp_path)
