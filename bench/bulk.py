"""A primary whose zones have a size and no content worth keeping: it sends as fast as the other side reads.

The zone `N.bulk.example` has N blocks of 64 messages with 43,008 A records, about a megabyte; `0.bulk.example` has 15
messages, 10,080 records. Every message repeats the question, so that owners point to it. SOA queries are answered over
UDP and TCP. Run as `python -m bench.bulk ADDRESS`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

from proxy.values import Endpoint

ORIGIN = b"\x04bulk\x07example\0"
SOA, AXFR = 6, 252
POINTER = b"\xc0\x0c"  # to the name in the question
SOA_RECORD = POINTER + b"\0\6\0\1\0\1\x51\x80\0\x18" + POINTER + POINTER + (1).to_bytes(4) + b"\0\1\x51\x80" * 4
RECORDS = 672  # in a message: 16 KiB with their names
BLOCK = 64  # messages
SMALL = 15  # messages of the smallest zone


def zone(blocks: int) -> str:
    """The name of the zone of so many blocks."""
    return f"{blocks}.bulk.example"


def query(blocks: int, kind: int, ident: int) -> bytes:
    """A query for it, SOA or AXFR."""
    label = str(blocks).encode()
    return (
        ident.to_bytes(2) + b"\0\0\0\1" + bytes(6) + bytes([len(label)]) + label + ORIGIN + kind.to_bytes(2) + b"\0\1"
    )


def answer(question: bytes, ident: bytes, records: bytes, count: int) -> bytes:
    """A message behind its length."""
    message = ident + b"\x84\0\0\1" + count.to_bytes(2) + bytes(4) + question + records
    return len(message).to_bytes(2) + message


def block(question: bytes, ident: bytes, messages: int) -> bytes:
    """So many messages full of records, no two of the same owner."""
    made = []
    for number in range(messages):
        first = number * RECORDS
        records = b"".join(
            b"\x08h%07d" % each + POINTER + b"\0\1\0\1\0\0\x0e\x10\0\4\x0a" + each.to_bytes(3)
            for each in range(first, first + RECORDS)
        )
        made.append(answer(question, ident, records, RECORDS))
    return b"".join(made)


def size(blocks: int) -> int:
    """Bytes of the transfer of a zone, with the lengths of the messages."""
    question = query(blocks, AXFR, 0)[12:]
    ends = 2 * len(answer(question, b"\0\0", SOA_RECORD, 1))
    return ends + (blocks * len(block(question, b"\0\0", BLOCK)) if blocks else len(block(question, b"\0\0", SMALL)))


class Stream(asyncio.Protocol):
    """One TCP connection: queries one after the other."""

    def __init__(self) -> None:
        self._came = bytearray()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._transport: asyncio.Transport | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._sending:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self._came += data
        while len(self._came) >= 2 and len(self._came) >= (end := 2 + int.from_bytes(self._came[:2])):
            task = asyncio.create_task(self._reply(bytes(self._came[2:end])))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            del self._came[:end]

    async def _reply(self, asked: bytes) -> None:
        assert self._transport is not None
        question, ident = asked[12 : 12 + asked[12:].index(0) + 5], asked[:2]
        soa = answer(question, ident, SOA_RECORD, 1)
        if int.from_bytes(question[-4:-2]) == SOA:
            self._transport.write(soa)
            return
        blocks = int(question[1 : 1 + question[0]])
        full = block(question, ident, BLOCK if blocks else SMALL)
        self._transport.write(soa)
        for _ in range(blocks or 1):
            await self._flowing.wait()
            self._transport.write(full)
        self._transport.write(soa)


class Datagrams(asyncio.DatagramProtocol):
    """SOA over UDP."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        question = data[12 : 12 + data[12:].index(0) + 5]
        self._transport.sendto(answer(question, data[:2], SOA_RECORD, 1)[2:], address)


async def serve(endpoint: Endpoint) -> None:
    """Until it is ended."""
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, local_addr=endpoint.sockaddr)
    server = await loop.create_server(Stream, *endpoint.sockaddr, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Endpoint.parse(sys.argv[1])))
