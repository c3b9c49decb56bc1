"""What all tables of the traffic share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Seconds = Annotated[float, Meta(gt=0, le=86400)]


class Settings(Struct, frozen=True, kw_only=True):
    """Base of every table of the configuration."""
