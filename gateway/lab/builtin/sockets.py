"""UDP and TCP around a `Service` (RFC 7766): the built-in servers' way to the network."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from gateway.lab.builtin.service import Service

IDLE = 30.0  # seconds a TCP client may say nothing

log = logging.getLogger(__name__)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, service: Service) -> None:
        self._service = service
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        for answer in self._service.answer(data, over_tcp=False):
            self._transport.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        log.info("a client is gone: %s", exc)


async def serve(service: Service, listen: tuple[str, int]) -> None:
    """Answer at `listen` over both transports, until cancelled.

    Raises:
        OSError: the address can't be bound.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE):
                    length = int.from_bytes(await reader.readexactly(2))
                    wire = await reader.readexactly(length)
                for answer in service.answer(wire, over_tcp=True):
                    writer.write(len(answer).to_bytes(2) + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            log.debug("a TCP client left: %s", error)
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(service), local_addr=listen)
    try:
        server = await asyncio.start_server(talk, *listen)
        async with server:
            await server.serve_forever()
    finally:
        datagrams.close()
