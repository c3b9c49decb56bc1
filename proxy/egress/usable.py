"""Whether a transport still takes anything. asyncio ignores what comes after an abort, uvloop raises RuntimeError."""

from __future__ import annotations

import asyncio
from typing import TypeGuard


def usable(transport: asyncio.Transport | None) -> TypeGuard[asyncio.Transport]:
    """Whether it is there, and neither closed nor closing."""
    return transport is not None and not transport.is_closing()
