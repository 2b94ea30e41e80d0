"""Pictures of products under way: the main one rules, and the others are waited for unless they make it wait.

A product is handed over once its main picture is ready and each of the others is ready, given up, or put off for
a retry. Where some were put off it is handed over again when they are settled, so that a slow server of a
picture that matters less delays no product.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from consumers.image_features.errors import ImageError
from consumers.image_features.pipeline import Failed, Fetched, ImagePipeline

Digests = tuple[bytes, ...]
"""SHA-256 of the pictures of a product, the main one's first."""

_MAIN = 0


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """A product's pictures that are ready; ``complete`` is False where it is handed over again later.

    ``others`` differ from the main one and from each other. ``given_up`` are errors not told before.
    """

    product_id: str
    main: Fetched
    others: tuple[Fetched, ...]
    complete: bool
    given_up: tuple[ImageError, ...] = ()

    @property
    def digests(self) -> Digests:
        """Of all pictures."""
        return (self.main.digest, *(other.digest for other in self.others))


@dataclass(frozen=True, slots=True, eq=False)
class WithoutMain:
    """A product whose main picture is given up, and why; what becomes of its others does not matter."""

    product_id: str
    error: ImageError


@dataclass(slots=True, eq=False)
class _UnderWay:
    urls: Sequence[str]
    open: set[int]
    fetched: dict[int, Fetched] = field(default_factory=dict)
    given_up: list[ImageError] = field(default_factory=list)
    handed_over: int = -1
    """How many of its pictures were ready when it was handed over."""


class ProductPictures:
    """A bounded number of pictures under way, by product; a product that is submitted again begins anew."""

    def __init__(self, pipeline: ImagePipeline) -> None:
        self._pipeline = pipeline
        self._under_way: dict[str, _UnderWay] = {}
        self._queue: deque[tuple[str, _UnderWay, int]] = deque()
        self._waiting: set[str] = set()
        """Products whose main picture is ready and that are to be looked at."""

    @property
    def free(self) -> int:
        """How many more products may be submitted now."""
        held = sum(len(one.fetched) for one in self._under_way.values())
        return max(0, self._pipeline.free - len(self._queue) - held)

    @property
    def pending(self) -> int:
        """How many products are under way."""
        return len(self._under_way)

    @property
    def retries(self) -> int:
        """Attempts at pictures that were put off."""
        return self._pipeline.retries

    def submit(self, product_id: str, urls: Sequence[str]) -> None:
        """Begin with a product's pictures, the main one first."""
        self.cancel(product_id)
        one = self._under_way[product_id] = _UnderWay(urls, set(range(len(urls))))
        self._queue.extend((product_id, one, number) for number in range(len(urls)))
        self._fill()

    def cancel(self, product_id: str) -> None:
        """Forget a product; nothing is reported for it."""
        one = self._under_way.pop(product_id, None)
        if one is not None:
            self._waiting.discard(product_id)
            for number in one.open:
                self._pipeline.cancel(_ref(product_id, number))

    def ready(self, max_images: int) -> list[Pictures | WithoutMain]:
        """Take what is ready, of up to ``max_images`` pictures that finished since."""
        self._fill()
        found: list[Pictures | WithoutMain] = []
        for outcome in self._pipeline.ready(max_images):
            lost = self._take(outcome)
            if lost is not None:
                found.append(lost)
        found += self._handed_over()
        self._fill()
        return found

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until something finished; False when the time ran out."""
        return self._pipeline.wait(timeout_seconds)

    def close(self) -> None:
        """End the downloads."""
        self._pipeline.close()

    def _fill(self) -> None:
        while self._queue and self._pipeline.free > 0:
            product_id, one, number = self._queue.popleft()
            if self._under_way.get(product_id) is one:
                self._pipeline.submit(_ref(product_id, number), one.urls[number])

    def _take(self, outcome: Fetched | Failed) -> WithoutMain | None:
        number, product_id = _parts(outcome.ref)
        one = self._under_way.get(product_id)
        if one is None:  # its main picture was given up a moment ago
            return None
        one.open.discard(number)
        if isinstance(outcome, Fetched):
            one.fetched[number] = outcome
        elif number == _MAIN:
            self.cancel(product_id)
            return WithoutMain(product_id, outcome.error)
        else:
            one.given_up.append(outcome.error)
        if _MAIN in one.fetched:
            self._waiting.add(product_id)
        return None

    def _handed_over(self) -> Iterable[Pictures]:
        for product_id in sorted(self._waiting):
            one = self._under_way[product_id]
            if all(self._pipeline.is_put_off(_ref(product_id, number)) for number in one.open):
                self._waiting.discard(product_id)
                complete = not one.open
                if complete:
                    del self._under_way[product_id]
                if complete or len(one.fetched) > one.handed_over:
                    one.handed_over = len(one.fetched)
                    yield _pictures(product_id, one, complete)


def _pictures(product_id: str, one: _UnderWay, complete: bool) -> Pictures:
    by_digest = {one.fetched[number].digest: one.fetched[number] for number in sorted(one.fetched, reverse=True)}
    main, *others = sorted(by_digest.values(), key=lambda picture: _parts(picture.ref)[0])
    given_up, one.given_up = tuple(one.given_up), []
    return Pictures(product_id, main, tuple(others), complete, given_up)


def _ref(product_id: str, number: int) -> str:
    return f"{number}:{product_id}"


def _parts(ref: str) -> tuple[int, str]:
    number, _, product_id = ref.partition(":")
    return int(number), product_id
