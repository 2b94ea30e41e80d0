from __future__ import annotations

import numpy as np
import pytest

from recsys.neighbours.sketch import LARGEST_REST, learn_sketch, rest_of


def vectors_of_rank(rank: int, noise: float) -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(rank)
    rows = rng.standard_normal((500, rank)) @ rng.standard_normal((rank, 96)) + noise * rng.standard_normal(
        (500, 96)
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_sketches_bound_every_dot_product(noise: float) -> None:
    vectors = vectors_of_rank(6, noise)
    sketch = learn_sketch(vectors[:200])
    assert sketch is not None
    assert sketch.width == 16
    sketches = sketch(vectors)
    exact = vectors.astype(np.float64)
    bounds = sketches.astype(np.float64) @ sketches.astype(np.float64).T
    assert (bounds >= exact @ exact.T - 1e-6).all()
    assert rest_of(sketches) < LARGEST_REST
    assert np.mean(bounds - exact @ exact.T) < 0.03


def test_no_sketch_is_made_of_vectors_that_point_everywhere() -> None:
    assert learn_sketch(vectors_of_rank(90, 1.0)) is None
