"""A name server of known capacity: it answers so many queries a second, and what queues longer than a moment is lost.

A node at the end of its strength behaves so: its socket's buffer is a queue, and what finds it full is gone. Its
capacity is a number here, so that a flood can be ten times as large and both proxies meet the same node.
Run as `python -m bench.node ADDRESS CAPACITY`.
"""

from __future__ import annotations

import asyncio
import collections
import sys
from collections.abc import Callable
from functools import partial
from typing import cast

import uvloop

from bench.zones import ZONE
from proxy.values import Endpoint

LONGEST_QUEUE = 0.05  # seconds of its capacity
TURN = 0.001
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
ADDRESS = b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\x0a\0\0\1"
SOA = b"\xc0\x0c\0\6\0\1\0\0\1\x2c\0\x16\0\0" + b"\0\0\0\1" * 5
HOSTS = 1000
SUFFIX = b"".join(bytes([len(label)]) + label.encode() for label in ZONE.split(".")) + b"\0"


def host(number: int) -> str:
    """The name of a host that it knows."""
    return f"h{number}.{ZONE}"


def answer(query: bytes) -> bytes:
    """The answer to a query with one question: SOA for its apex, an address for its hosts, else NXDOMAIN."""
    end = 12
    while end < len(query) and query[end]:
        end += query[end] + 1
    end += 5
    name = query[12 : end - 4].lower()
    label = name[1 : -len(SUFFIX)]
    is_host = name.endswith(SUFFIX) and label[:1] == b"h" and label[1:].isdigit() and int(label[1:]) < HOSTS
    apex = 0xC000 | (12 + len(name) - len(SUFFIX))
    if name == SUFFIX:
        rcode, counts, record = 0, b"\0\1\0\0", SOA
    elif is_host:
        rcode, counts, record = 0, b"\0\1\0\0", ADDRESS
    else:
        rcode, counts, record = 3, b"\0\0\0\1", apex.to_bytes(2) + SOA[2:]
    has_edns = query[11:12] == b"\1"
    head = query[:2] + bytes([0x84, rcode]) + b"\0\1" + counts + (b"\0\1" if has_edns else b"\0\0")
    return head + query[12:end] + record + (OPT if has_edns else b"")


class Node:
    """The queue between what asks and what is answered."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: collections.deque[tuple[bytes, Callable[[bytes], None]]] = collections.deque()
        self._longest = int(capacity * LONGEST_QUEUE)
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._due = 0.0
        self._turn()

    def ask(self, query: bytes, reply: Callable[[bytes], None]) -> None:
        """Queue a query, or lose it."""
        if len(self._queue) < self._longest and len(query) >= 17:
            self._queue.append((query, reply))

    def _turn(self) -> None:
        now = self._loop.time()
        self._due = min(self._due + (now - self._last) * self._capacity, self._longest)
        self._last = now
        while self._queue and self._due >= 1:
            self._due -= 1
            query, reply = self._queue.popleft()
            reply(answer(query))
        if not self._queue:
            self._due = min(self._due, 1 + self._capacity * TURN)
        self._loop.call_later(TURN, self._turn)


class Datagrams(asyncio.DatagramProtocol):
    """Its UDP socket."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's own class is not derived from it

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._node.ask(data, partial(self._reply, addr))

    def _reply(self, addr: tuple[str, int], message: bytes) -> None:
        self._transport.sendto(message, addr)


class Stream(asyncio.Protocol):
    """One of its TCP connections."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2 and len(self._buffer) >= (end := 2 + int.from_bytes(self._buffer[:2])):
            self._node.ask(self._buffer[2:end], self._reply)
            self._buffer = self._buffer[end:]

    def _reply(self, message: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(len(message).to_bytes(2) + message)


async def serve(endpoint: Endpoint, capacity: int) -> None:
    """Answer for ever."""
    loop = asyncio.get_running_loop()
    node = Node(capacity)
    address = (str(endpoint.address), endpoint.port)
    await loop.create_datagram_endpoint(partial(Datagrams, node), local_addr=address)
    server = await loop.create_server(partial(Stream, node), *address, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Endpoint.parse(sys.argv[1]), int(sys.argv[2])))
