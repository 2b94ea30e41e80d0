"""The settings of the shop's pages: frozen, validated, unknown names refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

SHOPPER_PATTERN = r"[A-Za-z0-9_.@-]{1,64}"
"""Ids that a browser may shop under."""


class ShopSettings(BaseModel):
    """What the shop is called and how much its pages show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="serve the pages beside the API")
    name: str = Field(default="Harbour & Pine", min_length=1, max_length=40)
    currency: str = Field(default="€", max_length=4, description="put before prices")
    shelf_length: int = Field(default=12, ge=1, le=50, description="products on a shelf")
    page_length: int = Field(default=24, ge=1, le=200, description="products on a page of a category")
    shoppers: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        description="users to switch between, without a login: for demonstrations",
    )
    picture_sources: tuple[str, ...] = Field(
        default=("https:",), description="from where pages may show pictures besides the shop itself (CSP img-src)"
    )
    max_remembered_shoppers: int = Field(
        default=10_000,
        ge=1,
        description="carts kept, in memory or in Redis; beyond it the longest unused is forgotten",
    )
    max_picture_bytes: int = Field(default=20_000_000, ge=1, description="largest picture that is served")
