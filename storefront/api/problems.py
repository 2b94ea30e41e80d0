"""Errors as RFC 9457 problem details: ``application/problem+json`` that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from schemas.errors import ContractError
from storefront.errors import TablesUnavailableError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2

_log = logging.getLogger(__name__)


class ProblemError(Exception):
    """A request that is not answered as it wished; ``extra`` are further members of the document."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.extra = status, detail, dict(headers or {}), extra


class FieldProblem(BaseModel):
    """One part of a request that is not as it has to be."""

    where: str = Field(examples=["query.n"])
    message: str = Field(examples=["Input should be less than or equal to 50"])


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(default="about:blank")
    title: str = Field(examples=["Service Unavailable"])
    status: int = Field(examples=[503])
    detail: str = Field(examples=["Kafka has not acknowledged 1 event; send it again with the same event_id"])
    errors: list[FieldProblem] | None = None
    event_ids: list[str] | None = Field(default=None, description="ids of the events, for sending them again")


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These problems as the OpenAPI document lists them."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: Any) -> Response:
    """A problem document as an answer."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **extra,
    }
    return Response(orjson.dumps(document), status, dict(headers or {}), media_type=MEDIA_TYPE)


def unavailable(detail: str, **extra: Any) -> ProblemError:
    """503, and when to come again."""
    return ProblemError(503, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)}, **extra)


def install(app: FastAPI, page_not_found: Callable[[Request], Awaitable[Response | None]] | None = None) -> None:
    """Have every error of the application answered so.

    ``page_not_found`` may answer with a page of its own where nothing stands at an address.
    """

    @app.exception_handler(ProblemError)
    async def _ours(request: Request, error: ProblemError) -> Response:
        return problem(error.status, error.detail, error.headers, **error.extra)

    @app.exception_handler(ContractError)
    async def _contract(request: Request, error: ContractError) -> Response:
        return problem(422, str(error))

    @app.exception_handler(TablesUnavailableError)
    async def _tables(request: Request, error: TablesUnavailableError) -> Response:
        return problem(503, str(error), {"Retry-After": str(RETRY_AFTER_SECONDS)})

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return problem(422, "the request is not as it has to be", errors=field_problems(error.errors()))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if page_not_found is not None and error.status_code == HTTPStatus.NOT_FOUND:
            page = await page_not_found(request)
            if page is not None:
                return page
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "an unexpected error; it is in the server's log")


def field_problems(errors: Any) -> list[dict[str, str]]:
    """What pydantic found, without the values, which may be secrets; at most 20."""
    return [
        {"where": ".".join(map(str, error["loc"])) or "body", "message": str(error["msg"])}
        for error in errors[:20]
    ]
