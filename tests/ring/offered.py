"""A node with version 1 of a zone, and a primary that offers it version 2 in whatever way the test wants.

node ── forwarder ── tunnel ── exit ── primary, all but the node in this process; each node has its own

The node looks for itself every second, and is told (NOTIFY, RFC 1996) so that it looks sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import dns.rrset
import dns.zone
from dns.rdatatype import RdataType

from gateway.lab.servers.roles import Secondary
from gateway.lab.servers.server import NameServer
from proxy.egress.service import EgressService
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings
from tests.egress.ring import Events, exit_settings, forwarder_settings, fresh_key, running, ss_url, tunnel
from tests.egress.scripted_primary import ScriptedPrimary
from tests.support.peers import auntil
from tests.support.zones import parsed, serial, settled

ZONE = "offered.example"
METHOD = "2022-blake3-aes-128-gcm"
AGAIN = 0.15  # seconds after which a node that has not looked is told once more

Offer = Callable[[bytes], list[bytes]]  # a query for a transfer, to its answer


def soa_record(version: int) -> dns.rrset.RRset:
    return dns.rrset.from_text(f"{ZONE}.", 60, "IN", "SOA", f"ns.{ZONE}. hostmaster.{ZONE}. {version} 1 1 86400 30")


def record(name: str, kind: str, data: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(f"{name}.{ZONE}." if name else f"{ZONE}.", 60, "IN", kind, data)


def hosts(version: int) -> list[dns.rrset.RRset]:
    """What differs between two versions."""
    return [record(f"host-{number}", "A", f"192.0.{version}.{number}") for number in range(8)]


def records(version: int) -> list[dns.rrset.RRset]:
    """A version without its SOA."""
    return [record("", "NS", f"ns.{ZONE}."), record("ns", "A", "192.0.2.53"), *hosts(version)]


def whole(version: int) -> dns.zone.Zone:
    """A version as a node should hold it."""
    return parsed("\n".join(rrset.to_text() for rrset in (soa_record(version), *records(version))), ZONE)


def messages(query: bytes, rows: list[dns.rrset.RRset], per_message: int = 5) -> list[bytes]:
    """Records in the messages of an answer."""
    asked, answers = dns.message.from_wire(query, keyring=False), list[bytes]()
    for at in range(0, len(rows), per_message):
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.AA
        for row in rows[at : at + per_message]:
            answer.answer.append(row)
        answers.append(answer.to_wire(max_size=65535))
    return answers


def axfr(query: bytes, version: int = 2) -> list[bytes]:
    """The whole zone, to AXFR and to IXFR."""
    return messages(query, [soa_record(version), *records(version), soa_record(version)])


def ixfr(query: bytes) -> list[bytes]:
    """The way from version 1 to 2 (RFC 1995 section 4); whoever asks for AXFR gets that."""
    if dns.message.from_wire(query, keyring=False).question[0].rdtype != RdataType.IXFR:
        return axfr(query)
    rows = [soa_record(2), soa_record(1), *hosts(1), soa_record(2), *hosts(2), soa_record(2)]
    return messages(query, rows)


@dataclass
class Stage:
    """One node, and what is offered to it."""

    node: NameServer
    primary: ScriptedPrimary
    service: EgressService
    events: Events
    version: int = 1  # that an SOA check shows
    offer: Offer = axfr
    kept: int | None = None  # bytes before the primary closes, at the last byte at the latest; None: it stays open
    tries: int = 0  # transfers that were asked for

    def answer_soa(self, query: bytes) -> list[bytes]:
        """An SOA check."""
        return messages(query, [soa_record(self.version)])

    def act(self, query: bytes, transport: asyncio.Transport) -> None:
        """A query over TCP."""
        if dns.message.from_wire(query, keyring=False).question[0].rdtype == RdataType.SOA:
            transport.write(b"".join(map(frame, self.answer_soa(query))))
            return
        offer = axfr(query, 1) if self.version == 1 else self.offer(query)
        wire = b"".join(map(frame, offer))
        transport.write(wire if self.kept is None else wire[: min(self.kept, len(wire) - 1)])
        self.tries += 1
        if self.kept is not None:
            transport.close()

    async def tried(self, times: int = 1) -> None:
        """Tell the node of version 2 until it has asked for it so often, and its connection is over or answered."""
        loop = asyncio.get_running_loop()
        goal, told = self.tries + times, float("-inf")

        def look() -> bool:
            nonlocal told
            if self.tries < goal and loop.time() - told > AGAIN:
                told = loop.time()
                self.notify()
            return self.tries >= goal and not any(each.transfers_running for each in self.service.status().primaries)

        await auntil(look, 30, f"{self.node.software} to ask for a transfer")

    def notify(self) -> None:
        """NOTIFY, over UDP; the node's answer is of no use here."""
        message = dns.message.make_query(ZONE, "SOA")
        message.set_opcode(dns.opcode.NOTIFY)
        message.flags = message.flags & ~dns.flags.RD | dns.flags.AA
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.to_wire(), self.node.endpoint.sockaddr)

    async def expect(self, version: int) -> None:
        """The node serves this version, record by record."""
        served = await asyncio.to_thread(serial, self.node.endpoint, ZONE)
        assert served == version, f"{self.node.software} serves {served}"
        content = await asyncio.to_thread(settled, self.node.endpoint, ZONE)
        wrong = f"{self.node.software} holds another version {version}:\n{content.to_text()}"
        assert content == whole(version), wrong

    async def let_through(self) -> None:
        """An honest offer at last: the node takes it."""
        self.kept, self.offer = None, axfr
        loop, told = asyncio.get_running_loop(), float("-inf")

        async def look() -> bool:
            nonlocal told
            if loop.time() - told > AGAIN:
                told = loop.time()
                self.notify()
            return await asyncio.to_thread(serial, self.node.endpoint, ZONE) == 2

        await auntil(look, 30, f"{self.node.software} to take version 2")
        await self.expect(2)


@asynccontextmanager
async def stage(software: type[NameServer], directory: Path, **more: object) -> AsyncIterator[Stage]:
    """A node of this software that serves version 1 and does not know yet that there is another.

    `more` are keys of the primary in the gateway's settings.
    """
    key = fresh_key(METHOD)
    async with contextlib.AsyncExitStack() as stack:
        primary = await stack.enter_async_context(ScriptedPrimary())
        far = exit_settings(METHOD, key, [primary.endpoint])
        way = tunnel("way", ss_url(METHOD, key, far.listen))
        settings = forwarder_settings([way], primary.endpoint, primary_more={"keep_open": 0.5, **more})
        events = Events()
        await stack.enter_async_context(running(EgressSettings(exit=far)))
        service = await stack.enter_async_context(running(settings, events))
        node = software(Secondary((ZONE,), settings.forwarders[0].listen), directory)
        there = Stage(node, primary, service, events)
        primary.script, primary.act = there.answer_soa, there.act
        await stack.enter_async_context(node)
        await auntil(lambda: asyncio.to_thread(lambda: serial(node.endpoint, ZONE) == 1), 20)
        await there.expect(1)
        there.version = 2
        yield there
