"""Who is shopping: a guest of this browser, or one of the users that a demonstration switches between."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from storefront.shop.settings import SHOPPER_PATTERN

COOKIE = "shopper"
_GUEST = "guest-"
_GUEST_COOKIE = "guest"
REMEMBERED_SECONDS = 30 * 86_400
"""How long after the last visit the shop knows a browser again."""
_shopper = re.compile(SHOPPER_PATTERN)


class Shopper(NamedTuple):
    """The subject of a shopper's history; a guest's is the session's."""

    subject: str
    guest: str
    """The guest that this browser is, or goes back to."""

    @property
    def is_guest(self) -> bool:
        """True for one without a user's name."""
        return self.subject == self.guest

    @property
    def user_id(self) -> str | None:
        """As events have it."""
        return None if self.is_guest else self.subject

    @property
    def session_id(self) -> str | None:
        """As events have it."""
        return self.guest if self.is_guest else None

    @property
    def name(self) -> str:
        """How the page calls them."""
        return "Guest" if self.is_guest else self.subject.replace("-", " ").replace("_", " ").capitalize()


def new_guest() -> str:
    """The id of a guest that nobody was before."""
    return _GUEST + secrets.token_hex(8)


def shopper_of(request: Request, allowed: Sequence[str]) -> Shopper:
    """Who the cookies say, a user where that is ``allowed``; a new guest where they say nothing that can be."""
    guest = request.cookies.get(_GUEST_COOKIE, "")
    if not guest.startswith(_GUEST) or not _shopper.fullmatch(guest):
        guest = new_guest()
    subject = request.cookies.get(COOKIE, guest)
    return Shopper(subject if subject in allowed else guest, guest)


def remember(response: Response, request: Request, shopper: Shopper) -> None:
    """Set the cookies that do not say so already."""
    for name, value in ((COOKIE, shopper.subject), (_GUEST_COOKIE, shopper.guest)):
        if request.cookies.get(name) != value:
            response.set_cookie(
                name,
                value,
                max_age=REMEMBERED_SECONDS,
                httponly=True,
                samesite="lax",
                secure=request.url.scheme == "https",
            )
