from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from schemas.errors import ConfigurationError


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    lines = ["product_id,title,category,image"]
    for number, colour in enumerate([(200, 20, 20), (20, 180, 40), (30, 40, 190)]):
        pixels = np.clip(np.array(colour) + rng.integers(0, 40, (64, 64, 3)), 0, 255).astype(np.uint8)
        pixels[:: 4 + 3 * number] //= 3
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"p{number},Rug {number},{'rug' if number else 'mat'},{number}.png")
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_photo_finds_its_product(catalogue: Path) -> None:
    asked = ["search", str(catalogue / "1.png"), "--catalog", str(catalogue), "--json", "-n", "2"]
    ran = CliRunner().invoke(app, asked, catch_exceptions=False)
    found = json.loads(ran.stdout)["products"]
    assert next((one["product_id"], one["title"], one["category"]) for one in found) == ("p1", "Rug 1", "rug")
    assert (len(found), found[0]["score"]) == (2, pytest.approx(1, abs=0.01))
    ran = CliRunner().invoke(app, [*asked, "--category", "mat"], catch_exceptions=False)
    assert [one["product_id"] for one in json.loads(ran.stdout)["products"]] == ["p0"]


def test_a_category_without_products_is_named(catalogue: Path) -> None:
    with pytest.raises(ConfigurationError, match="no product is in the category 'hat'"):
        CliRunner().invoke(
            app,
            ["search", str(catalogue / "1.png"), "--catalog", str(catalogue), "--category", "hat"],
            catch_exceptions=False,
        )


def test_people_see_a_table(catalogue: Path) -> None:
    ran = CliRunner().invoke(app, ["search", str(catalogue / "1.png"), "--catalog", str(catalogue)])
    assert "Rug 1" in ran.stdout
    assert "like 1.png" in ran.stdout
