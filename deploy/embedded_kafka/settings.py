"""Where the embedded Kafka keeps its files, and how large it is."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path
from pydantic import BaseModel, ConfigDict, Field

_APPLICATION = "streaming-recsys"


def cache_dir() -> Path:
    """Folder for what can be fetched again: RECSYS_CACHE_DIR, else the platform's own."""
    named = os.environ.get("RECSYS_CACHE_DIR")
    return Path(named) if named else user_cache_path(_APPLICATION)


def data_dir() -> Path:
    """Folder for what cannot: RECSYS_DATA_DIR, else the platform's own."""
    named = os.environ.get("RECSYS_DATA_DIR")
    return Path(named) if named else user_data_path(_APPLICATION)


class EmbeddedKafkaSettings(BaseModel):
    """One broker on loopback, sized for a laptop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(default=9092, ge=0, le=65_535, description="port on 127.0.0.1; 0 takes any that is free")
    data_dir: Path = Field(default_factory=lambda: data_dir() / "kafka", description="the broker's data and log")
    cache_dir: Path = Field(default_factory=cache_dir, description="the jars that are fetched once")
    heap_mb: int = Field(default=768, ge=256, description="largest Java heap, MiB")
    niceness: int = Field(
        default=5,
        ge=0,
        le=19,
        description="how far the broker steps back on a machine that it shares with what answers shoppers",
    )
    start_timeout_seconds: float = Field(default=60.0, gt=0, description="longest wait for the broker to answer")
    stop_timeout_seconds: float = Field(default=20.0, gt=0, description="longest wait before it is killed")
