"""The settings of the item-factors stage: frozen, validated, unknown names refused."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from recsys.factors.learner import FactorRules
from recsys.factors.refit import RefitRules
from recsys.sessions.bought_units import BoughtUnits
from recsys.sessions.index import SessionRules

_DAY_MS = 86_400_000

Quantities = Literal["log", "min-max"]


class SparkSettings(BaseModel):
    """How `recsys refit --engine spark` runs; the model is that of the stage, as far as Spark's ALS has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    master: str = Field(default="local[*]", description="where Spark runs: this machine, or a cluster's address")
    iterations: int = Field(default=15, ge=1, le=1_000, description="sweeps; Spark does not look at the loss")
    checkpoint_dir: str = Field(
        default="",
        description="folder that all machines of a cluster can write to; without, chains get long",
    )
    memory_mb: int = Field(default=1_024, ge=512, description="heap of the JVM on this machine")


class ItemFactorSettings(BaseModel):
    """The model, and how much of it is solved again as shoppers go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factors: int = Field(
        default=32, ge=1, le=512, description="length of a vector; to change it, empty item-factors"
    )
    alpha: float = Field(default=2.0, gt=0, description="how much more a visit says than none does")
    quantities: Quantities = Field(
        default="log",
        description="how units bought add to a purchase: log, one more action with each doubling; min-max, from "
        "none at the least that a shopper bought of the product to one more at the most",
    )
    regularisation: float = Field(default=10.0, gt=0, description="pull towards zero")
    item_ridge: float = Field(default=30.0, gt=0, description="pull of vectors of products' features towards zero")
    recent_users: int = Field(
        default=500, ge=1, description="shoppers that a product's vector follows from, the latest"
    )
    turns: float = Field(default=0.25, ge=0, le=100, description="products solved anew for each that was visited")
    tolerance: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of its length that a vector moves until it is published",
    )
    retention_days: float = Field(default=365.0, gt=0, description="age at which shoppers' histories expire")
    max_users: int = Field(default=200_000, ge=8, description="shoppers that are learnt from")
    batch_histories: int = Field(default=5_000, ge=1, description="histories taken at once")

    refit_tolerance: float = Field(
        default=1e-4, ge=0, lt=1, description="`recsys refit`: share by which a sweep lowers the loss for another"
    )
    refit_max_sweeps: int = Field(default=50, ge=1, le=10_000, description="`recsys refit`: sweeps at most")

    spark: SparkSettings = Field(default=SparkSettings(), description="`recsys refit --engine spark`")

    def rules(self) -> FactorRules:
        """The model, for the core."""
        return FactorRules(
            factors=self.factors,
            alpha=self.alpha,
            regularisation=self.regularisation,
            item_ridge=self.item_ridge,
            recent_users=self.recent_users,
            turns=self.turns,
            tolerance=self.tolerance,
        )

    def bought_units(self) -> BoughtUnits | None:
        """What knows how many units are much; None where that does not matter."""
        return BoughtUnits(self.max_users) if self.quantities == "min-max" else None

    def refit_rules(self) -> RefitRules:
        """When a full refit is good enough, for the core."""
        return RefitRules(tolerance=self.refit_tolerance, max_sweeps=self.refit_max_sweeps)

    def session_rules(self) -> SessionRules:
        """What is kept of shoppers, for the core."""
        return SessionRules(round(self.retention_days * _DAY_MS), self.max_users)
