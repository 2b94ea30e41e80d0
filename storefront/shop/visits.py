"""What the shop remembers of a shopper between pages: cart, recently viewed and orders; bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_CART_LINES = 50
MAX_QUANTITY = 99
_MAX_VIEWED = 12
_MAX_TOKENS = 64


@dataclass(slots=True)
class Visit:
    """One shopper's cart and what they saw and bought last, newest first."""

    cart: dict[str, int] = field(default_factory=dict)
    viewed: list[str] = field(default_factory=list)
    ordered: dict[str, int] = field(default_factory=dict)
    """The lines of the last order."""
    tokens: list[str] = field(default_factory=list)
    """Of the forms taken last: a form that is sent twice counts once."""

    @property
    def pieces(self) -> int:
        """How many pieces are in the cart."""
        return sum(self.cart.values())

    def view(self, product_id: str) -> None:
        """A product page was opened."""
        self.viewed = [product_id, *(known for known in self.viewed if known != product_id)][:_MAX_VIEWED]

    def has_room(self, product_id: str) -> bool:
        """True where another piece of the product fits into the cart."""
        if product_id in self.cart:
            return self.cart[product_id] < MAX_QUANTITY
        return len(self.cart) < MAX_CART_LINES

    def add(self, product_id: str, quantity: int, token: str) -> None:
        """Put pieces into the cart, where there is room for them; once for a form's token."""
        if self.has_room(product_id) and self._is_first(token):
            self.cart[product_id] = min(self.cart.get(product_id, 0) + quantity, MAX_QUANTITY)

    def change(self, product_id: str, quantity: int) -> None:
        """Set how many pieces are wanted; 0 takes the line out."""
        if quantity <= 0:
            self.cart.pop(product_id, None)
        elif product_id in self.cart:
            self.cart[product_id] = min(quantity, MAX_QUANTITY)

    def order(self, lines: Mapping[str, int], token: str) -> None:
        """The lines were bought, and leave the cart; once for a form's token."""
        if not self._is_first(token):
            return
        self.ordered = dict(lines)
        for product_id in lines:
            self.cart.pop(product_id, None)

    def is_repeated(self, token: str) -> bool:
        """True for a form that was taken before."""
        return token in self.tokens

    def _is_first(self, token: str) -> bool:
        if self.is_repeated(token):
            return False
        self.tokens = [*self.tokens, token][-_MAX_TOKENS:]
        return True


class Visits(Protocol):
    """The visits of the shoppers seen last; raises ``TablesUnavailableError`` where shared ones cannot be had."""

    async def get(self, shopper: str) -> Visit:
        """A shopper's visit to read, empty where nothing is known. Asking inserts nothing."""
        ...

    async def change(self, shopper: str, change: Callable[[Visit], None]) -> None:
        """Change a shopper's visit, which is kept from now on; ``change`` may be called again on a newer one."""
        ...


class MemoryVisits:
    """Visits of this process alone; for one thread."""

    def __init__(self, max_shoppers: int) -> None:
        self._max_shoppers = max_shoppers
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visits)

    async def get(self, shopper: str) -> Visit:
        """See ``Visits``."""
        return self._visits.get(shopper) or Visit()

    async def change(self, shopper: str, change: Callable[[Visit], None]) -> None:
        """See ``Visits``."""
        change(self._visits.setdefault(shopper, Visit()))
        self._visits.move_to_end(shopper)
        if len(self._visits) > self._max_shoppers:
            self._visits.popitem(last=False)
