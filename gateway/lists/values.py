"""How a list is: what status and metrics show of it."""

from __future__ import annotations

from msgspec import Struct


class ListState(Struct, frozen=True, kw_only=True):
    """A list. `loaded` is the calendar time (seconds since 1970) of the version in use, None without one."""

    name: str
    names: int = 0
    prefixes: int = 0
    skipped: int = 0
    not_applicable: int = 0
    failures: int = 0
    loaded: float | None = None
    error: str | None = None
