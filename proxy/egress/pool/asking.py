"""One question and its answer, through a tunnel: for probes, whoami and the command line, not for nodes.

Over TCP a connection of its own, over UDP a datagram path of its own; the question is sent twice there, since one lost
packet says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError, TunnelError
from proxy.protocol.dns_frames import FrameReader, frame
from proxy.protocol.transfer_queries import answers, read_question
from proxy.values import Endpoint

Open = Callable[[asyncio.Protocol, bytes], Awaitable[asyncio.Transport]]


async def ask_stream(opening: Open, query: bytes, limit: float) -> bytes:
    """Open a stream, ask, and read the answer, all within `limit` seconds.

    Raises:
        ProxyError: what the stream says; "no-answer" or "closed" where it says nothing.
    """
    asking = _Asking(query)
    try:
        async with asyncio.timeout(limit):
            await opening(asking, frame(query))
            return await asking.answered
    except TimeoutError:
        raise silence(limit) from None
    finally:
        asking.end()


async def ask_datagram(tunnel: Tunnel, target: Endpoint, query: bytes, limit: float) -> bytes:
    """Open a datagram path, ask, and read the answer, all within `limit` seconds.

    Raises:
        ProxyError: what the path says; "no-answer" where it says nothing.
    """
    question = read_question(query)
    path = None
    try:
        async with asyncio.timeout(limit):
            path = await tunnel.open_datagrams(target)
            await path.send(query)
            again: float | None = asyncio.get_running_loop().time() + limit / 2
            while True:
                try:
                    async with asyncio.timeout_at(again):
                        answer = await path.receive()
                except TimeoutError:
                    again = None
                    await path.send(query)
                    continue
                if answers(answer, question):
                    return answer
    except TimeoutError:
        raise silence(limit) from None
    finally:
        if path is not None:
            path.close()


def silence(limit: float) -> TunnelError:
    """Nothing came."""
    return TunnelError(f"no answer to a probe within {limit:.3g} s", "no-answer")


class _Asking(asyncio.Protocol):
    """Waits for the answer to one query on a stream."""

    def __init__(self, query: bytes) -> None:
        self._question = read_question(query)
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._ended:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            if not self.answered.done() and answers(message, self._question):
                self.answered.set_result(message)

    def eof_received(self) -> None:
        """The stream closes itself and says so."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.answered.done():
            closed = TunnelError("closed before it answered a probe", "closed")
            self.answered.set_exception(exc if isinstance(exc, ProxyError) else closed)
            self.answered.exception()  # whoever waits is told; nobody may wait any more

    def end(self) -> None:
        """Nobody waits any more."""
        self._ended = True
        self.answered.cancel()
        if self._transport is not None:
            self._transport.abort()
