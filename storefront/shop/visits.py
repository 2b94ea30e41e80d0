"""What the shop remembers of a shopper between pages: cart, recently viewed and orders; bounded, in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

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

    def add(self, product_id: str, quantity: int) -> None:
        """Put pieces into the cart; see ``has_room``."""
        self.cart[product_id] = min(self.cart.get(product_id, 0) + quantity, MAX_QUANTITY)

    def change(self, product_id: str, quantity: int) -> None:
        """Set how many pieces are wanted; 0 takes the line out."""
        if quantity <= 0:
            self.cart.pop(product_id, None)
        elif product_id in self.cart:
            self.cart[product_id] = min(quantity, MAX_QUANTITY)

    def order(self, lines: Mapping[str, int]) -> None:
        """The lines were bought, and leave the cart."""
        self.ordered = dict(lines)
        for product_id in lines:
            self.cart.pop(product_id, None)

    def is_repeated(self, token: str) -> bool:
        """True for a form that was taken before."""
        return token in self.tokens

    def remember(self, token: str) -> None:
        """A form was taken."""
        self.tokens = [*self.tokens, token][-_MAX_TOKENS:]


class Visits:
    """The visits of the shoppers seen last; for one thread. Asking for an unknown one inserts nothing."""

    def __init__(self, max_shoppers: int) -> None:
        self._max_shoppers = max_shoppers
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visits)

    def get(self, shopper: str) -> Visit:
        """A shopper's visit to read; an empty one that is not kept where nothing is known."""
        return self._visits.get(shopper) or Visit()

    def change(self, shopper: str) -> Visit:
        """A shopper's visit to change, which is kept from now on."""
        visit = self._visits.setdefault(shopper, Visit())
        self._visits.move_to_end(shopper)
        if len(self._visits) > self._max_shoppers:
            self._visits.popitem(last=False)
        return visit
