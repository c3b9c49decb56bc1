"""A wire between a node and its primary that hears what passes and changes nothing: TCP and UDP, on loopback.

What it says of transfers is read by dnspython and by nothing of ours: it is what servers do among themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeGuard, cast

import asyncio_dgram
import dns.message
from dns.rdata import Rdata
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.SOA import SOA

from proxy.values import Endpoint
from tests.support.peers import free_port

PATIENCE = 5.0  # seconds for the answer to a datagram


@dataclass
class Tap:
    """Where nodes ask instead of the primary. `heard` has by zone and serial the kinds of answers that led there.

    An answer to AXFR is "axfr"; one to IXFR is "ixfr", "axfr-style" or "up-to-date" (RFC 1995 §4).
    """

    endpoint: Endpoint
    primary: Endpoint
    heard: dict[tuple[str, int], set[str]] = field(default_factory=dict)

    def transfers(self, zone: str, serial: int) -> set[str]:
        """The kinds of transfers that led to this serial."""
        return self.heard.get((zone, serial), set()) - {"up-to-date"}

    def note(self, kind: str, zone: str, serial: int) -> None:
        """What an answer was."""
        self.heard.setdefault((zone, serial), set()).add(kind)


class _Answer:
    """What is heard of one, until it has said what it is: some begin with a message that has the first SOA alone."""

    def __init__(self, tap: Tap, query: bytes) -> None:
        asked = dns.message.from_wire(query, keyring=False)
        self._tap = tap
        self._question = asked.question[0]
        self._known = next((record.serial for rrset in asked.authority for record in rrset if _is_soa(record)), None)
        self._records: list[Rdata] = []

    def hear(self, message: bytes) -> bool:
        """The next message. Whether that is enough."""
        answer = dns.message.from_wire(message, keyring=False, one_rr_per_rrset=True, xfr=True)
        self._records += [record for rrset in answer.answer for record in rrset]
        if self._question.rdtype not in (RdataType.AXFR, RdataType.IXFR) or not self._records:
            return True
        kind, first = self._kind(), self._records[0]
        if kind is not None and isinstance(first, SOA):
            self._tap.note(kind, self._question.name.to_text(omit_final_dot=True), first.serial)
        return kind is not None

    def _kind(self) -> str | None:
        first, *others = self._records
        if self._question.rdtype == RdataType.AXFR:
            return "axfr"
        if others:
            return "ixfr" if _is_soa(others[0]) and others[0] != first else "axfr-style"
        return "up-to-date" if _is_soa(first) and first.serial == self._known else None


def _is_soa(record: Rdata) -> TypeGuard[SOA]:
    return isinstance(record, SOA)


@asynccontextmanager
async def tapped(primary: Endpoint) -> AsyncIterator[Tap]:
    """A tap before a primary, until the block ends."""
    tap = Tap(Endpoint(primary.address, free_port()), primary)
    tasks: set[asyncio.Task[None]] = set()

    async def stream(node: asyncio.StreamReader, to_node: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _stream(tap, node, to_node)
        finally:
            to_node.close()
            tasks.discard(task)

    door = await asyncio_dgram.bind(tap.endpoint.sockaddr)
    async with await asyncio.start_server(stream, *tap.endpoint.sockaddr):
        tasks.add(datagrams := asyncio.create_task(_datagrams(tap, door)))
        try:
            yield tap
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait({datagrams})
            door.close()


async def _stream(tap: Tap, node: asyncio.StreamReader, to_node: asyncio.StreamWriter) -> None:
    """One connection of a node, and one to the primary; with either ends the other."""
    asked: dict[int, _Answer] = {}
    primary, to_primary = await asyncio.open_connection(*tap.primary.sockaddr)

    async def queries() -> None:
        while True:
            message = await _message(node)
            asked[int.from_bytes(message[:2])] = _Answer(tap, message)
            await _send(to_primary, message)

    async def answers() -> None:
        while True:
            message = await _message(primary)
            answer = asked.get(number := int.from_bytes(message[:2]))
            if answer is not None and answer.hear(message):
                del asked[number]
            await _send(to_node, message)

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(queries())
            both.create_task(answers())
    except* (OSError, EOFError):
        pass  # how a connection ends
    finally:
        to_primary.close()


async def _datagrams(tap: Tap, door: asyncio_dgram.DatagramServer) -> None:
    async def ask(query: bytes, node: tuple[str, int]) -> None:
        way = await asyncio_dgram.connect(tap.primary.sockaddr)
        with suppress(TimeoutError, OSError):  # no answer: the node asks again
            async with asyncio.timeout(PATIENCE):
                await way.send(query)
                message = bytes((await way.recv())[0])
                _Answer(tap, query).hear(message)
                await door.send(message, node)
        way.close()

    async with asyncio.TaskGroup() as asking:
        while True:
            query, node = await door.recv()
            asking.create_task(ask(bytes(query), cast("tuple[str, int]", node)))


async def _message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


async def _send(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(len(message).to_bytes(2) + message)
    await writer.drain()
