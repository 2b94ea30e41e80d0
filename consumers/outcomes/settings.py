"""The settings of the outcomes stage: frozen, validated, unknown names refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from recsys.attribution import AttributionRules

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


class OutcomeSettings(BaseModel):
    """What is put down to a recommendation, and how much of a shopper is kept for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_hours: float = Field(
        default=24.0,
        gt=0,
        description="longest time from an impression to its click, and from a click to a cart-add or purchase",
    )
    lateness_days: float = Field(
        default=7.0, gt=0, description="how far behind the shopper's latest event one may arrive and still count"
    )
    returns_days: float = Field(default=30.0, ge=0, description="longest time from a purchase to its return")
    max_impressions: int = Field(default=200, ge=1, le=5_000, description="impressions kept of a shopper")
    max_clicks: int = Field(default=100, ge=1, le=2_000, description="clicks kept of a shopper")
    max_actions: int = Field(default=100, ge=1, le=2_000, description="cart-adds and purchases kept of a shopper")
    max_shoppers: int = Field(
        default=100_000,
        ge=1,
        description="shoppers kept, by shard; who has not been there for longest is forgotten",
    )
    max_labels: int = Field(
        default=20, ge=0, description="placements and variants each that metrics name; further ones are `other`"
    )

    def rules(self) -> AttributionRules:
        """The same for the core."""
        return AttributionRules(
            window_ms=round(self.window_hours * _HOUR_MS),
            lateness_ms=round(self.lateness_days * _DAY_MS),
            returns_ms=round(self.returns_days * _DAY_MS),
            max_impressions=self.max_impressions,
            max_clicks=self.max_clicks,
            max_actions=self.max_actions,
        )
