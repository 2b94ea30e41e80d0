"""The file of rules: frozen, validated, unknown keys refused.

[[rule]]
name = "winter coats"
action = "boost"
factor = 2.0
categories = ["coats"]
attributes = { season = "winter" }
placements = ["home"]
starts_at = 2026-11-01T00:00:00+01:00

[[never_together]]
name = "no socks with sandals"
categories = ["socks", "sandals"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from consumers.scheduled import Frozen, Id, Scheduled
from schemas.events import ProductCreated
from storefront.errors import RulesError

MAX_RULES = 1_000

_Name = Annotated[str, Field(min_length=1, max_length=100)]


class Action(StrEnum):
    """What a rule does with the products that it is about."""

    PIN = "pin"
    BOOST = "boost"
    BURY = "bury"
    HIDE = "hide"


class _Decision(Scheduled):
    name: _Name = Field(description="what the effect is called wherever it shows")
    variants: frozenset[Id] = Field(
        default=frozenset(), description="variants of experiments, experiment:variant, it is for alone; none: all"
    )

    def holds(self, kind: str, placement: str, at_ms: int, variant: str) -> bool:
        """True for a list of this kind at this placement and time, shown as this variant of an experiment."""
        return (not self.variants or variant in self.variants) and self.applies(kind, placement, at_ms)


class Rule(_Decision):
    """One decision about the products that meet every condition given; it needs at least one condition."""

    action: Action
    products: tuple[Id, ...] = Field(default=(), max_length=1_000, description="product ids")
    categories: frozenset[Id] = frozenset()
    attributes: Mapping[str, str] = Field(default_factory=dict, description="attributes and their values")
    price_min: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    price_max: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    margin_min: float | None = Field(default=None, allow_inf_nan=False, description="of the attribute `margin`")
    margin_max: float | None = Field(default=None, allow_inf_nan=False, description="of the attribute `margin`")
    factor: float | None = Field(default=None, gt=1, le=1_000, description="of boost: times the score")
    position: int | None = Field(default=None, ge=1, le=50, description="of pin: place of the first product")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not any((self.products, self.categories, self.attributes, self._limits())):
            raise ValueError("say which products: products, categories, attributes, price_ or margin_ limits")
        if (self.factor is not None) != (self.action is Action.BOOST):
            raise ValueError("factor belongs to boost, which needs it")
        if (self.position is not None) != (self.action is Action.PIN):
            raise ValueError("position belongs to pin, which needs it")
        if self.action is Action.PIN and not self.products:
            raise ValueError("pin needs products")
        return self

    def matches(self, product: ProductCreated) -> bool:
        """True for a product that meets every condition; one without a price or a margin meets no limit of it."""
        if self.products and product.product_id not in self.products:
            return False
        if self.categories and product.category not in self.categories:
            return False
        if any(product.attributes.get(name) != value for name, value in self.attributes.items()):
            return False
        return _within(product.price, self.price_min, self.price_max) and _within(
            _margin(product), self.margin_min, self.margin_max
        )

    def _limits(self) -> bool:
        limits = (self.price_min, self.price_max, self.margin_min, self.margin_max)
        return any(limit is not None for limit in limits)


class NeverTogether(_Decision):
    """Products of the one category are not shown because of a product of the other."""

    categories: tuple[Id, Id]

    def parts(self, product: ProductCreated, about: ProductCreated) -> bool:
        """True for a product that is not to be shown because of another."""
        return {product.category, about.category} == set(self.categories)


class RuleSet(Frozen):
    """All rules of a shop, in the order of the file."""

    rule: tuple[Rule, ...] = Field(default=(), max_length=MAX_RULES)
    never_together: tuple[NeverTogether, ...] = Field(default=(), max_length=MAX_RULES)

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [one.name for one in (*self.rule, *self.never_together)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each name may be there once; more than once: {', '.join(twice)}")
        return self


def parse_rules(text: str) -> RuleSet:
    """The rules of a file; raises ``RulesError`` that names everything wrong with it."""
    try:
        return RuleSet.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"the rules are not TOML: {error}") from error
    except ValidationError as error:
        raise RulesError("; ".join(_problem(one["loc"], one["msg"]) for one in error.errors())) from error


def _problem(place: tuple[int | str, ...], message: str) -> str:
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    what = message.removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def _within(value: float | None, least: float | None, most: float | None) -> bool:
    if least is None and most is None:
        return True
    return value is not None and (least is None or value >= least) and (most is None or value <= most)


def _margin(product: ProductCreated) -> float | None:
    try:
        return float(product.attributes["margin"])
    except (KeyError, ValueError):
        return None
