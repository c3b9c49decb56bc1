"""Keep-alive on a TCP connection: a peer that is gone without a word is noticed within two minutes (tcp(7))."""

from __future__ import annotations

import asyncio
import contextlib
import socket

IDLE = 60  # seconds of silence before the first probe
INTERVAL = 15  # seconds between probes
PROBES = 4  # unanswered ones, then the connection is over


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Turn it on."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed again already; its protocol knows
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
