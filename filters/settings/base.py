"""The base of every table of the filters."""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """Base of every table of the filters."""
