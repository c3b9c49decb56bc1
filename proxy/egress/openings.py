"""Transports that are being made of sockets. A transport of uvloop whose making is cancelled is never closed; so the
making is shielded, and what nobody wants any more is closed when it is done."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

P = TypeVar("P")
Made = tuple[Any, P]

_openings: set[asyncio.Task[Any]] = set()


async def adopt(making: Coroutine[Any, Any, tuple[Any, P]], sock: socket.socket) -> tuple[Any, P]:
    """The transport and the protocol that `making` makes of the socket, which it owns from now on."""
    opening = asyncio.create_task(_make(making, sock))
    _openings.add(opening)
    opening.add_done_callback(_openings.discard)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_abort)
        raise
    except OSError:
        sock.close()
        raise


async def _make(making: Coroutine[Any, Any, tuple[Any, P]], sock: socket.socket) -> tuple[Any, P]:
    transport, protocol = await making
    if transport.is_closing() and type(transport).__module__.startswith("uvloop"):
        # Closed by its own protocol before uvloop tied the socket object to it: the descriptor is closed and may belong
        # to another socket by now, which the end of this object would close.
        sock.detach()
    return transport, protocol


def _abort(opening: asyncio.Task[tuple[Any, Any]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()


async def openings_settled() -> None:
    """Wait until no transport is half made any more: a moment."""
    if _openings:
        await asyncio.wait(_openings)
