"""One open stream of a tunnel: asyncio protocol towards the tunnel's connection, asyncio transport towards its user.

    user's protocol ◀── opened payload ◀── codec ◀── connection to the tunnel's far end
    user's write    ──▶ codec ──▶ sealed bytes ──▶

Without a codec (SOCKS5 after its handshake, direct) bytes pass as they are. Nothing is kept here: pausing the one
side pauses the other.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from proxy.egress.counters import TunnelCounters
from proxy.egress.dialing import Opening, hop_error
from proxy.egress.layer import Layer
from proxy.egress.usable import usable
from proxy.errors import ProtocolError, ProxyError, TunnelError
from proxy.protocol.shadowsocks import ClientStream
from proxy.values import Endpoint

HIGH_WATER = 256 << 10  # bytes that may wait for a slow reader; one read of uvloop


class TunnelStream(Layer, Opening):
    """The stream to `target`. Usable from `connection_made` on, which the loop or the SOCKS5 handshake calls.

    `first` is payload that goes out at once, in one write with the codec's header. `hop` is the tunnel below, where
    there is one: what it sends comes in other pieces than its far end wrote.
    """

    def __init__(
        self,
        user: asyncio.Protocol,
        counters: TunnelCounters,
        target: Endpoint,
        first: bytes = b"",
        codec: ClientStream | None = None,
        hop: str | None = None,
    ) -> None:
        super().__init__(user)
        self._counters = counters
        self._target = target
        self._first = first
        self._head_taken = False
        self._codec = codec
        self._hop = hop
        self._error: ProxyError | None = None

    # The side of the tunnel's connection.

    def take_head(self) -> bytes:
        """See `Opening`."""
        if self._head_taken:
            return b""
        self._head_taken = True
        return self._first if self._codec is None else self._codec.open(self._target, self._first, time.time())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast("asyncio.Transport", transport)
        self._lower.set_write_buffer_limits(HIGH_WATER)
        self._counters.streams_open += 1
        self._counters.streams_total += 1
        self._counters.bytes_out += len(self._first)
        if head := self.take_head():
            self._lower.write(head)
        self._first = b""
        self._user.connection_made(self)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        if self._codec is not None:
            try:
                pieces = self._codec.feed(data, time.time())
                if not self._codec.begun and self._hop is None:
                    raise ProtocolError("the exit's header came in pieces; it must be one write", "short-header")
            except ProtocolError as error:
                self.fail(error)
                return
            if not pieces:
                return
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._counters.bytes_in += len(data)
        self._user.data_received(data)

    def eof_received(self) -> bool | None:
        if self._codec is not None and not self._codec.at_end:
            self.fail(TunnelError("the stream was cut inside a chunk", "cut"))
            return None
        return self._user.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._counters.streams_open -= 1
        if self._error is None and isinstance(exc, OSError):
            self._error = TunnelError(f"the connection broke: {exc.strerror or exc}", "broken")
        elif self._error is None and isinstance(exc, ProxyError) and self._hop is not None:
            self._error = hop_error(self._hop, exc)
        self._user.connection_lost(self._error or exc)

    def pause_writing(self) -> None:
        self._user.pause_writing()

    def resume_writing(self) -> None:
        self._user.resume_writing()

    # The side of the user.

    @property
    def lower(self) -> asyncio.Transport:
        """The connection to the tunnel's far end."""
        if self._lower is None:
            raise RuntimeError("the stream is not open yet")
        return self._lower

    def fail(self, error: ProxyError) -> None:
        """Give the stream up; the user learns the error by `connection_lost`."""
        if self._error is None:
            self._error = error
        self.lower.abort()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not usable(self._lower):
            return
        self._counters.bytes_out += len(data)
        self._lower.write(data if self._codec is None else self._codec.send(data))

    def write_eof(self) -> None:
        if usable(self._lower):
            self._lower.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.lower.close()

    def abort(self) -> None:
        self.lower.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":  # who is spoken with, not who carries it
            return self._target.sockaddr
        return super().get_extra_info(name, default)
