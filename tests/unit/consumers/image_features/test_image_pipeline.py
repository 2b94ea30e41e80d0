from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from consumers.image_features.cleaning import Pixels
from consumers.image_features.errors import ImageMissingError, ImageUnreachableError, NotAnImageError
from consumers.image_features.pipeline import Failed, Fetched, ImagePipeline, Outcome
from consumers.image_features.settings import PipelineSettings, RetryPolicy

PATIENCE_SECONDS = 20.0  # how long a thread may take that has nothing to wait for


class Web:
    """Answers by URL: ``ok…`` bytes, ``down…`` unreachable, ``gone…`` missing, ``held…`` once released."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.down = True
        self.released: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self.held = threading.Semaphore(0)

    def release_all(self) -> None:
        for event in list(self.released.values()):
            event.set()

    def fetch(self, url: str) -> bytes:
        self.calls[url] += 1
        if url.startswith("down") and self.down:
            raise ImageUnreachableError("no answer", retry_after_seconds=3.0 if "later" in url else 0.0)
        if url.startswith("gone"):
            raise ImageMissingError("404")
        if url.startswith("broken"):
            raise OSError("reset")
        if url.startswith("held"):
            self.held.release()
            self.released[url].wait(PATIENCE_SECONDS)
        return url.encode()


def pixels_of(data: bytes) -> Pixels:
    if data.startswith(b"okbad"):
        raise NotAnImageError("text")
    if data.startswith(b"okbug"):
        raise ZeroDivisionError("a bug in a decoder")
    return np.full((224, 224, 3), len(data), np.uint8)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.release_all()


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., ImagePipeline]


@pytest.fixture
def make(web: Web, clock: Clock) -> Iterator[Make]:
    made: list[ImagePipeline] = []

    def make(fetchers: int = 2, capacity: int = 8, max_attempts: int = 3) -> ImagePipeline:
        settings = PipelineSettings(fetchers=fetchers, decoders=1, capacity=capacity)
        retry = RetryPolicy(max_attempts=max_attempts, first_backoff_seconds=1.0, max_backoff_seconds=10.0)
        pipeline = ImagePipeline(web.fetch, pixels_of, settings, retry, now_seconds=clock, rng=random.Random(4))
        made.append(pipeline)
        return pipeline

    yield make
    web.release_all()
    for pipeline in made:
        pipeline.close(PATIENCE_SECONDS)


def take(pipeline: ImagePipeline, count: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    while len(outcomes) < count:
        assert pipeline.wait(PATIENCE_SECONDS), f"only {len(outcomes)} of {count} came"
        outcomes += pipeline.ready(count - len(outcomes))
    return outcomes


def until_put_off(pipeline: ImagePipeline, retries: int) -> None:
    while pipeline.retries < retries:
        assert pipeline.wait(PATIENCE_SECONDS)
        assert pipeline.ready(10) == []


def test_pictures_come_with_digest_and_pixels(make: Make) -> None:
    pipeline = make()
    for number in range(8):
        pipeline.submit(f"p{number}", f"ok{number}")
    outcomes = {outcome.ref: outcome for outcome in take(pipeline, 8)}
    assert sorted(outcomes) == [f"p{number}" for number in range(8)]
    first = outcomes["p3"]
    assert isinstance(first, Fetched)
    assert first.digest == hashlib.sha256(b"ok3").digest()
    assert (first.pixels == 3).all()
    assert pipeline.pending == 0


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("gone", ImageMissingError, "404"),
        ("okbad", NotAnImageError, "text"),
        ("okbug", NotAnImageError, "ZeroDivisionError a bug in a decoder"),
    ],
)
def test_what_a_retry_does_not_change_fails_at_once(
    url: str, error: type[Exception], message: str, make: Make, web: Web
) -> None:
    pipeline = make()
    pipeline.submit("p", url)
    (failed,) = take(pipeline, 1)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, error)
    assert message in str(failed.error)
    assert (failed.attempts, web.calls[url]) == (1, 1)
    pipeline.submit("next", "ok")
    assert take(pipeline, 1)[0].ref == "next"


def test_a_retry_waits_until_it_is_due_and_holds_nobody_up(make: Make, web: Web, clock: Clock) -> None:
    pipeline = make(fetchers=1)
    pipeline.submit("p", "down later")
    until_put_off(pipeline, 1)
    pipeline.submit("q", "ok")
    assert [outcome.ref for outcome in take(pipeline, 1)] == ["q"]
    clock.seconds = 2.9
    assert pipeline.ready(10) == []
    assert web.calls["down later"] == 1
    web.down = False
    clock.seconds = 3.0
    assert pipeline.ready(10) == []
    (fetched,) = take(pipeline, 1)
    assert isinstance(fetched, Fetched)
    assert (fetched.ref, web.calls["down later"]) == ("p", 2)


@pytest.mark.parametrize("url", ["down", "broken"])
def test_it_is_given_up_after_the_last_attempt(url: str, make: Make, web: Web, clock: Clock) -> None:
    pipeline = make(max_attempts=3)
    pipeline.submit("p", url)
    for retries in (1, 2):
        until_put_off(pipeline, retries)
        clock.seconds += 10
        assert pipeline.ready(10) == []
    (failed,) = take(pipeline, 1)
    assert isinstance(failed, Failed)
    assert str(failed.error).endswith("given up after 3 attempts: publish the product again")
    assert (failed.attempts, web.calls[url], pipeline.retries, pipeline.pending) == (3, 3, 2, 0)


def test_a_newer_picture_replaces_one_under_way(make: Make, web: Web) -> None:
    pipeline = make(fetchers=2)
    pipeline.submit("p", "held old")
    assert web.held.acquire(timeout=PATIENCE_SECONDS)
    pipeline.submit("p", "ok new")
    (fetched,) = take(pipeline, 1)
    assert isinstance(fetched, Fetched)
    assert fetched.digest == hashlib.sha256(b"ok new").digest()
    web.release_all()
    pipeline.close(PATIENCE_SECONDS)
    assert pipeline.ready(10) == []


def test_an_older_picture_that_finishes_first_is_not_taken_for_the_newer(make: Make, web: Web) -> None:
    pipeline = make(fetchers=2)
    for url in ("held old", "held new"):
        pipeline.submit("p", url)
        assert web.held.acquire(timeout=PATIENCE_SECONDS)
    web.released["held old"].set()
    assert pipeline.wait(PATIENCE_SECONDS)
    assert pipeline.ready(10) == []
    web.released["held new"].set()
    (fetched,) = take(pipeline, 1)
    assert isinstance(fetched, Fetched)
    assert fetched.digest == hashlib.sha256(b"held new").digest()


def test_a_newer_picture_replaces_one_that_waits_for_a_retry(make: Make, web: Web, clock: Clock) -> None:
    pipeline = make()
    pipeline.submit("p", "down")
    until_put_off(pipeline, 1)
    pipeline.submit("p", "ok")
    assert isinstance(take(pipeline, 1)[0], Fetched)
    clock.seconds = 1000
    assert pipeline.ready(10) == []
    assert web.calls["down"] == 1


def test_a_cancelled_picture_is_not_reported(make: Make, web: Web) -> None:
    pipeline = make(fetchers=1)
    pipeline.submit("p", "held")
    pipeline.submit("q", "ok q")
    pipeline.submit("r", "ok r")
    assert web.held.acquire(timeout=PATIENCE_SECONDS)
    pipeline.cancel("p")
    pipeline.cancel("q")
    pipeline.cancel("unknown")
    web.release_all()
    assert [outcome.ref for outcome in take(pipeline, 1)] == ["r"]
    assert web.calls["ok q"] == 0


def test_no_more_than_the_capacity_is_under_way(make: Make) -> None:
    pipeline = make(capacity=2)
    pipeline.submit("p", "ok")
    pipeline.submit("q", "held")
    assert pipeline.free == 0
    with pytest.raises(RuntimeError, match="2 pictures are under way already"):
        pipeline.submit("r", "ok")
    pipeline.submit("q", "ok again")
    assert len(take(pipeline, 2)) == 2
    assert pipeline.free == 2


def test_many_replaced_retries_stay_bounded(make: Make) -> None:
    pipeline = make(capacity=2, max_attempts=100)
    for number in range(30):
        pipeline.submit("p", f"down later {number}")
        until_put_off(pipeline, number + 1)
    assert len(pipeline._put_off) <= 4


def test_close_does_not_wait_for_a_download_that_hangs(make: Make, web: Web) -> None:
    pipeline = make(fetchers=1)
    pipeline.submit("p", "held")
    assert web.held.acquire(timeout=PATIENCE_SECONDS)
    pipeline.close(timeout_seconds=0.05)
    assert not web.released["held"].is_set()
    assert pipeline.ready(10) == []
    with pytest.raises(RuntimeError, match="closed"):
        pipeline.submit("q", "ok")


def test_nothing_to_wait_for(make: Make) -> None:
    assert make().wait(0.0) is False
