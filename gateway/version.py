"""The version of the installed distribution."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """The version, or "unknown" when the packages run without being installed."""
    # Imported here: importlib.metadata is slow to load, and only people ask for the version.
    import importlib.metadata

    try:
        return importlib.metadata.version("zonegate")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
