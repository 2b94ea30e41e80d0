from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.image_features.embedder import combined
from consumers.image_features.errors import ImageMissingError
from consumers.image_features.pipeline import Failed, Fetched, ImagePipeline, Outcome
from consumers.image_features.product_pictures import Pictures, ProductPictures, WithoutMain

PIXELS = np.zeros((1, 1, 3), np.uint8)


class ScriptedPipeline:
    """Finishes pictures as it is told; their content is their address."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.under_way: dict[str, str] = {}
        self.put_off: set[str] = set()
        self.finished: list[Outcome] = []

    @property
    def free(self) -> int:
        return self.capacity - len(self.under_way)

    def submit(self, ref: str, url: str) -> None:
        assert self.free > 0 or ref in self.under_way
        self.under_way[ref] = url
        self.put_off.discard(ref)

    def cancel(self, ref: str) -> None:
        self.under_way.pop(ref, None)
        self.finished = [outcome for outcome in self.finished if outcome.ref != ref]

    def is_put_off(self, ref: str) -> bool:
        return ref in self.put_off

    def finish(self, ref: str, *, good: bool) -> None:
        url = self.under_way[ref]
        error = ImageMissingError(url)
        digest = hashlib.sha256(url.encode()).digest()
        self.finished.append(Fetched(ref, digest, PIXELS) if good else Failed(ref, error, 1))

    def ready(self, max_images: int) -> list[Outcome]:
        taken, self.finished = self.finished[:max_images], self.finished[max_images:]
        for outcome in taken:
            del self.under_way[outcome.ref]
        return taken


def pictures_on(pipeline: ScriptedPipeline) -> ProductPictures:
    return ProductPictures(cast(ImagePipeline, pipeline))


def digest(url: str) -> bytes:
    return hashlib.sha256(url.encode()).digest()


def test_a_product_comes_with_its_pictures_together_and_each_once() -> None:
    pipeline = ScriptedPipeline(8)
    pictures = pictures_on(pipeline)
    pictures.submit("p:1", ["main", "back", "main", "back", "side"])
    for ref in ["4:p:1", "0:p:1", "2:p:1", "3:p:1"]:
        pipeline.finish(ref, good=True)
        assert pictures.ready(9) == []
    assert pictures.free == 8 - 1 - 4, "pictures that wait for others take room"
    pipeline.finish("1:p:1", good=False)
    (found,) = pictures.ready(9)
    assert isinstance(found, Pictures)
    assert found.digests == (digest("main"), digest("back"), digest("side"))
    assert (found.product_id, found.complete, len(found.given_up)) == ("p:1", True, 1)
    assert (pictures.pending, pictures.free) == (0, 8)


def test_one_that_is_put_off_delays_nothing_and_comes_later() -> None:
    pipeline = ScriptedPipeline(8)
    pictures = pictures_on(pipeline)
    pictures.submit("p", ["main", "slow", "gone"])
    pipeline.finish("0:p", good=True)
    pipeline.put_off = {"1:p", "2:p"}
    (first,) = pictures.ready(9)
    assert isinstance(first, Pictures)
    assert (first.digests, first.complete) == ((digest("main"),), False)
    assert pictures.ready(9) == [], "it is handed over again only when there is more"
    pipeline.finish("2:p", good=False)
    assert pictures.ready(9) == []
    pipeline.finish("1:p", good=True)
    (second,) = pictures.ready(9)
    assert isinstance(second, Pictures)
    assert (second.digests, second.complete) == ((digest("main"), digest("slow")), True)
    assert len(second.given_up) == 1


def test_without_the_main_one_the_others_do_not_matter() -> None:
    pipeline = ScriptedPipeline(8)
    pictures = pictures_on(pipeline)
    pictures.submit("p", ["main", "back"])
    pipeline.finish("0:p", good=False)
    pipeline.finish("1:p", good=True)
    (found,) = pictures.ready(9)
    assert isinstance(found, WithoutMain)
    assert (found.product_id, pictures.pending, pictures.free) == ("p", 0, 8)


def something_happens(pipeline: ScriptedPipeline, data: st.DataObject, good: dict[str, set[bytes]]) -> None:
    refs = sorted(pipeline.under_way.keys() - {one.ref for one in pipeline.finished})
    if not refs:
        return
    ref, what = data.draw(st.sampled_from(refs)), data.draw(st.sampled_from(["good", "bad", "later"]))
    if what == "later":
        pipeline.put_off.add(ref)
        return
    pipeline.finish(ref, good=what == "good")
    if what == "good":
        good[ref.partition(":")[2]].add(digest(pipeline.under_way[ref]))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_each_product_is_settled_once_with_all_that_could_be_had(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    pipeline = ScriptedPipeline(data.draw(st.integers(1, 4)))
    pictures = pictures_on(pipeline)
    for number, count in enumerate(counts):
        pictures.submit(f"p{number}", [f"{number}/{at}" for at in range(count)])
    good: dict[str, set[bytes]] = {f"p{number}": set() for number in range(len(counts))}
    settled: dict[str, Pictures | WithoutMain] = {}
    for _ in range(sum(counts) * 4):
        something_happens(pipeline, data, good)
        for found in pictures.ready(data.draw(st.integers(0, 3))):
            assert found.product_id not in settled
            if isinstance(found, WithoutMain) or found.complete:
                settled[found.product_id] = found
    while pipeline.under_way:
        for ref in pipeline.under_way.keys() - {one.ref for one in pipeline.finished}:
            pipeline.finish(ref, good=False)
        settled |= {found.product_id: found for found in pictures.ready(99)}
    assert settled.keys() == good.keys()
    for product_id, found in settled.items():
        if isinstance(found, Pictures):
            assert set(found.digests) == good[product_id]
    assert pictures.pending == 0


def unit(values: Sequence[float]) -> bytes:
    row = np.array(values, np.float64)
    return (row / np.linalg.norm(row)).astype("<f2").tobytes()


@pytest.mark.parametrize(
    ("others", "weight", "right"),
    [
        ([], 0.7, [1, 0]),
        ([[0, 1]], 1.0, [1, 0]),
        ([[0, 1]], 0.5, [1, 1]),
        ([[0, 1], [1, 0]], 0.5, [3, 1]),
        ([[-1, 0]], 0.5, [1, 0]),
    ],
)
def test_the_main_picture_rules_and_the_others_count(
    others: list[list[float]], weight: float, right: list[float]
) -> None:
    found = combined(unit([1, 0]), [unit(other) for other in others], weight)
    assert np.frombuffer(found, "<f2") == pytest.approx(np.frombuffer(unit(right), "<f2"), abs=1e-3)
