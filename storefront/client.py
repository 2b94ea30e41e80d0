"""The HTTP API as typed calls, for a shop's backend that would rather ask than follow Kafka.

    with ShopApi("http://127.0.0.1:8080") as shop:
        shop.send(View(type="view", user_id="u7", product_id="P123"))
        for item in shop.user_lists("u7", n=6).lists[0].items:
            print(item.rank, item.title, item.text)

Events are sent again, with the same event_id, while the server says that Kafka has not acknowledged them.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from schemas.errors import RecsysError
from storefront.api.models import (
    MAX_BATCH,
    Accepted,
    Answer,
    CartAdd,
    Change,
    Click,
    Impression,
    KindName,
    Matches,
    NewProduct,
    Product,
    Purchase,
    View,
    Written,
)

__all__ = [
    "Answer",
    "ApiError",
    "CartAdd",
    "Change",
    "Click",
    "Impression",
    "ListOptions",
    "NewProduct",
    "Purchase",
    "ShopApi",
    "View",
]

_AGAIN = frozenset({429, 503})
_LONGEST_WAIT_SECONDS = 30.0
_JITTER = 1.5
_SILENCE_SECONDS = 60.0
"""A stream that sends no heartbeat for so long is dead."""

Event = View | CartAdd | Purchase | Impression | Click
M = TypeVar("M", bound=BaseModel)


class ApiError(RecsysError):
    """The server did not do what was asked; ``status`` is 0 where it could not be reached."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status = status


class ListOptions(TypedDict, total=False):
    """What a list's products have to be."""

    n: int
    category: str
    price_min: float
    price_max: float
    in_stock: bool
    exclude: Sequence[str]
    diversity: float
    fill: bool
    placement: str


class ShopApi:
    """One server; ``token`` is needed for products and for forgetting users. May be shared between threads.

    Raises ``ApiError`` where the server refuses, or cannot be reached after ``attempts``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        timeout_seconds: float = 15.0,
        attempts: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout_seconds, transport=transport)
        self._attempts = attempts

    def product_lists(
        self,
        product_id: str,
        kinds: Sequence[KindName] = (),
        *,
        user: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Answer:
        """What a product page shows: similar, viewed-next and bought-together, or those of ``kinds``.

        ``user`` is who is shown it, for experiments.
        """
        return self._lists(f"/products/{_quoted(product_id)}/lists", options, kinds=_joined(kinds), user=user)

    def user_lists(self, user_id: str, kinds: Sequence[KindName] = (), **options: Unpack[ListOptions]) -> Answer:
        """What a home page shows to a user: for-you, trending and popular, or those of ``kinds``."""
        return self._lists(f"/users/{_quoted(user_id)}/lists", options, kinds=_joined(kinds))

    def session_lists(
        self, session_id: str, kinds: Sequence[KindName] = (), **options: Unpack[ListOptions]
    ) -> Answer:
        """The same for a guest."""
        return self._lists(f"/sessions/{_quoted(session_id)}/lists", options, kinds=_joined(kinds))

    def page_lists(
        self,
        kinds: Sequence[KindName],
        *,
        product: str | None = None,
        user: str | None = None,
        about_category: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Answer:
        """Lists of any kinds for one page, in their order; ids may hold slashes here."""
        about = {"product": product, "user": user, "about_category": about_category}
        return self._lists("/lists", options, kinds=_joined(kinds), **about)

    def product(self, product_id: str) -> Product:
        """A product as the shop last published it; ``ApiError`` 404 for one that is retired or unknown."""
        return self._call(Product, "GET", f"/products/{_quoted(product_id)}")

    def send(self, *events: Event) -> Accepted:
        """Send events, up to 500; returns when Kafka has them all. Each counts once, however often it is sent."""
        named = [e if e.event_id else e.model_copy(update={"event_id": uuid.uuid4().hex}) for e in events]
        return self._call(Accepted, "POST", "/events", json=_documents(named))

    def publish_products(self, *products: NewProduct) -> Written:
        """Publish products as they are now, up to 500."""
        return self._call(Written, "POST", "/products", json=_documents(products))

    def retire_product(self, product_id: str) -> Written:
        """Retire a product for good."""
        return self._call(Written, "DELETE", f"/products/{_quoted(product_id)}")

    def signed_in(self, user_id: str, session_id: str) -> Written:
        """Say that a guest signed in: what the session did becomes the user's."""
        return self._call(Written, "PUT", f"/users/{_quoted(user_id)}/sessions/{_quoted(session_id)}")

    def forget_user(self, user_id: str) -> Written:
        """Forget a user."""
        return self._call(Written, "DELETE", f"/users/{_quoted(user_id)}")

    def search_image(self, photo: bytes | str, *, n: int = 12, category: str | None = None) -> Matches:
        """Products that look like a photo: its bytes, or the public address of a picture."""
        body: dict[str, Any] = {"content": photo, "headers": {"Content-Type": "application/octet-stream"}}
        if isinstance(photo, str):
            body = {"json": {"image_url": photo}}
        params = {"n": n, **({} if category is None else {"category": category})}
        return self._call(Matches, "POST", "/search/image", params=params, **body)

    def stream(
        self, subject: str | None = None, products: Sequence[str] = (), last_event_id: str = ""
    ) -> Iterator[Change]:
        """Every list that changes, from now on or since ``last_event_id``, without end; reconnects by itself.

        The same revision of a list may come twice. Raises ``ApiError`` where the server refuses, and when it
        cannot be reached ``attempts`` times in a row.
        """
        params = {"products": ",".join(products), **({} if subject is None else {"subject": subject})}
        failures = 0
        while True:
            try:
                for event_id, change in self._events(params, last_event_id):
                    failures, last_event_id = 0, event_id or last_event_id
                    yield change
            except httpx.TransportError as error:
                failures += 1
                if failures >= self._attempts:
                    raise ApiError(0, f"the server cannot be reached: {error}") from error
            _wait(2.0**failures)

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lists(self, path: str, options: ListOptions, **about: str | None) -> Answer:
        params = {name: value for name, value in {**options, **about}.items() if value is not None}
        return self._call(Answer, "GET", path, params=params)

    def _call(self, model: type[M], method: str, path: str, **request: Any) -> M:
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                if last:
                    raise ApiError(0, f"the server cannot be reached: {error}") from error
                _wait(0.1 * 2.0**attempt)
                continue
            if response.status_code in _AGAIN and not last:
                _wait(_retry_after_seconds(response))
                continue
            if response.is_error:
                raise _refusal(response)
            return model.model_validate_json(response.content)
        raise AssertionError("attempts is at least 1")

    def _events(self, params: dict[str, str], last_event_id: str) -> Iterator[tuple[str, Change]]:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        timeout = httpx.Timeout(10.0, read=_SILENCE_SECONDS)
        with self._http.stream("GET", "/stream", params=params, headers=headers, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            event_id = ""
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    event_id = value
                elif name == "data":
                    yield event_id, Change.model_validate_json(value)
                    event_id = ""


def _documents(models: Sequence[BaseModel]) -> list[dict[str, Any]]:
    if len(models) > MAX_BATCH:
        raise ApiError(0, f"{len(models)} at a time are too many; send up to {MAX_BATCH}")
    return [model.model_dump(mode="json", exclude_none=True) for model in models]


def _joined(kinds: Sequence[str]) -> str | None:
    return ",".join(kinds) or None


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _wait(seconds: float) -> None:
    """Up to half as long again, so that clients that were refused together do not come back together."""
    time.sleep(min(seconds * random.uniform(1.0, _JITTER), _LONGEST_WAIT_SECONDS))


def _retry_after_seconds(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 1.0


def _refusal(response: httpx.Response) -> ApiError:
    try:
        document = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return ApiError(response.status_code, response.reason_phrase)
    errors = "; ".join(f"{e['where']}: {e['message']}" for e in document.get("errors") or ())
    return ApiError(response.status_code, f"{document.get('detail', '')}{f' ({errors})' if errors else ''}")
