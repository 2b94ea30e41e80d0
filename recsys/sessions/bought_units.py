"""How many units of each product shoppers bought, to tell what is much of it: one of a sofa, fifty of a screw."""

from __future__ import annotations

from collections.abc import Mapping


class BoughtUnits:
    """The least and the most of each product that a shopper has bought, of those whose histories are kept.

    It is a function of the histories as they are: neither their order, nor what they were before, nor shoppers who
    were forgotten, leave a trace. Of more than ``max_subjects`` shoppers, the one put longest ago goes. Memory:
    about 200 bytes for each product that a shopper bought.
    """

    def __init__(self, max_subjects: int = 200_000) -> None:
        self._max_subjects = max_subjects
        self._of: dict[str, Mapping[str, float]] = {}
        """Units by subject and product."""
        self._amounts: dict[str, dict[float, int]] = {}
        """By product, how many shoppers bought so many units."""

    def __len__(self) -> int:
        """How many products were bought."""
        return len(self._amounts)

    def put(self, subject: str, units: Mapping[str, float]) -> None:
        """Take what a shopper bought, as it is now; nothing, for one who is forgotten."""
        for product_id, amount in self._of.pop(subject, {}).items():
            amounts = self._amounts[product_id]
            amounts[amount] -= 1
            if not amounts[amount]:
                del amounts[amount]
            if not amounts:
                del self._amounts[product_id]
        if not units:
            return
        if len(self._of) >= self._max_subjects:
            self.put(next(iter(self._of)), {})
        self._of[subject] = dict(units)
        for product_id, amount in units.items():
            amounts = self._amounts.setdefault(product_id, {})
            amounts[amount] = amounts.get(amount, 0) + 1

    def share(self, product_id: str, units: float) -> float:
        """Where an amount stands between the least, 0, and the most, 1; 0 where all bought as much."""
        amounts = self._amounts.get(product_id, {units: 1})
        least, most = min(amounts), max(amounts)
        return min(1.0, max(0.0, (units - least) / (most - least))) if most > least else 0.0
