"""A stream of a tunnel as something to read from and to write to, plain or with TLS on top.

TLS runs over memory (ssl.MemoryBIO), because uvloop starts it on its own sockets only.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol, cast

from proxy.errors import TunnelError

_CHUNK = 1 << 16
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


class TlsPipe:
    """TLS over a pipe; `handshake` comes first."""

    def __init__(self, below: Pipe, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def handshake(self) -> None:
        """Make sure who is there.

        Raises:
            ssl.SSLError: it is not the host, or no TLS is agreed on.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._more()
            else:
                self._flush()
                return

    async def read(self) -> bytes:
        while True:
            try:
                return self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._more()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                raise TunnelError("the connection ended without TLS saying so", "cut") from None

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        self._below.close()

    async def _more(self) -> None:
        self._flush()
        data = await self._below.read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())
