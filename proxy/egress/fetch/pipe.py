"""A stream of a tunnel, or TLS on one, as something to read from and to write to."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

_WAITING = 1 << 20
"""Bytes that may wait to be read before the tunnel is paused."""


class Pipe(Protocol):
    """Bytes both ways."""

    async def read(self) -> bytes:
        """What came; empty at the end.

        Raises:
            ProxyError, OSError: the stream broke.
        """

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def close(self) -> None:
        """Give it up."""


class TunnelPipe(asyncio.Protocol):
    """The upper end of a tunnel's stream."""

    def __init__(self) -> None:
        self._came = bytearray()
        self._news = asyncio.Event()
        self._stream: asyncio.Transport | None = None
        self._ended = False
        self._error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._stream = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._came += data
        self._news.set()
        if len(self._came) > _WAITING and self._stream is not None:
            self._stream.pause_reading()

    def eof_received(self) -> None:
        self._ended = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream, self._ended, self._error = None, True, exc
        self._news.set()

    async def read(self) -> bytes:
        while not self._came:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            self._news.clear()
            await self._news.wait()
        data = bytes(self._came)
        self._came.clear()
        if self._stream is not None:
            self._stream.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.write(data)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.abort()
