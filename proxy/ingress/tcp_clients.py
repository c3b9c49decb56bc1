"""A client's TCP connection: hands what it reads to the data plane, and writes what comes back.

Per read there is one call, and nothing else that costs: the data plane says whether anything has to be done.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from proxy.ingress.tcp import TcpIngress

# Bits of what the data plane says to bytes: there is something to flush; this connection must not be read for now; more
# is due on it, of a message that has begun or of answers.
FLUSH = 1
PAUSE = 2
MORE_DUE = 4

# Bytes that may stand in the write buffer of a client that takes no answers. More waits in the data plane, counted.
HIGH_WATER = 16 << 10

# A token that no connection has.
NOBODY = (1 << 64) - 1


class ClientConnection(asyncio.Protocol):
    """An accepted connection that the data plane let in under this token."""

    __slots__ = ("_clock", "_data", "_doomed", "_ingress", "_token", "_transport", "write")

    def __init__(self, ingress: TcpIngress, token: int) -> None:
        self._ingress = ingress
        self._token = token
        self._transport: asyncio.Transport | None = None
        # It is to be closed before it has a transport.
        self._doomed = False
        self._clock = ingress.clock
        self._data = ingress.relay.client_data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not derived from it
        self.write = self._transport.write
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if self._doomed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        signal = self._data(self._token, data, self._clock())
        if signal:
            self.follow(signal)

    def follow(self, signal: int) -> None:
        """Do what the data plane said."""
        if self._transport is None:
            return
        if signal & PAUSE:
            self._transport.pause_reading()
        if signal & FLUSH:
            self._ingress.schedule_flush()
        if signal & MORE_DUE:
            # Some clients send the length by itself. Nagle's algorithm holds the rest back until it is acknowledged,
            # which our kernel delays by 40 ms unless it is told to hurry.
            own: socket.socket = self._transport.get_extra_info("socket")
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def eof_received(self) -> bool:
        """The client has asked all; its answers still leave."""
        self._ingress.relay.client_ended(self._token, self._clock())
        self._ingress.schedule_flush()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self.forget()

    def forget(self) -> None:
        """Tell the ingress that it is gone."""
        token, self._token = self._token, NOBODY
        if token != NOBODY:
            self._ingress.remove_client(token)

    def pause_writing(self) -> None:
        self._ingress.client_blocked(self._token, True)

    def resume_writing(self) -> None:
        self._ingress.client_blocked(self._token, False)

    def resume_reading(self) -> None:
        """Read from the client again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def unsent(self) -> int:
        """Bytes that the socket has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close when all that was written has left."""
        if self._transport is None:
            self._doomed = True
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is None:
            self._doomed = True
        else:
            self._transport.abort()
