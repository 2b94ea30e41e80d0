"""The rules that hold for one shelf, and what they make of it. Pure: the time is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.events import ListedProduct, ProductCreated, Reason
from storefront.rules.model import Action, NeverTogether, Rule, RuleSet
from storefront.shelf_items import ShelfItem

_BURIED = -1


@dataclass(frozen=True, slots=True)
class ShelfRules:
    """Those of a shop's rules that hold for a kind of list, a placement and a time.

    A product that is hidden stays hidden, whatever else is said of it; pinned products stand at their places, the
    others are ordered anew by score times the factors of their boosts, and what is buried comes last.
    """

    rules: Sequence[Rule]
    pairs: Sequence[NeverTogether]

    @classmethod
    def of(cls, rule_set: RuleSet, kind: str, placement: str, at_ms: int, variant: str = "") -> ShelfRules:
        """The rules that hold there and then, for that variant of an experiment."""
        if not rule_set.rule and not rule_set.never_together:
            return NO_RULES
        return cls(
            [rule for rule in rule_set.rule if rule.holds(kind, placement, at_ms, variant)],
            [pair for pair in rule_set.never_together if pair.holds(kind, placement, at_ms, variant)],
        )

    def __bool__(self) -> bool:
        """False where no rule holds, and lists are shown as they are."""
        return bool(self.rules or self.pairs)

    @property
    def pinned(self) -> list[str]:
        """Products that are shown although no list may hold them."""
        pins = (rule for rule in self.rules if rule.action is Action.PIN)
        return [product_id for rule in pins for product_id in rule.products]

    def hides(self, product: ProductCreated, about: ProductCreated | None) -> str | None:
        """The name of the rule that keeps a product off a shelf; None where there is none.

        ``about`` is the product that it would be shown because of.
        """
        hidden = (rule.name for rule in self.rules if rule.action is Action.HIDE and rule.matches(product))
        parted = (pair.name for pair in self.pairs if about is not None and pair.parts(product, about))
        return next(hidden, None) or next(parted, None)

    def ordered(self, items: Iterable[ShelfItem]) -> list[ShelfItem]:
        """Boosted and buried; what no rule is about keeps its order."""
        items = list(items)
        rules = [rule for rule in self.rules if rule.action in (Action.BOOST, Action.BURY)]
        if not rules or not items:
            return items
        scored = all(item.listed.score > 0 for item in items)
        weighed = [
            self._weighed(item, item.listed.score if scored else 1 / rank, rules)
            for rank, item in enumerate(items, start=1)
        ]
        return [item for _, item in sorted(weighed, key=lambda pair: -pair[0])]

    def with_pins(
        self, items: Sequence[ShelfItem], products: Mapping[str, ProductCreated], n: int, showable: Iterable[str]
    ) -> list[ShelfItem]:
        """Pinned products of those ``showable`` at their places, the others around them, ``n`` in all."""
        allowed = set(showable)
        pins: dict[str, tuple[int, Rule]] = {}
        for rule in self.rules:
            if rule.action is Action.PIN and rule.position is not None:
                for place, product_id in enumerate(rule.products, start=rule.position):
                    if product_id in allowed:
                        pins.setdefault(product_id, (place, rule))
        listed = {item.product.product_id: item for item in items}
        arranged = [item for item in items if item.product.product_id not in pins]
        for product_id, (place, rule) in sorted(pins.items(), key=lambda pin: pin[1][0]):
            arranged.insert(place - 1, _pinned(products[product_id], listed.get(product_id), rule))
        return arranged[:n]

    def _weighed(self, item: ShelfItem, score: float, rules: Sequence[Rule]) -> tuple[float, ShelfItem]:
        matching = [rule for rule in rules if rule.matches(item.product)]
        for rule in matching:
            score = score * (rule.factor or 1) if score > 0 else score
            if rule.action is Action.BURY:
                score = _BURIED
        return score, item._replace(rules=(*item.rules, *map(_effect, matching)))


NO_RULES = ShelfRules((), ())
"""Where a shop has none."""


def _pinned(product: ProductCreated, item: ShelfItem | None, rule: Rule) -> ShelfItem:
    if item is None:
        item = ShelfItem(product, ListedProduct(product.product_id, 0.0, Reason.PINNED), "")
    return item._replace(rules=(*item.rules, _effect(rule)))


def _effect(rule: Rule) -> str:
    return f"{rule.action}: {rule.name}"
