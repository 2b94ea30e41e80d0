"""The settings of the trending stage: frozen, validated, unknown names refused."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recsys.decay import Decay
from recsys.visit_weights import PopularityRules

_HOUR_MS = 3_600_000


class TrendingSettings(BaseModel):
    """What counts as popular and as trending."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    popular_half_life_days: float = Field(
        default=30.0,
        gt=0,
        description="age at which a visit counts half in popular; to change it, empty trending-state first",
    )
    trending_half_life_hours: float = Field(
        default=6.0,
        gt=0,
        description="the same for trending; has to be shorter; to change it, empty trending-state first",
    )
    list_length: int = Field(default=20, ge=1, le=200, description="longest list")
    trending_floor: float = Field(
        default=8.0, ge=0, description="least recent weight of a product that trends, so that one click does not"
    )
    trending_significance: float = Field(
        default=2.0, ge=0, description="standard deviations above its expected weight that a product trends from"
    )
    baseline_prior: float = Field(
        default=1.0, gt=0, description="weight of visits that every product is taken to have had before"
    )
    categories_by_round: int = Field(
        default=8,
        ge=1,
        description="categories and segments, beyond those visited, that are ranked anew in one round",
    )
    max_segments: int = Field(
        default=20,
        ge=0,
        le=1_000,
        description="segments of users (interactions.segment_attribute) with lists of their own, the first seen",
    )
    max_unknown_products: int = Field(
        default=10_000, ge=0, description="products counted that are not in the catalogue (yet)"
    )

    @model_validator(mode="after")
    def _trending_forgets_faster(self) -> Self:
        if self.trending_half_life_hours >= 24 * self.popular_half_life_days:
            raise ValueError("trending_half_life_hours has to be shorter than popular_half_life_days")
        return self

    def rules(self) -> PopularityRules:
        """The same for the core."""
        return PopularityRules(
            popular=Decay(max(1, round(self.popular_half_life_days * 24 * _HOUR_MS))),
            trending=Decay(max(1, round(self.trending_half_life_hours * _HOUR_MS))),
            list_length=self.list_length,
            trending_floor=self.trending_floor,
            significance=self.trending_significance,
            baseline_prior=self.baseline_prior,
            max_segments=self.max_segments,
        )
