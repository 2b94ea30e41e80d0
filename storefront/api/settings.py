"""The settings of the HTTP edge: frozen, validated, unknown names refused."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

MIN_TOKEN_CHARACTERS = 16


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WriteLimits(_Frozen):
    """What is held back while Kafka does not acknowledge, and for how long a request waits."""

    max_waiting: int = Field(default=10_000, ge=1, description="events that are not acknowledged yet")
    max_waiting_bytes: int = Field(default=16_000_000, ge=1, description="bytes of them")
    acknowledge_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="longest wait of a request for Kafka before it answers 503"
    )
    delivery_timeout_seconds: float = Field(
        default=120.0, ge=1, description="how long delivery of one event is tried, requests that gave up included"
    )
    remembered_event_ids: int = Field(
        default=100_000,
        ge=0,
        description="acknowledged events whose repetition is not written again",
    )
    linger_ms: int = Field(default=2, ge=0, description="how long an event waits for others to share its request")


class RateLimits(_Frozen):
    """Requests a second of one client address, in the long run and at once; 0 lifts a limit."""

    reads_per_second: float = Field(default=500.0, ge=0)
    writes_per_second: float = Field(default=100.0, ge=0, description="requests, each with up to 500 events")
    image_searches_per_second: float = Field(default=5.0, ge=0)
    burst_seconds: float = Field(default=5.0, gt=0, description="how many seconds' worth may come at once")
    max_clients: int = Field(default=10_000, ge=1, description="addresses that are remembered")


class StreamLimits(_Frozen):
    """Server-sent events."""

    max_clients: int = Field(default=1_000, ge=1, description="streams at a time")
    max_products: int = Field(default=50, ge=0, description="products that one stream may follow")
    max_shown: int = Field(default=200, ge=0, description="products whose availability one stream may follow")
    queue_events: int = Field(default=256, ge=1, description="changes that may wait for a slow client")
    heartbeat_seconds: float = Field(default=15.0, gt=0)
    send_timeout_seconds: float = Field(default=20.0, gt=0, description="longest wait for a client to read")


class ApiSettings(_Frozen):
    """How the storefront's process is reached, and what it takes from outside."""

    host: str = Field(default="127.0.0.1", description="address that is listened on")
    port: int = Field(default=8080, ge=0, le=65_535, description="port of it; 0 takes any that is free")
    token: SecretStr | None = Field(
        default=None,
        description="secret of the shop's backend for writing products and forgetting users; unset refuses both",
    )
    redis_url: SecretStr | None = Field(
        default=None, description="redis://host:port/0, for a table that several processes share; also REDIS_URL"
    )
    allowed_origins: frozenset[str] = Field(
        default=frozenset(), description="origins of the shop's pages that recs.js may send and ask from"
    )
    max_connections: int = Field(default=4_000, ge=1, description="open at a time, streams included")
    trusted_proxies: str = Field(
        default="127.0.0.1", description="addresses whose X-Forwarded-For is believed, separated by commas"
    )
    image_base_url: str = Field(
        default="", description="put before image_url in answers where the shop published a path, such as /images/"
    )
    max_body_bytes: int = Field(default=1_000_000, ge=1, description="largest body of a write")
    max_image_bytes: int = Field(default=10_000_000, ge=1, description="largest photo that is searched by")
    image_searches_at_once: int = Field(default=8, ge=1, le=64, description="more are answered with 503")
    rules_file: Path | None = Field(
        default=None, description="a merchandiser's rules (TOML); read anew whenever the file changes"
    )
    max_lists: int = Field(
        default=1_000_000, ge=1, description="lists in memory; beyond it the longest unchanged is forgotten"
    )
    stale_after_seconds: float = Field(
        default=5.0, gt=0, description="silence of Kafka after which answers are marked stale"
    )
    writes: WriteLimits = WriteLimits()
    rates: RateLimits = RateLimits()
    stream: StreamLimits = StreamLimits()

    @field_validator("token")
    @classmethod
    def _hard_to_guess(cls, token: SecretStr | None) -> SecretStr | None:
        """An empty variable is an unset one, as compose files leave it."""
        if token is None or not token.get_secret_value():
            return None
        if len(token.get_secret_value()) < MIN_TOKEN_CHARACTERS:
            raise ValueError(
                f"token needs {MIN_TOKEN_CHARACTERS} characters or more; `openssl rand -hex 32` makes one"
            )
        return token

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or not url.get_secret_value():
            return None
        if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("redis_url begins with redis://, rediss:// or unix://")
        return url
