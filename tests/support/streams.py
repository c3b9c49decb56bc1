"""Scripted neighbours over TCP: a backend that answers as the test says, and a client that keeps what it gets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Self, cast

from proxy.values import Endpoint
from tests.support.backends import answer_to
from tests.support.peers import auntil


def framed(*messages: bytes) -> bytes:
    """Messages with the two bytes of length before each (RFC 1035 section 4.2.2)."""
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


class Stream(asyncio.Protocol):
    """One end of a connection. Keeps the whole messages that came, and says when the other end is done."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.ended = False  # the other side sends no more
        self.lost = False
        self.writable = True
        self._partial = b""
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The open transport."""
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not derived from it

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended = self.lost = True

    def eof_received(self) -> bool:
        self.ended = True
        return True

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True

    def data_received(self, data: bytes) -> None:
        self._partial += data
        while len(self._partial) >= 2 and len(self._partial) >= 2 + (size := int.from_bytes(self._partial[:2], "big")):
            message, self._partial = self._partial[2 : 2 + size], self._partial[2 + size :]
            self.received.append(message)
            self.message_received(message)

    def message_received(self, message: bytes) -> None:
        """A whole message came."""

    def send(self, *messages: bytes) -> None:
        """Send messages, framed, in one write."""
        self.transport.write(framed(*messages))


class StreamClient(Stream):
    """A client. `receive_buffer` bounds what the kernel takes for it while it does not read."""

    async def open(self, to: tuple[str, int], *, receive_buffer: int | None = None) -> Self:
        """Connect."""
        loop = asyncio.get_running_loop()
        own = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_STREAM)
        own.setblocking(False)
        if receive_buffer is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await loop.sock_connect(own, to)
        except OSError:
            own.close()
            raise
        await loop.create_connection(lambda: self, sock=own)
        return self


Script = Callable[["BackendSession", bytes], None]


class BackendSession(Stream):
    """One connection to a scripted backend."""

    def __init__(self, backend: StreamBackend) -> None:
        super().__init__()
        self._backend = backend

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._backend.sessions.append(self)
        if not self._backend.reading:
            # uvloop starts to read after this call, whatever was said in it.
            asyncio.get_running_loop().call_soon(self.transport.pause_reading)

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # a server that is asked no more closes

    def message_received(self, message: bytes) -> None:
        self._backend.queries.append(message)
        self._backend.script(self, message)


def plain_answer(session: BackendSession, query: bytes) -> None:
    """The script of a backend that does what it should."""
    session.send(answer_to(query))


class Keeping:
    """A script that keeps the queries until the test has them answered."""

    def __init__(self) -> None:
        self.queries: list[tuple[BackendSession, bytes]] = []

    def __call__(self, session: BackendSession, query: bytes) -> None:
        self.queries.append((session, query))

    def __len__(self) -> int:
        return len(self.queries)

    def answer_all(self) -> None:
        """Answer what is kept, the last first."""
        while self.queries:
            session, query = self.queries.pop()
            session.send(answer_to(query))


class StreamBackend:
    """Calls `script` with each query and the connection that it came on. A context manager: it listens while entered.

    `receive_buffer` bounds what the kernel takes for it while it does not read.
    """

    session: type[BackendSession] = BackendSession

    def __init__(self, script: Script = plain_answer, *, receive_buffer: int | None = None) -> None:
        self.script = script
        self._receive_buffer = receive_buffer
        self.reading = True
        self.sessions: list[BackendSession] = []
        self.queries: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._endpoint: Endpoint | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen on a free port, or on the one that it had before."""
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._receive_buffer is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        own.bind(("127.0.0.1", self._endpoint.port if self._endpoint else 0))
        self._endpoint = Endpoint.parse(f"127.0.0.1:{own.getsockname()[1]}")
        self._server = await asyncio.get_running_loop().create_server(lambda: self.session(self), sock=own)

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        assert self._endpoint is not None
        return self._endpoint

    def read_again(self) -> None:
        """Go on reading after `reading` was False."""
        self.reading = True
        for session in self.sessions:
            session.transport.resume_reading()

    @property
    def open_sessions(self) -> list[BackendSession]:
        """Connections that stand."""
        return [session for session in self.sessions if not session.lost]

    async def close(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        for session in self.open_sessions:
            session.transport.abort()
        await auntil(lambda: not self.open_sessions)
