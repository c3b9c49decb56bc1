"""TLS between a stream of a tunnel and its user: asyncio protocol below, asyncio transport above.

    user's protocol ◀── payload ◀── engine ◀── stream of the tunnel
    user's write    ──▶ engine ──▶ records ──▶

The user is connected when the handshake is done, and its first payload leaves in one write with our Finished. One
turn of the loop opens what one read of the tunnel's stream gave (up to 256 KiB) and hands it on as one piece, so
nothing waits here, and pausing the one side pauses the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from proxy.egress.layer import Layer
from proxy.egress.tls.engine import TlsEngine
from proxy.egress.tls.failures import cut, cut_in_handshake, flooded
from proxy.egress.usable import usable
from proxy.errors import ProxyError

CLOSING = 5.0  # seconds for what is still to be sent when a side closes
UNREAD = 4 << 20  # bytes that a peer may leave unread while it makes us answer


class TlsStream(Layer, asyncio.Protocol):
    """The stream. `ready` is done when TLS stands and `user` is connected, or has the error.

    `on_payload` is called before the first payload is handed on, and `on_end` with the error, if any, at the end of a
    stream that stood.
    """

    def __init__(
        self,
        user: asyncio.Protocol,
        engine: TlsEngine,
        peer: str,
        first: bytes = b"",
        *,
        on_payload: Callable[[], None] | None = None,
        on_end: Callable[[ProxyError | None], None] | None = None,
    ) -> None:
        super().__init__(user)
        self._engine = engine
        self._peer = peer
        self._first = first
        self._on_payload = on_payload
        self._on_end = on_end
        self._error: ProxyError | None = None
        self._closing = False
        self._deadline: asyncio.TimerHandle | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready.add_done_callback(_look_at_error)  # whoever opened it may have given up

    # The side of the tunnel's stream.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        begun = self._engine.ready
        pieces = self._engine.feed(data)
        if not begun and self._engine.ready:
            if self._engine.failure is not None:  # right behind the handshake: there is nothing to connect the user to
                self.fail(self._engine.failure)
                return
            self._begin()
        self._answer()
        if pieces and not self._closing:
            if self._on_payload is not None:
                self._on_payload()
                self._on_payload = None
            self._user.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self._closing:
            return
        if self._engine.failure is not None:
            self.fail(self._engine.failure)
        elif self._engine.ended and not self._user.eof_received():
            self.close()

    def eof_received(self) -> bool | None:
        if not self._closing:
            try:
                self._engine.eof()
            except ProxyError as error:
                self.fail(error)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        error = self._error
        if error is None and not self._closing and not self._engine.ended:
            error = exc if isinstance(exc, ProxyError) else None
            if error is None:
                error = self._cut()
        self._closing = True
        if self._connected:
            if self._on_end is not None:
                self._on_end(error)
            self._user.connection_lost(error)
        elif not self.ready.done():
            self.ready.set_exception(error or self._cut())

    def pause_writing(self) -> None:
        if self._connected:
            self._user.pause_writing()

    def resume_writing(self) -> None:
        if self._connected:
            self._user.resume_writing()

    def _cut(self) -> ProxyError:
        engine = self._engine
        if engine.ready:
            return cut(self._peer, answered=engine.answered)
        return cut_in_handshake(self._peer, heard=engine.heard)

    @property
    def _connected(self) -> bool:
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    def _begin(self) -> None:
        first, self._first = self._first, b""
        self._engine.send(first)
        self._flush()
        self.ready.set_result(None)
        self._user.connection_made(self)

    def _answer(self) -> None:
        """What TLS itself answers to what came."""
        if self._flush() and usable(self._lower) and self._lower.get_write_buffer_size() > UNREAD:
            self.fail(flooded(self._peer))

    def _flush(self) -> bool:
        data = self._engine.take()
        if data and usable(self._lower):
            self._lower.write(data)
        return bool(data)

    def fail(self, error: ProxyError) -> None:
        """Give the stream up, with the alert that TLS may have for the peer; the user learns the error at the end."""
        if self._error is None:
            self._error = error
        self._flush()
        self._close_below()
        if not self.ready.done():
            self.ready.set_exception(error)

    def _close_below(self) -> None:
        self._closing = True
        if self._lower is not None and self._deadline is None:
            self._lower.close()
            self._deadline = asyncio.get_running_loop().call_later(CLOSING, self._lower.abort)

    # The side of the user.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not usable(self._lower) or not data:
            return
        try:
            self._engine.send(data)
        except ProxyError as error:
            self.fail(error)
        else:
            self._flush()

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self._closing:
            self._engine.close()
            self._flush()
            self._close_below()

    def abort(self) -> None:
        self._closing = True
        if self._lower is not None:
            self._lower.abort()

    def is_closing(self) -> bool:
        return self._closing or super().is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._engine.tls
        return super().get_extra_info(name, default)


def _look_at_error(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()
