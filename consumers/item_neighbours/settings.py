"""The settings of the item-neighbours stage: frozen, validated, unknown names refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from recsys.association import Measure
from recsys.decay import Decay
from recsys.item_row import RowRules

_DAY_MS = 86_400_000


class ItemNeighbourSettings(BaseModel):
    """How viewed-next and bought-together lists follow from what shoppers visit together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    half_life_days: float = Field(
        default=30.0,
        gt=0,
        description="age at which a co-visit counts half; to change it, empty item-state first",
    )
    max_companions: int = Field(default=64, ge=4, le=2_000, description="companions kept for a product")
    list_length: int = Field(default=20, ge=1, le=200, description="longest list")
    before_share: float = Field(
        default=0.5, ge=0, le=1, description="what a companion visited before counts, where one after counts one"
    )
    damping: float = Field(
        default=2.0, gt=0, description="visits added to a product's own before companions are set against them"
    )
    viewed_measure: Measure = Field(
        default="share",
        description="viewed next by share of the product's views, cosine, lift, or log-likelihood ratio (llr)",
    )
    bought_measure: Measure = Field(default="share", description="the same for bought together")
    max_relisted: int = Field(
        default=500, ge=1, description="products listed anew in one round because the catalogue changed"
    )
    max_unknown_products: int = Field(
        default=10_000, ge=0, description="rows kept, by shard, for products that are not in the catalogue (yet)"
    )

    @property
    def is_relative(self) -> bool:
        """True where lists follow from how often companions are visited too."""
        return {self.viewed_measure, self.bought_measure} != {"share"}

    def rules(self) -> RowRules:
        """The same for the core."""
        return RowRules(
            decay=Decay(max(1, round(self.half_life_days * _DAY_MS))),
            max_companions=self.max_companions,
            list_length=self.list_length,
            before_share=self.before_share,
            damping=self.damping,
            viewed_measure=self.viewed_measure,
            bought_measure=self.bought_measure,
        )
