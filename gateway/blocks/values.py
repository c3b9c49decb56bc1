"""What the API and the command line say and hear of blocks and of traffic."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from filters.settings.blocks import Step
from gateway.errors import GatewayError

Kind = Literal["prefix", "suffix"]


class BlockError(GatewayError):
    """A block that can't be set; the text says what would be right."""


class Block(Struct, kw_only=True):
    """A temporary ban of a prefix, or of a name and all below it.

    Times are seconds since 1970; without `until` it stays until it is removed. `rule` is None for an operator's.
    `step` is its place on the ladder of its rule and `stepped` since when; `times` is how many times the threshold was
    measured, `mix` what one query of it counts for (see `filters.detectors.measures`).
    """

    id: int
    kind: Kind
    subject: str
    action: Step
    reason: str
    since: float
    until: float | None
    who: Literal["detector", "operator"]
    rule: str | None = None
    hits: int = 0
    step: int = 0
    stepped: float = 0.0
    times: float = 0.0
    mix: float = 1.0


class BlockRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator's block. `seconds` is how long it stays; None: until it is removed."""

    subject: str
    action: Literal["truncate", "drop"] = "drop"
    reason: str = ""
    seconds: float | None = None


class BlockList(Struct, frozen=True, kw_only=True):
    """All blocks, and how many found no place since the start because the table was full."""

    blocks: tuple[Block, ...]
    most: int
    overflowed: int
