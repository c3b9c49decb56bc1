"""A primary whose zones have a size and no content worth keeping: it sends as fast as the other side reads.

The zone `N.bulk.example` has N blocks of 64 messages with 43,008 A records, about a megabyte; `0.bulk.example` has 15
messages, 10,080 records. In `Ns.bulk.example` every A record has its RRSIG, as large as ECDSA P-256 makes them, and a
block 14,720 records. Every message repeats the question, so that owners point to it. SOA queries are answered over UDP
and TCP. Run as `python -m bench.bulk ADDRESS`.
"""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from typing import cast

import uvloop

from proxy.values import Endpoint

HEADER = 12  # bytes
ORIGIN = b"\x04bulk\x07example\0"
SOA, AXFR = 6, 252
POINTER = b"\xc0\x0c"  # to the name in the question
SOA_RECORD = POINTER + b"\0\6\0\1\0\1\x51\x80\0\x18" + POINTER + POINTER + (1).to_bytes(4) + b"\0\1\x51\x80" * 4
RECORDS = 672  # in a message: 16 KiB with their names
PAIRS = 115  # of a record and its RRSIG, in as much; pointers reach no further
BLOCK = 64  # messages
SMALL = 15  # messages of the smallest zone


def zone(blocks: int, *, signed: bool = False) -> str:
    """The name of the zone of so many blocks."""
    return f"{_label(blocks, signed)}.bulk.example"


def _label(blocks: int, signed: bool) -> str:
    return f"{blocks}s" if signed else f"{blocks}"


def query(blocks: int, kind: int, ident: int, *, signed: bool = False) -> bytes:
    """A query for it, SOA or AXFR."""
    label = _label(blocks, signed).encode()
    return (
        ident.to_bytes(2) + b"\0\0\0\1" + bytes(6) + bytes([len(label)]) + label + ORIGIN + kind.to_bytes(2) + b"\0\1"
    )


def answer(question: bytes, ident: bytes, records: bytes, count: int) -> bytes:
    """A message behind its length."""
    message = ident + b"\x84\0\0\1" + count.to_bytes(2) + bytes(4) + question + records
    return len(message).to_bytes(2) + message


def block(question: bytes, ident: bytes, messages: int, *, signed: bool = False) -> bytes:
    """So many messages full of records, no two of the same owner and type."""
    if signed:
        name = question[:-4]
        return b"".join(answer(question, ident, _signed(number, name), 2 * PAIRS) for number in range(messages))
    return b"".join(answer(question, ident, _plain(number), RECORDS) for number in range(messages))


def _record(number: int) -> bytes:
    return b"\x08h%07d" % number + POINTER + b"\0\1\0\1\0\0\x0e\x10\0\4\x0a" + number.to_bytes(3)


@cache
def _plain(message: int) -> bytes:
    """The records of a message. They are made once: two hundred transfers want them at the same time."""
    return b"".join(map(_record, range(message * RECORDS, (message + 1) * RECORDS)))


@cache
def _signed(message: int, name: bytes) -> bytes:
    made = b""
    for number in range(message * PAIRS, (message + 1) * PAIRS):
        owner = (0xC000 + HEADER + len(name) + 4 + len(made)).to_bytes(2)
        signed = b"\0\1\x0d\3\0\0\x0e\x10" + b"\x6a\0\0\0\x69\0\0\0\x12\x34" + name + number.to_bytes(4) * 16
        made += _record(number) + owner + b"\0\x2e\0\1\0\0\x0e\x10" + len(signed).to_bytes(2) + signed
    return made


def size(blocks: int, *, signed: bool = False) -> int:
    """Bytes of the transfer of a zone, with the lengths of the messages."""
    question = query(blocks, AXFR, 0, signed=signed)[HEADER:]
    ends = 2 * len(answer(question, b"\0\0", SOA_RECORD, 1))
    one = len(block(question, b"\0\0", BLOCK if blocks else SMALL, signed=signed))
    return ends + (blocks or 1) * one


def records(blocks: int, *, signed: bool = False) -> int:
    """Records of that transfer, with the SOA at both ends."""
    return 2 + (blocks * BLOCK if blocks else SMALL) * (2 * PAIRS if signed else RECORDS)


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
        label = question[1 : 1 + question[0]]
        blocks, signed = int(label.removesuffix(b"s")), label.endswith(b"s")
        full = block(question, ident, BLOCK if blocks else SMALL, signed=signed)
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
