"""From the shelves that a page asks for to those that a shopper of an experiment is shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from consumers.experiments import Experiment, label
from schemas.events import Kind
from storefront.shelf_items import ShelfRequest
from storefront.wording import PRODUCT_KINDS, SHOP_KINDS


class Assigned(NamedTuple):
    """A shelf as it was asked for, as it is shown, and the variant that made the difference."""

    asked: ShelfRequest
    request: ShelfRequest
    variant: str = ""
    """``experiment:variant``; empty where the shelf is part of no experiment."""


def assign(
    experiments: Sequence[Experiment],
    requests: Sequence[ShelfRequest],
    placement: str,
    shopper: str,
    at_ms: int,
) -> list[Assigned]:
    """What is shown in place of each request; without a shopper nobody can be assigned, and all is as asked."""
    if not experiments or not shopper:
        return [Assigned(request, request) for request in requests]
    return [_assign(experiments, request, placement, shopper, at_ms) for request in requests]


def _assign(
    experiments: Sequence[Experiment], request: ShelfRequest, placement: str, shopper: str, at_ms: int
) -> Assigned:
    for experiment in experiments:
        if experiment.applies(request.kind, placement, at_ms):
            variant = experiment.variant_of(shopper)
            kind = experiment.shown_kind(variant, request.kind)
            return Assigned(request, _replaced(request, kind, shopper), label(experiment.name, variant))
    return Assigned(request, request)


def _replaced(request: ShelfRequest, kind: str, shopper: str) -> ShelfRequest:
    """The list of another kind at the same place."""
    if kind == request.kind:
        return request
    if kind == Kind.FOR_YOU:
        subject = shopper
    elif kind in PRODUCT_KINDS or request.kind in SHOP_KINDS:
        subject = request.subject
    else:
        subject = ""
    return ShelfRequest(kind, subject, request.category)
