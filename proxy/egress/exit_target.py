"""The exit's connection to a target, for one client's stream."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from proxy.egress.gate import Gate
from proxy.egress.keepalive import keep_alive
from proxy.egress.stream import HIGH_WATER
from proxy.egress.usable import usable


class Client(Protocol):
    """The client's side, that this connection reports to."""

    def answer(self, data: bytes) -> None:
        """Bytes from the target."""

    def answer_eof(self) -> None:
        """The target has sent its last byte."""

    def target_lost(self, error: Exception | None) -> None:
        """The connection is over."""

    def pause_reading(self) -> None:
        """The target takes no more for now."""

    def resume_reading(self) -> None:
        """It takes more again."""


class ExitTarget(asyncio.Protocol):
    """The connection."""

    def __init__(self, client: Client) -> None:
        self._client: Client | None = client
        self._transport: asyncio.Transport | None = None
        self._answer_ended = False
        self._request_ended = False
        self.inlet = Gate()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)
        keep_alive(transport)
        self.inlet.attach(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            self._client.answer(data)

    def eof_received(self) -> bool:
        """True keeps the way to the target open as long as the client sends."""
        self._answer_ended = True
        if self._client is not None and not self._request_ended:
            self._client.answer_eof()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._client is not None:
            self._client.target_lost(exc)

    def pause_writing(self) -> None:
        if self._client is not None:
            self._client.pause_reading()

    def resume_writing(self) -> None:
        if self._client is not None:
            self._client.resume_reading()

    def write(self, data: bytes) -> None:
        """Bytes for the target."""
        if usable(self._transport):
            self._transport.write(data)

    def write_eof(self) -> None:
        """The client has sent its last byte. When the target has, too, all is said."""
        self._request_ended = True
        if not usable(self._transport):
            return
        if self._answer_ended:
            self._transport.close()
        else:
            self._transport.write_eof()

    def abort(self) -> None:
        """The client is gone; nothing is reported any more."""
        self._client = None
        if self._transport is not None:
            self._transport.abort()
