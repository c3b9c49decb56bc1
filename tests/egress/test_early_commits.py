"""What real nodes commit before they have the end of a transfer, and that through a forwarder they do not.

BIND commits an IXFR sequence by sequence; PowerDNS takes a SOA in the authority section for the end of an AXFR. Each
case is also run without the forwarder, which shows that the node does it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
import pytest
from dns.rdatatype import RdataType

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.roles import Secondary
from proxy.protocol.dns_frames import frame
from tests.egress.ring import Events, forwarder_settings, running, tunnel
from tests.egress.scripted_primary import ScriptedPrimary
from tests.support.peers import auntil, require_server
from tests.support.zones import serial

ZONE = "early.example"
DIRECT = tunnel("direct", "direct://")


def soa(number: int) -> dns.rrset.RRset:
    return dns.rrset.from_text(f"{ZONE}.", 60, "IN", "SOA", f"ns.{ZONE}. h. {number} 1 1 86400 1")


def host(number: int) -> dns.rrset.RRset:
    return dns.rrset.from_text(f"host.{ZONE}.", 60, "IN", "A", f"192.0.2.{number}")


NS = dns.rrset.from_text(f"{ZONE}.", 60, "IN", "NS", "ns.invalid.")


class Lies:
    """A primary: at first a whole zone of serial 5 (unless `at_once`), then an answer that ends too early."""

    def __init__(self, *, at_once: bool) -> None:
        self.lying = at_once

    def script(self, query: bytes) -> list[bytes]:
        """Answers the SOA checks."""
        answer = dns.message.make_response(dns.message.from_wire(query))
        answer.flags |= dns.flags.AA
        answer.answer = [soa(7 if self.lying else 5)]
        return [answer.to_wire()]

    def act(self, query: bytes, transport: asyncio.Transport) -> None:
        """Answers over TCP, and ends the connection behind a transfer."""
        asked = dns.message.from_wire(query)
        kind = asked.question[0].rdtype
        answer = dns.message.make_response(asked)
        if kind == RdataType.SOA:
            transport.write(frame(self.script(query)[0]))
            return
        if not self.lying:
            answer.answer = [soa(5), NS, host(5), soa(5)]
        elif kind == RdataType.IXFR:
            answer.answer = [soa(7), soa(5), host(5), soa(6), host(6), soa(6), host(6)]
        else:
            answer.answer, answer.authority = [soa(7), NS], [soa(7)]
        transport.write(frame(answer.to_wire()))
        transport.close()


async def rejected(events: Events, reason: str) -> None:
    await auntil(lambda: any(event["reason"] == reason for event in events.named("transfer.rejected")), 30)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "alone"])
async def test_bind_and_a_sequence_of_an_ixfr_that_is_cut(guarded: bool, tmp_path: Path) -> None:
    require_server(Bind)
    lies, events = Lies(at_once=False), Events()
    async with ScriptedPrimary(lies.script, lies.act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings, events):
            source = settings.forwarders[0].listen if guarded else primary.endpoint
            async with Bind(Secondary((ZONE,), source), tmp_path) as node:
                await served(node, 5)
                lies.lying = True
                if guarded:
                    await rejected(events, "cut")
                    assert await asyncio.to_thread(serial, node.endpoint, ZONE) == 5
                else:
                    await served(node, 6)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "alone"])
async def test_powerdns_and_a_soa_in_the_authority_section(guarded: bool, tmp_path: Path) -> None:
    require_server(PowerDns)
    lies, events = Lies(at_once=True), Events()
    async with ScriptedPrimary(lies.script, lies.act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings, events):
            source = settings.forwarders[0].listen if guarded else primary.endpoint
            async with PowerDns(Secondary((ZONE,), source), tmp_path) as node:
                if guarded:
                    await rejected(events, "section")
                    assert await asyncio.to_thread(serial, node.endpoint, ZONE) is None
                else:
                    await served(node, 7)


async def served(node: Bind | PowerDns, wanted: int) -> None:
    async def found() -> bool:
        return await asyncio.to_thread(serial, node.endpoint, ZONE) == wanted

    await auntil(found, 30, f"serial {wanted}")
