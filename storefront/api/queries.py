"""Query strings of the routes that are asked most, validated once for as long as the same one keeps coming.

FastAPI would validate each field of each request anew, which takes longer than the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from schemas.events import MAX_ID_BYTES
from storefront.api.problems import ProblemError, field_problems

Q = TypeVar("Q", bound=BaseModel)

_KEPT = 4_096
_LONGEST_KEPT_BYTES = 512
_MAX_FIELDS = 300
_COMPONENTS = "#/components/schemas/{model}"


class LeanRoute(APIRoute):
    """A route whose function is handed the request, and reads from it what it needs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself: there is nothing to inject."""
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)


def query_of(request: Request, model: type[Q]) -> Q:
    """The query of a request; raises ``ProblemError`` 422 that names each wrong parameter."""
    text: bytes = request.scope["query_string"]
    parse = _kept if len(text) <= _LONGEST_KEPT_BYTES else _parsed
    return cast("Q", parse(model, text))


def subject_of(request: Request, name: str) -> str:
    """An id in the path; raises ``ProblemError`` 422 for one that no id can be."""
    subject: str = request.path_params[name]
    if len(subject) > MAX_ID_BYTES:
        raise ProblemError(422, f"{name} is longer than {MAX_ID_BYTES} characters")
    return subject


def _parsed(model: type[BaseModel], text: bytes) -> BaseModel:
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise ProblemError(422, f"the query cannot be read: {error}") from None
    given: dict[str, Any] = {}
    for name, value in pairs:
        field = model.model_fields.get(name)
        if field is not None and field.default_factory is list:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = [{**e, "loc": ("query", *e["loc"])} for e in error.errors(include_url=False, include_input=False)]
        raise ProblemError(422, "the request is not as it has to be", errors=field_problems(found)) from None


_kept = lru_cache(maxsize=_KEPT)(_parsed)


def parameters(model: type[BaseModel] | None = None, *path: str) -> dict[str, Any]:
    """Query and path parameters as the OpenAPI document lists them, for ``openapi_extra``."""
    subject = {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES}
    listed: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": subject, "description": "the shop's own id"}
        for name in path
    ]
    if model is not None:
        schema = model.model_json_schema(ref_template=_COMPONENTS)
        required = schema.get("required", ())
        for name, of in schema["properties"].items():
            listed.append({"name": name, "in": "query", "required": name in required, "schema": of})
            if "description" in of:
                listed[-1]["description"] = of.pop("description")
    return {"parameters": listed}
