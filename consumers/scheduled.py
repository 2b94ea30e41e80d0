"""What merchandiser's rules and experiments share: a name, and for which shelves and when they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.events import MAX_ID_BYTES

Id = Annotated[str, Field(max_length=MAX_ID_BYTES)]
KindName = Literal[
    "similar", "viewed-next", "bought-together", "for-you", "trending", "popular", "complete-the-look"
]


class Frozen(BaseModel):
    """A part of a file that is read once: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scheduled(Frozen):
    """Something that holds for some kinds of list at some placements, for a time."""

    kinds: frozenset[KindName] = Field(default=frozenset(), description="lists it is for; none: all")
    placements: frozenset[Id] = Field(default=frozenset(), description="places on pages it is for; none: all")
    starts_at: datetime | None = Field(default=None, description="from then on; with its offset from UTC")
    ends_at: datetime | None = Field(default=None, description="until then; with its offset from UTC")

    @field_validator("starts_at", "ends_at")
    @classmethod
    def _with_offset(cls, at: datetime | None) -> datetime | None:
        if at is not None and at.utcoffset() is None:
            raise ValueError("give the offset from UTC too, as in 2026-11-01T00:00:00+01:00")
        return at

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("starts_at has to be before ends_at")
        return self

    def applies(self, kind: str, placement: str, at_ms: int) -> bool:
        """True for a list of this kind at this placement and time."""
        if (self.kinds and kind not in self.kinds) or (self.placements and placement not in self.placements):
            return False
        if self.starts_at is None and self.ends_at is None:
            return True
        at = datetime.fromtimestamp(at_ms / 1_000, UTC)
        started = self.starts_at is None or self.starts_at <= at
        return started and (self.ends_at is None or at < self.ends_at)
