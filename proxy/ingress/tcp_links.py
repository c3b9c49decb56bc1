"""A connection to a backend, shared by the queries of many clients, or for one transfer."""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, cast

from proxy.ingress.sockets import family_of
from proxy.ingress.tcp_clients import FLUSH, MORE_DUE, PAUSE
from proxy.values import Endpoint

if TYPE_CHECKING:
    from proxy.ingress.tcp import TcpIngress

# struct linger of socket(7): on, 0 seconds.
RESET = struct.pack("ii", 1, 0)


async def open_link(ingress: TcpIngress, token: int, address: Endpoint) -> None:
    """Connect to the backend at `address`.

    Raises:
        OSError: it can't be reached.
    """
    loop = asyncio.get_running_loop()
    opened = socket.socket(family_of(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(opened, address.sockaddr)
        await loop.create_connection(partial(LinkConnection, ingress, token, opened), sock=opened)
    except BaseException:
        opened.close()
        raise


class LinkConnection(asyncio.Protocol):
    """The connection that the data plane knows under this token."""

    __slots__ = ("_clock", "_data", "_ingress", "_socket", "_token", "_transport", "write")

    def __init__(self, ingress: TcpIngress, token: int, opened: socket.socket) -> None:
        self._ingress = ingress
        self._token = token
        self._socket = opened
        self._clock = ingress.clock
        self._data = ingress.relay.link_data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not derived from it
        self.write = self._transport.write
        self._ingress.add_link(self._token, self)

    def data_received(self, data: bytes) -> None:
        signal = self._data(self._token, data, self._clock())
        if signal & MORE_DUE:
            # A server that leaves Nagle's algorithm on, as NSD does, holds its next answers back until these are
            # acknowledged, which our kernel delays by 40 ms unless it is told to hurry. It forgets; it is told again.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if signal & PAUSE:
            self._transport.pause_reading()
        if signal & FLUSH:
            self._ingress.schedule_flush()

    def connection_lost(self, _error: Exception | None) -> None:
        self._ingress.remove_link(self._token)

    def pause_writing(self) -> None:
        self._ingress.link_blocked(self._token, True)

    def resume_writing(self) -> None:
        self._ingress.link_blocked(self._token, False)

    def pause_reading(self) -> None:
        """Leave in the socket what the backend sends."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the backend again."""
        self._transport.resume_reading()

    def abort(self) -> None:
        """Close now, with a reset: one that had all its answers needs no farewell, and would hold its local port for a
        minute (TIME_WAIT). With a connection for each client, ports would soon be short.
        """
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()
