"""The settings of the runtime: one place for each of its bounds."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_INSTANCE = re.compile(r"[A-Za-z0-9._-]{1,60}")


class WorkerSettings(BaseModel):
    """Bounds of the loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_batch_records: int = Field(default=20_000, ge=1, description="input records in one transaction at most")
    max_batch_seconds: float = Field(
        default=4.0, gt=0, description="time that a batch may take; where one takes longer the next are smaller"
    )
    idle_poll_ms: int = Field(default=100, ge=1, description="longest wait for input while there is nothing to do")
    busy_poll_ms: int = Field(default=5, ge=1, description="longest wait while background work is under way")
    table_records_per_round: int = Field(
        default=5_000, ge=1, description="records of tables taken between batches"
    )
    max_consecutive_aborts: int = Field(
        default=20, ge=1, description="transactions that may fail in a row before the process gives up"
    )
    max_consecutive_poison: int = Field(
        default=10, ge=1, description="messages of one batch that may fail the stage before the process gives up"
    )
    backoff_base_seconds: float = Field(default=0.05, ge=0)
    backoff_cap_seconds: float = Field(default=5.0, ge=0)


class RuntimeSettings(BaseModel):
    """How a stage's process takes part in its group, writes its transactions and serves its metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker: WorkerSettings = WorkerSettings()
    instance: str | None = Field(
        default=None,
        description="a name that no other process of the stage has at the same time, such as 0; a process that is "
        "started again under it takes over from its predecessor at once instead of after the session timeout",
    )
    session_timeout_ms: int = Field(
        default=10_000, ge=1_000, description="silence after which a process counts dead"
    )
    heartbeat_interval_ms: int = Field(default=2_000, ge=100)
    max_poll_interval_ms: int = Field(
        default=120_000, ge=5_000, description="longest work between two polls before a process has to leave"
    )
    transaction_timeout_ms: int = Field(
        default=10_000, ge=1_000, description="when the broker aborts the transaction of a process that is gone"
    )
    commit_timeout_ms: int = Field(default=20_000, ge=1_000, description="longest wait for one transaction")
    request_timeout_ms: int = Field(
        default=15_000, ge=1_000, description="longest wait for other answers of Kafka"
    )
    connect_timeout_ms: int = Field(default=10_000, ge=100, description="longest wait for the first connection")
    reconnect_backoff_max_ms: int = Field(
        default=1_000, ge=50, description="longest wait before a lost connection is tried again"
    )
    niceness: int = Field(
        default=15,
        ge=0,
        le=19,
        description="how far a stage's process steps back on a machine that is shared with what answers shoppers",
    )
    metrics_host: str = Field(default="127.0.0.1", description="address that metrics are served on")
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="port of the metrics; 0 takes any free one")

    @field_validator("instance")
    @classmethod
    def _legal_instance(cls, instance: str | None) -> str | None:
        if instance is not None and not _INSTANCE.fullmatch(instance):
            raise ValueError("instance may hold 1 to 60 of the characters A-Z a-z 0-9 . _ -")
        return instance

    @model_validator(mode="after")
    def _quick_hand_over(self) -> Self:
        work_ms = 1_000 * self.worker.max_batch_seconds + self.commit_timeout_ms
        if 5 * work_ms > self.max_poll_interval_ms:
            raise ValueError(
                f"a batch and its transaction may take {work_ms:.0f} ms, more than a fifth of "
                "max_poll_interval_ms; lower worker.max_batch_seconds or commit_timeout_ms, or raise that one"
            )
        if 3 * self.heartbeat_interval_ms > self.session_timeout_ms:
            raise ValueError("session_timeout_ms has to be at least three times heartbeat_interval_ms")
        return self
