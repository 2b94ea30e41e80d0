"""From the best products to a list: not too many of a kind, some new ones, nothing like what was just bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from recsys.catalogue import Catalogue
from recsys.histories import History
from recsys.scoring.neighbour_tables import NeighbourTables
from recsys.scoring.new_products import ExplorationRules, NewProducts
from recsys.scoring.slots import ProductSlots
from schemas.events import Action, ListedProduct, ProductCreated, Reason

_SPARE = 3
"""Products that are looked at for each place of a list."""


@dataclass(frozen=True, slots=True)
class ChoiceRules:
    """What is asked of a list besides the best products; 0 asks nothing."""

    max_per_category: int = 0
    max_per_brand: int = 0
    brand_attribute: str = "brand"
    variety: float = 0.0
    """What looking like a product further up costs, where a product's score counts the rest to one."""
    freshness: float = 0.0
    """By how much a product published just now is worth more than an old one, as a share of its score."""
    freshness_half_life_ms: int = 14 * 86_400_000
    bought_category_ms: int = 0
    """Time after a purchase in which nothing else of its category is listed."""
    exploration: ExplorationRules = field(default_factory=ExplorationRules)

    @property
    def chooses(self) -> bool:
        """True where a list may be other than the best products in order."""
        limits = (self.max_per_category, self.max_per_brand, self.variety, self.freshness)
        return any(limits) or self.bought_category_ms > 0


class _Facts(NamedTuple):
    """What choices depend on."""

    brand: str
    published_ms: int


class Chooser:
    """Chooses among more products than a list has places.

    Diversity is greedy: next in a list is the product whose score, less what it costs to look like one that is in
    it already, is greatest (maximal marginal relevance, Carbonell and Goldstein, SIGIR 1998). Looks are compared
    by lists of similar products, since features are not followed here: the r-th of m is alike by 1 - (r - 1) / m.
    """

    def __init__(
        self, rules: ChoiceRules, slots: ProductSlots, catalogue: Catalogue, tables: NeighbourTables
    ) -> None:
        self._rules = rules
        self._slots = slots
        self._catalogue = catalogue
        self._tables = tables
        self._facts: dict[str, _Facts] = {}
        self._new = NewProducts(rules.exploration, slots)
        self._chooses = rules.chooses
        self.is_needed = self._chooses or rules.exploration.slots > 0
        """False where lists are the best products in order."""

    def put_product(self, product_id: str, product: ProductCreated | None) -> None:
        """Take a product as it is now."""
        self._new.put_product(product_id, product)
        if not (self._rules.max_per_brand or self._rules.freshness):
            return
        if product is None:
            self._facts.pop(product_id, None)
        else:
            brand = product.attributes.get(self._rules.brand_attribute, "")
            self._facts[product_id] = _Facts(brand, product.event_time_ms)

    def put_row(self, product_id: str) -> None:
        """Take how often a product was visited, from its row as it is now."""
        if self._rules.exploration.slots and not self._new.is_measured(product_id):
            self._new.put_visits(product_id, self._tables.visits(product_id))

    def wanted(self, n: int) -> int:
        """How many products to choose from for a list of ``n``."""
        return _SPARE * n if self._chooses else n

    def choose(
        self, subject: str, history: History, best: list[ListedProduct], n: int, excluded: set[str]
    ) -> list[ListedProduct]:
        """A list of ``n`` products at most, from the ``best`` in order; new ones not among the ``excluded``."""
        now_ms = history.latest_ms() if len(history) else 0
        if self._chooses:
            best = self._varied(self._fresher(self._allowed(history, best, now_ms), now_ms), n)
        places = min(self._rules.exploration.slots, n)
        if not places:
            return best
        new = self._new.choose(subject, now_ms, places, excluded | {item.product_id for item in best})
        return _with_new(best[: n - len(new)], new)

    def _allowed(self, history: History, best: list[ListedProduct], now_ms: int) -> list[ListedProduct]:
        """Those that are of no category that was bought from of late."""
        since_ms = now_ms - self._rules.bought_category_ms
        if not self._rules.bought_category_ms:
            return best
        units: dict[str, float] = {}
        for at_ms, _, product_id, action, quantity in history.latest():
            if at_ms < since_ms:
                break
            if action == Action.PURCHASE:
                units[product_id] = units.get(product_id, 0.0) + quantity
        bought = {self._catalogue.category_of(product_id) for product_id, left in units.items() if left > 0}
        bought -= {None, ""}
        return [item for item in best if self._catalogue.category_of(item.product_id) not in bought]

    def _fresher(self, best: list[ListedProduct], now_ms: int) -> list[ListedProduct]:
        rules = self._rules
        if not rules.freshness:
            return best
        worth = []
        for item in best:
            facts = self._facts.get(item.product_id)
            age_ms = max(0, now_ms - facts.published_ms) if facts is not None else now_ms
            more = 1.0 + rules.freshness * 2.0 ** (-age_ms / rules.freshness_half_life_ms)
            worth.append(item._replace(score=item.score * more))
        return sorted(worth, key=lambda item: -item.score)

    def _varied(self, best: Sequence[ListedProduct], n: int) -> list[ListedProduct]:
        """Greedily the best that are not too many of a category or brand, nor too like what is chosen."""
        rules, waiting = self._rules, list(best)
        chosen: list[ListedProduct] = []
        alike: dict[str, float] = {}
        categories: Counter[str] = Counter()
        brands: Counter[str] = Counter()
        top = best[0].score if best else 1.0

        def worth(item: ListedProduct) -> float:
            return (1.0 - rules.variety) * item.score / top - rules.variety * alike.get(item.product_id, 0.0)

        while waiting and len(chosen) < n:
            item = max(waiting, key=worth) if rules.variety else waiting[0]
            waiting.remove(item)
            category = self._catalogue.category_of(item.product_id) or ""
            facts = self._facts.get(item.product_id)
            brand = facts.brand if facts is not None else ""
            if _is_full(categories[category], category, rules.max_per_category):
                continue
            if _is_full(brands[brand], brand, rules.max_per_brand):
                continue
            categories[category] += 1
            brands[brand] += 1
            chosen.append(item)
            if rules.variety:
                self._take_looks(item.product_id, alike)
        return chosen

    def _take_looks(self, product_id: str, alike: dict[str, float]) -> None:
        """Note how much products look like this one, where that is more than they look like others."""
        looks = self._tables.similar[product_id]
        for place, slot in enumerate(looks.slots.tolist()):
            name = self._slots.ids[slot]
            alike[name] = max(alike.get(name, 0.0), 1.0 - place / len(looks.slots))


def _is_full(count: int, name: str, most: int) -> bool:
    return bool(most and name and count >= most)


def _with_new(best: list[ListedProduct], new: Sequence[str]) -> list[ListedProduct]:
    """New products spread over a list, the first not at its top; each with the score of what it goes before."""
    length = len(best) + len(new)
    listed = list(best)
    for number, product_id in enumerate(new, start=1):
        place = min(number * length // (len(new) + 1), len(listed))
        score = listed[place].score if place < len(listed) else (listed[-1].score if listed else 0.0)
        listed.insert(place, ListedProduct(product_id, score, Reason.NEW))
    return listed
