"""The settings of the image stage: frozen, validated, unknown names refused."""

from __future__ import annotations

import os
import random
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

SHIPPED_ENCODER = "mobilenet-v2"
"""The encoder that comes with the project and needs no download."""


def available_cpus() -> int:
    """How many CPUs this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageLimits(_Frozen):
    """How large a picture may be."""

    max_bytes: int = Field(default=20_000_000, ge=1, description="largest file or response, bytes")
    min_side: int = Field(default=24, ge=1, description="smallest width and height, pixels")
    max_pixels: int = Field(default=50_000_000, ge=1, description="largest width x height, before decoding")


class FetchSettings(_Frozen):
    """Where pictures may come from, and how long that may take."""

    images_dir: Path | None = Field(default=None, description="folder that an image_url without a scheme is below")
    allow_private_addresses: bool = Field(
        default=False, description="fetch from loopback, private and link-local addresses too"
    )
    allowed_hosts: frozenset[str] = Field(
        default=frozenset(), description="hosts that may be fetched from at whatever address they have"
    )
    connect_timeout_seconds: float = Field(default=5.0, gt=0)
    read_timeout_seconds: float = Field(default=10.0, gt=0, description="longest silence of the server")
    total_timeout_seconds: float = Field(default=30.0, gt=0, description="longest download, redirects included")
    max_redirects: int = Field(default=3, ge=0, le=20)
    user_agent: str = "recsys-image-features/1"


class RetryPolicy(_Frozen):
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS, 2015)."""

    max_attempts: int = Field(default=5, ge=1, le=100, description="attempts at one picture, the first included")
    first_backoff_seconds: float = Field(default=1.0, gt=0)
    max_backoff_seconds: float = Field(default=60.0, gt=0)

    def backoff_seconds(self, attempt: int, rng: random.Random, at_least_seconds: float = 0.0) -> float | None:
        """Seconds to wait after failed ``attempt`` (1, 2, …), or None when it was the last.

        ``at_least_seconds`` is what the server asked for (Retry-After), honoured up to ``max_backoff_seconds``.
        """
        if attempt >= self.max_attempts:
            return None
        ceiling = min(self.max_backoff_seconds, self.first_backoff_seconds * 2.0 ** min(attempt - 1, 60))
        return max(rng.uniform(0.0, ceiling), min(at_least_seconds, self.max_backoff_seconds))


class PipelineSettings(_Frozen):
    """How many pictures are under way at once."""

    fetchers: int = Field(default=16, ge=1, le=256, description="threads that download")
    decoders: int = Field(
        default_factory=available_cpus, ge=1, le=256, description="downloads that decode at the same time"
    )
    capacity: int = Field(default=512, ge=1, description="pictures under way, retries and finished ones included")


class ImageSettings(_Frozen):
    """Everything about fetching, cleaning and embedding pictures."""

    limits: ImageLimits = ImageLimits()
    fetch: FetchSettings = FetchSettings()
    retry: RetryPolicy = RetryPolicy()
    pipeline: PipelineSettings = PipelineSettings()
    encoder: str = Field(
        default=SHIPPED_ENCODER,
        description="a network by its name (see `recsys encoder list`), or the path of a .tflite file",
    )
    previous_encoder: str | None = Field(
        default=None,
        description="the encoder before, where its file is not in encoders_dir: new products get its features too "
        "until the catalogue has those of the encoder",
    )
    encoders_dir: Path = Field(
        default=Path("encoders"), description="folder of the files that `recsys encoder export` makes"
    )
    re_embedded_at_once: int = Field(
        default=32, ge=1, le=1024, description="pictures under way for a changed encoder; new products go first"
    )
    max_other_images: int = Field(
        default=4, ge=0, le=50, description="pictures of a product beside its main one that are embedded too"
    )
    main_weight: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="the main picture's part in a product's vector, where it has others; for what is published "
        "from then on",
    )
    embed_batch: int = Field(default=32, ge=1, le=1024, description="pictures embedded in one go")
    remembered_vectors: int = Field(
        default=4096, ge=0, description="vectors kept by digest, for a photograph that several products share"
    )
