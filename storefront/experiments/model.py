"""The section ``experiments`` of the configuration: frozen, validated, unknown keys refused.

[[experiments]]
name = "shelf-test"
placements = ["product-page"]
holdout = 0.05
variants = [
    { name = "a", share = 0.5 },
    { name = "b", share = 0.5, replace = { viewed-next = "bought-together" } },
]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import combinations
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.events import Kind
from storefront.scheduled import Frozen, KindName, Scheduled
from storefront.wording import PRODUCT_KINDS

HOLDOUT = "holdout"
"""Name of those who are shown what is popular alone."""

_Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_BITS = 53


class Variant(Frozen):
    """What a share of the shoppers see; without ``replace`` what everybody saw, but for rules that name it."""

    name: _Name
    share: float = Field(gt=0, le=1, description="of the shoppers that are not held out")
    replace: Mapping[KindName, KindName] = Field(
        default_factory=dict, description="kinds of list, and which are shown in their place"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for asked, shown in self.replace.items():
            if shown in PRODUCT_KINDS and asked not in PRODUCT_KINDS:
                raise ValueError(f"{shown} is a list of a product, which {asked} is not about")
        return self


class Experiment(Scheduled):
    """Shoppers are dealt to variants by a hash of the experiment's name and their id, so each sees one alone."""

    name: _Name
    variants: tuple[Variant, ...] = Field(min_length=1, max_length=20)
    holdout: float = Field(
        default=0.0, ge=0, lt=1, description="share of the shoppers who see what is popular alone"
    )
    control: str = Field(default="", description="variant that others are compared with; the first if left out")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names) or HOLDOUT in names:
            raise ValueError(f"each variant needs a name of its own, other than {HOLDOUT}")
        if len(names) + (self.holdout > 0) < 2:
            raise ValueError("an experiment needs a second variant, or a holdout")
        total = math.fsum(variant.share for variant in self.variants)
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"the shares of the variants add up to {total:g}, not to 1")
        if self.control and self.control not in (*names, HOLDOUT):
            raise ValueError(f"control is {self.control}, which is no variant")
        return self

    @property
    def control_name(self) -> str:
        """The variant that others are compared with."""
        return self.control or self.variants[0].name

    def shares(self) -> dict[str, float]:
        """Expected share of all shoppers of each variant, the holdout last where there is one."""
        shares = {variant.name: variant.share * (1 - self.holdout) for variant in self.variants}
        return shares | ({HOLDOUT: self.holdout} if self.holdout > 0 else {})

    def variant_of(self, shopper: str) -> str:
        """Name of the variant that a shopper sees, or ``holdout``; the same for as long as the shares are."""
        place = _place(self.name, shopper)
        reached = 0.0
        for name, share in (
            (HOLDOUT, self.holdout),
            *((v.name, v.share * (1 - self.holdout)) for v in self.variants),
        ):
            reached += share
            if place < reached:
                return name
        return self.variants[-1].name

    def shown_kind(self, variant: str, kind: str) -> str:
        """Which kind of list a variant shows where another is asked for."""
        if variant == HOLDOUT:
            return Kind.POPULAR
        for one in self.variants:
            if one.name == variant:
                return next((shown for asked, shown in one.replace.items() if asked == kind), kind)
        return kind

    def overlaps(self, other: Experiment) -> bool:
        """True where a shelf could be part of both at a time."""
        first, second = _span(self), _span(other)
        return (
            (not self.kinds or not other.kinds or bool(self.kinds & other.kinds))
            and (not self.placements or not other.placements or bool(self.placements & other.placements))
            and first[0] < second[1]
            and second[0] < first[1]
        )


def label(experiment: str, variant: str) -> str:
    """How shelves, events and rules name a variant."""
    return f"{experiment}:{variant}"


def _apart(experiments: Sequence[Experiment]) -> Sequence[Experiment]:
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names):
        raise ValueError("each experiment needs a name of its own")
    for one, other in combinations(experiments, 2):
        if one.overlaps(other):
            both = f"{one.name} and {other.name}"
            raise ValueError(f"{both} are about the same shelves; give them kinds, placements or times apart")
    return experiments


Experiments = Annotated[tuple[Experiment, ...], AfterValidator(_apart)]
"""All of a shop; a shelf is part of one at most."""


def _span(experiment: Experiment) -> tuple[datetime, datetime]:
    return experiment.starts_at or _EVER[0], experiment.ends_at or _EVER[1]


def _place(experiment: str, shopper: str) -> float:
    """Where a shopper stands from 0 to 1, evenly, and in each experiment anew."""
    data = f"{experiment}\0{shopper}".encode(errors="surrogatepass")
    return (int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> (64 - _BITS)) / (1 << _BITS)
