"""Admission under overload as the data plane takes it, and what it says of it."""

from __future__ import annotations

from msgspec import Struct

from proxy.settings.overload import OverloadSettings


class WindowStatus(Struct, frozen=True, kw_only=True):
    """The window of one worker for one backend. `delay` is that of the fastest answer lately, in seconds."""

    slot: int
    transport: str
    size: int
    used: int
    delay: float


def overload_row(settings: OverloadSettings) -> dict[str, object]:
    """The row for `set_overload` of both relays."""
    prefixes = [item.prefix for item in settings.verified]
    return {
        "target": settings.target if settings.enabled else 0.0,
        "window_min": min(settings.window_min, settings.window_max),
        "window_max": settings.window_max,
        "verified": [(str(prefix.network_address), prefix.prefixlen) for prefix in prefixes],
        "reply": settings.reply,
    }


def window_status(transport: str, rows: list[tuple[int, int, int, int]]) -> tuple[WindowStatus, ...]:
    """The windows as a relay gives them."""
    return tuple(
        WindowStatus(slot=slot, transport=transport, size=size, used=used, delay=delay / 1e9)
        for slot, size, used, delay in rows
    )
