"""Shoppers with tastes over a catalogue: a deterministic stream of views, cart-adds and purchases.

A shopper likes a few categories and, within them, some attribute values (colours, patterns). A session starts
at a product to the shopper's taste and drifts from product to similar product; what is liked goes into the cart,
and the cart is often bought at the end. So there is something to be learnt: who views, views alike.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate, count

import numpy as np

from producers.clickstream import ShopperEvent
from producers.publications import ProductRetired
from schemas.errors import ConfigurationError
from schemas.events import CartAdd, PdpView, ProductCreated, Purchase

_LATENT_DIMENSIONS = 6
_PRODUCT_NOISE = 0.35
_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How shoppers go about it; the shares are probabilities."""

    events_per_second: float = 20.0
    open_sessions: int = 40
    guest_share: float = 0.1
    mean_session_views: float = 8.0
    drift_share: float = 0.65
    same_category_share: float = 0.2
    cart_share: float = 0.12
    checkout_share: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.events_per_second < float("inf"):
            raise ConfigurationError(f"events_per_second is {self.events_per_second}; give a number above 0")
        if self.open_sessions < 1 or self.mean_session_views < 1:
            raise ConfigurationError("open_sessions and mean_session_views have to be at least 1")


@dataclass(slots=True)
class _Taste:
    categories: list[str]
    cumulative: list[float]
    direction: list[float]


@dataclass(slots=True)
class _Session:
    user_id: str | None
    session_id: str
    taste: _Taste
    views_left: int
    at: str | None = None
    cart: list[str] = field(default_factory=list)
    checkout: list[str] = field(default_factory=list)


class Assortment:
    """The products that shoppers can see, by category, and which of them are alike."""

    def __init__(self, products: Sequence[ProductCreated]) -> None:
        self._latent: dict[str, list[float]] = {}
        self._category: dict[str, str] = {}
        self._shelves: dict[str, list[str]] = {}
        self._neighbours: dict[str, dict[str, list[str]]] = {}
        for product in products:
            self.add(product)

    def __len__(self) -> int:
        return len(self._category)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._category

    @property
    def categories(self) -> list[str]:
        """Every category that has a product, in order of first appearance."""
        return [category for category, shelf in self._shelves.items() if shelf]

    def shelf(self, category: str) -> list[str]:
        """The products of a category."""
        return self._shelves.get(category, [])

    def category_of(self, product_id: str) -> str:
        """The category that a product is in."""
        return self._category[product_id]

    def add(self, product: ProductCreated) -> None:
        """Put a product on its shelf; one that is there already stays as it is."""
        if product.product_id in self._category:
            return
        self._category[product.product_id] = product.category
        self._shelves.setdefault(product.category, []).append(product.product_id)
        self._latent[product.product_id] = _latent(product)
        self._neighbours.pop(product.category, None)

    def remove(self, product_id: str) -> None:
        """Take a product off its shelf."""
        category = self._category.pop(product_id)
        self._shelves[category].remove(product_id)
        del self._latent[product_id]
        self._neighbours.pop(category, None)

    def liking(self, direction: list[float], product_id: str) -> float:
        """How much a taste likes a product; about standard normal over the products."""
        return sum(a * b for a, b in zip(direction, self._latent[product_id], strict=True))

    def neighbours(self, product_id: str) -> list[str]:
        """The most similar products of the same category, nearest first; empty where it is alone."""
        category = self._category[product_id]
        known = self._neighbours.setdefault(category, {})
        near = known.get(product_id)
        if near is None:
            shelf = self._shelves[category]
            latent = np.array([self._latent[other] for other in shelf])
            distances = ((latent - np.array(self._latent[product_id])) ** 2).sum(axis=1)
            order = np.argsort(distances, kind="stable")[: _NEIGHBOURS + 1]
            near = known[product_id] = [shelf[i] for i in order if shelf[i] != product_id][:_NEIGHBOURS]
        return near


class Shoppers:
    """A population of shoppers; everything follows from ``seed``, and two with the same seed do the same."""

    def __init__(
        self,
        products: Sequence[ProductCreated],
        n_shoppers: int = 500,
        seed: int = 0,
        behaviour: Behaviour | None = None,
    ) -> None:
        if not products or n_shoppers < 1:
            raise ConfigurationError("a simulation needs at least one product and one shopper")
        self.assortment = Assortment(products)
        self._behaviour = behaviour or Behaviour()
        self._n_shoppers = n_shoppers
        self._seed = seed
        self._random = random.Random(f"shoppers {seed}")
        self._tastes: dict[int, _Taste] = {}
        self._sessions = 0

    def events(self, n: int | None, start_time_ms: int) -> Iterator[ShopperEvent]:
        """The next ``n`` events (None: without end) in time order, from shortly after ``start_time_ms``.

        Event ids are unique over seeds and start times; the same call on an equal population repeats them.
        """
        rng, behaviour = self._random, self._behaviour
        at_ms = float(start_time_ms)
        prefix = f"sim-{self._seed}-{start_time_ms}"
        open_sessions = [self._new_session(prefix) for _ in range(min(behaviour.open_sessions, self._n_shoppers))]
        for number in count() if n is None else range(n):
            at_ms += rng.expovariate(behaviour.events_per_second) * 1000.0
            position = rng.randrange(len(open_sessions))
            event = self._act(open_sessions[position], f"{prefix}-{number}", int(at_ms))
            while event is None:
                open_sessions[position] = self._new_session(prefix)
                event = self._act(open_sessions[position], f"{prefix}-{number}", int(at_ms))
            yield event

    def launch(self, product: ProductCreated) -> None:
        """From now on shoppers can come across this product."""
        self.assortment.add(product)

    def retire_one(self) -> ProductRetired | None:
        """Take a product out of a shelf that keeps others; None when every shelf has only one."""
        shelves = [c for c in self.assortment.categories if len(self.assortment.shelf(c)) > 1]
        if not shelves:
            return None
        product_id = self._random.choice(self.assortment.shelf(self._random.choice(shelves)))
        self.assortment.remove(product_id)
        return ProductRetired(product_id)

    def _new_session(self, prefix: str) -> _Session:
        rng = self._random
        shopper = rng.randrange(self._n_shoppers)
        self._sessions += 1
        views = 1 + min(60, int(rng.expovariate(1.0 / self._behaviour.mean_session_views)))
        guest = rng.random() < self._behaviour.guest_share
        return _Session(
            user_id=None if guest else f"shopper-{shopper}",
            session_id=f"{prefix}-s{self._sessions}",
            taste=self._taste(shopper),
            views_left=views,
        )

    def _taste(self, shopper: int) -> _Taste:
        taste = self._tastes.get(shopper)
        if taste is None:
            # Of the shopper alone, so that it does not depend on who came first.
            rng = random.Random(f"taste {self._seed} {shopper}")
            categories = self.assortment.categories
            liked = rng.sample(categories, min(len(categories), rng.randint(1, 3)))
            weights = sorted((rng.random() + 0.1 for _ in liked), reverse=True)
            direction = [rng.gauss(0.0, 1.0) for _ in range(_LATENT_DIMENSIONS)]
            length = sum(x * x for x in direction) ** 0.5
            taste = _Taste(liked, list(accumulate(weights)), [x / length for x in direction])
            self._tastes[shopper] = taste
        return taste

    def _act(self, session: _Session, event_id: str, at_ms: int) -> ShopperEvent | None:
        """The session's next event; None when it is over."""
        rng = self._random
        who = (event_id, at_ms, session.user_id, session.session_id)
        while session.checkout:
            product_id = session.checkout.pop()
            if product_id in self.assortment:
                return Purchase(*who, product_id, float(rng.choice((1, 1, 1, 1, 2, 3))))
        if session.views_left == 0:
            if not session.cart or rng.random() >= self._behaviour.checkout_share:
                return None
            session.checkout, session.cart = session.cart[::-1], []
            return self._act(session, event_id, at_ms)
        here = session.at
        if here is not None and here in self.assortment and here not in session.cart:
            liking = self.assortment.liking(session.taste.direction, here)
            if rng.random() < self._behaviour.cart_share * 2.0 ** min(2.0, liking):
                session.cart.append(here)
                return CartAdd(*who, here)
        session.views_left -= 1
        session.at = self._next_product(session)
        return PdpView(*who, session.at)

    def _next_product(self, session: _Session) -> str:
        rng, assortment = self._random, self.assortment
        draw = rng.random()
        here = session.at
        if here is not None and here in assortment:
            if draw < self._behaviour.drift_share:
                near = assortment.neighbours(here)
                if near:
                    return near[min(int(rng.expovariate(0.5)), len(near) - 1)]
            if draw < self._behaviour.drift_share + self._behaviour.same_category_share:
                return self._favourite(assortment.category_of(here), session.taste)
        return self._favourite(self._category(session.taste), session.taste)

    def _category(self, taste: _Taste) -> str:
        position = bisect(taste.cumulative, self._random.random() * taste.cumulative[-1])
        category = taste.categories[min(position, len(taste.categories) - 1)]
        return category if self.assortment.shelf(category) else self._random.choice(self.assortment.categories)

    def _favourite(self, category: str, taste: _Taste) -> str:
        """The best liked of three from a shelf, those near its front (the popular ones) drawn more often."""
        shelf = self.assortment.shelf(category)
        drawn = [shelf[int(len(shelf) * self._random.random() ** 1.7)] for _ in range(3)]
        return max(drawn, key=lambda product_id: self.assortment.liking(taste.direction, product_id))


def _latent(product: ProductCreated) -> list[float]:
    """Where a product is among its like: the sum of its attribute values, and something of its own."""
    place = [_PRODUCT_NOISE * x for x in _gaussian(f"product {product.product_id}")]
    for name, value in sorted(product.attributes.items()):
        place = [a + b for a, b in zip(place, _gaussian(f"{name}={value}"), strict=True)]
    scale = (_PRODUCT_NOISE**2 + len(product.attributes)) ** -0.5
    return [x * scale for x in place]


def _gaussian(text: str) -> list[float]:
    seeded = random.Random(blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest())
    return [seeded.gauss(0.0, 1.0) for _ in range(_LATENT_DIMENSIONS)]
