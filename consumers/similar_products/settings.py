"""The settings of the similar-products stage: frozen, validated, unknown names refused."""

from __future__ import annotations

from math import inf
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from consumers.similar_products.qdrant import QdrantRows, connect
from recsys.neighbours import ApproximateIndex, ApproximateSettings, ExactIndex, ExactSettings, NeighbourIndex
from recsys.neighbours.graph import NearRows, NearVectors
from recsys.neighbours.pairing import PairRules

_SMALLEST_GRAPH = 1_000
"""Products to learn from what the graph's directions are."""
LEARN_AT = (1_000, 4_000, 12_000)
"""Later it would change little, and all lists would have to be found again."""


class LookSettings(BaseModel):
    """Lists of kind complete-the-look: products that look alike, and go together by attributes.

    They take an index of their own, with as much memory as that of similar products.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    same_attributes: tuple[str, ...] = Field(
        min_length=1,
        description="attributes that both have the same values of, such as collection or style",
    )
    scope: Literal["other", "any"] = Field(
        default="other", description="of which categories: others than the product's own, or any"
    )
    price_factor: float | None = Field(default=None, ge=1, description="as for similar products")

    def rules(self) -> PairRules:
        """Which products are listed with which."""
        return PairRules(self.scope, True, inf if self.price_factor is None else self.price_factor)


class SimilarProductsSettings(BaseModel):
    """How many neighbours a product has, and how they are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    list_length: int = Field(default=20, ge=1, le=200, description="longest list")
    margin: int = Field(
        default=8, ge=0, le=200, description="neighbours kept beyond the list, for when products leave it"
    )
    storage: Literal["float16", "float32"] = Field(
        default="float32", description="vectors in memory: float16 takes half of it, float32 half the time"
    )
    search: Literal["auto", "exact", "approximate"] = Field(
        default="auto", description="auto: exact for up to `approximate_from` products, a graph for more"
    )
    approximate_from: int = Field(
        default=100_000, ge=1_000, description="products from which on auto uses a graph"
    )
    scope: Literal["any", "same", "other"] = Field(
        default="any", description="of which categories similar products are: any, the product's own, or others"
    )
    price_factor: float | None = Field(
        default=None,
        ge=1,
        description="how many times a product's price the prices in its list may be, up or down; unset: any price",
    )
    required_attributes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="attributes that a product needs, each with one of these values, to stand in lists: "
        '{"published": ["yes"]}',
    )
    complete_the_look: LookSettings | None = Field(
        default=None, description="a second list, of what goes with a product; unset: none"
    )
    near_duplicate_cosine: float = Field(
        default=0.985,
        gt=0.5,
        le=2,
        description="from which two products show the same photograph, and are not listed together; 2: never",
    )
    spare: int = Field(
        default=4, ge=0, le=200, description="products looked at to stand where near-duplicates would"
    )
    qdrant_url: str | None = Field(
        default=None, description="a Qdrant server that holds the graph; unset: it is in this process"
    )
    correct_hubs: bool = Field(
        default=True, description="products that look like everything step back, from 1,000 products on"
    )
    batch_products: int = Field(
        default=512, ge=1, le=10_000, description="features taken at once; each leads to about 20 lists"
    )

    def learn_at(self) -> tuple[int, ...]:
        """Numbers of products at which what corrects hubs is learnt."""
        return LEARN_AT if self.correct_hubs else ()

    def make_index(self, dimensions: int) -> NeighbourIndex:
        """An empty index of vectors of so many dimensions, for similar products."""
        price_factor = inf if self.price_factor is None else self.price_factor
        return self._make_index(dimensions, PairRules(self.scope, price_factor=price_factor))

    def make_look_index(self, dimensions: int) -> NeighbourIndex:
        """The same for what completes a look."""
        rules = PairRules() if self.complete_the_look is None else self.complete_the_look.rules()
        return self._make_index(dimensions, rules)

    def _make_index(self, dimensions: int, rules: PairRules) -> NeighbourIndex:
        exact = ExactSettings(
            self.list_length,
            self.margin,
            self.storage,
            rules=rules,
            near_duplicate=self.near_duplicate_cosine,
            spare=self.spare if self.near_duplicate_cosine <= 1 else 0,
        )
        if self.search == "exact":
            return ExactIndex(dimensions, exact)
        graph_from = self.approximate_from if self.search == "auto" else _SMALLEST_GRAPH
        return ApproximateIndex(dimensions, ApproximateSettings(exact, graph_from, make_graph=self._make_graph))

    def _make_graph(self, dimensions: int) -> NearVectors:
        return (
            NearRows(dimensions) if self.qdrant_url is None else QdrantRows(connect(self.qdrant_url), dimensions)
        )
