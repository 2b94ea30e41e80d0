"""The section ``experiments`` of the configuration: frozen, validated, unknown keys refused.

[[experiments]]
name = "shelf-test"
placements = ["product-page"]
holdout = 0.05
variants = [
    { name = "a", share = 0.5 },
    { name = "b", share = 0.5, replace = { viewed-next = "bought-together" } },
]

The storefront shows variants; a variant's ``blend`` is what the interactions stage makes for-you lists by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from consumers.interactions.settings import BlendSettings
from consumers.scheduled import Frozen, KindName, Scheduled
from recsys.experiments import BlendTrial, dealt
from schemas.events import Kind

HOLDOUT = "holdout"
"""Name of those who are shown what is popular alone."""

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
_EPOCH = datetime.fromtimestamp(0, UTC)
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class Variant(Frozen):
    """What a share of the shoppers see; alone, what everybody saw, but for rules that name it."""

    name: _Name
    share: float = Field(gt=0, le=1, description="of the shoppers that are not held out")
    replace: Mapping[KindName, KindName] = Field(
        default_factory=dict, description="kinds of list, and which are shown in their place"
    )

    blend: Mapping[str, Weight] = Field(
        default_factory=dict,
        description="weights of scorers, as in interactions.blend, for for-you lists from a shopper's first event "
        "in the experiment on; those that are not named stay as they are",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for asked, shown in self.replace.items():
            if shown in Kind.OF_PRODUCTS and asked not in Kind.OF_PRODUCTS:
                raise ValueError(f"{shown} is a list of a product, which {asked} is not about")
        unknown = sorted(self.blend.keys() - BlendSettings.model_fields.keys())
        if unknown:
            known = ", ".join(BlendSettings.model_fields)
            raise ValueError(f"there is no scorer {', '.join(unknown)}; there are {known}")
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
        if self.has_blends and (self.placements or (self.kinds and Kind.FOR_YOU not in self.kinds)):
            raise ValueError(
                "a shopper has one for-you list: with a blend, kinds include for-you, if any, and no "
                "placements are named"
            )
        if self.control and self.control not in (*names, HOLDOUT):
            raise ValueError(f"control is {self.control}, which is no variant")
        return self

    @property
    def has_blends(self) -> bool:
        """True where variants weigh scorers in other ways."""
        return any(variant.blend for variant in self.variants)

    @property
    def control_name(self) -> str:
        """The variant that others are compared with."""
        return self.control or self.variants[0].name

    def shares(self) -> dict[str, float]:
        """Expected share of all shoppers of each variant, the holdout last where there is one."""
        shares = self._dealing()
        held_out = shares.pop(HOLDOUT, None)
        return shares if held_out is None else shares | {HOLDOUT: held_out}

    def variant_of(self, shopper: str) -> str:
        """Name of the variant that a shopper sees, or ``holdout``; the same for as long as the shares are."""
        return dealt(self.name, self._dealing(), shopper)

    def trial(self) -> BlendTrial:
        """The experiment as the core has it, for its blends."""
        blends = {variant.name: dict(variant.blend) for variant in self.variants if variant.blend}
        starts_ms, ends_ms = (round(1_000 * (at - _EPOCH).total_seconds()) for at in _span(self))
        return BlendTrial(self.name, self._dealing(), blends, starts_ms, ends_ms)

    def _dealing(self) -> dict[str, float]:
        """Shares in the order in which shoppers are dealt."""
        held_out = {HOLDOUT: self.holdout} if self.holdout > 0 else {}
        return held_out | {variant.name: variant.share * (1 - self.holdout) for variant in self.variants}

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
