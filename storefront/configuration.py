"""The configuration of a process that also serves: what stages have, and ``api`` and ``shop``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from consumers.configuration import Configuration, load_as
from storefront.api.settings import ApiSettings
from storefront.shop.settings import ShopSettings

REDIS_VARIABLE = "REDIS_URL"


class StorefrontConfiguration(Configuration):
    """Everything that can be set."""

    api: ApiSettings = Field(default=ApiSettings(), description="the HTTP edge")
    shop: ShopSettings = Field(default=ShopSettings(), description="the demo shop's pages")


def load_storefront(
    environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> StorefrontConfiguration:
    """Read file and environment as ``consumers.configuration.load`` does; REDIS_URL is ``api.redis_url``."""
    environ = os.environ if environ is None else environ
    if environ.get(REDIS_VARIABLE):
        environ = {"RECSYS_API__REDIS_URL": environ[REDIS_VARIABLE], **environ}
    return load_as(StorefrontConfiguration, environ, folder)
