"""Transfers to clients through the TCP way in, from a real primary, and with backends that break off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest

from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Key, Primary
from proxy.settings import TcpSettings
from tests.ingress.tcp_door import door, ingress_settings, query, stands_still
from tests.support.backends import answer_to
from tests.support.peers import auntil, require
from tests.support.streams import BackendSession, StreamBackend
from tests.support.zones import content, parsed

ZONE = "example.com"
TEXT = "\n".join(
    [
        "$TTL 300",
        f"@ IN SOA ns1.{ZONE}. host.{ZONE}. 1 3600 600 86400 300",
        "@ IN NS ns1",
        "ns1 IN A 192.0.2.1",
        *(f"h{number} IN TXT {' '.join(['x' * 250] * 6)}" for number in range(4000)),
        "",
    ]
).replace("@ IN SOA", f"{ZONE}. IN SOA")


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "tsig"])
async def test_a_zone_of_many_messages_passes_whole(tmp_path: Path, signed: bool) -> None:
    require("nsd")
    key = Key.generate("transfer-key") if signed else None
    async with Nsd(Primary({ZONE: TEXT}, key=key), tmp_path) as primary:
        settings = ingress_settings(primary.endpoint, allow=("transfer",), patience=10)
        async with door(settings) as opened:
            copy = await asyncio.to_thread(content, settings.listeners[0].address, ZONE, key)
            assert copy == parsed(TEXT, ZONE)
            opened.clock.forward(10)
            await auntil(lambda: not opened.status.transfers)
            assert opened.verdicts() == {("forward", "ok"): 1}


async def test_a_slow_client_slows_its_transfer_and_no_other_client(tmp_path: Path) -> None:
    require("nsd")
    limits = TcpSettings(idle_timeout=3600, write_timeout=3600)
    primary = Nsd(Primary({ZONE: TEXT}), tmp_path)
    settings = ingress_settings(primary.endpoint, allow=("transfer",), tcp=limits, patience=10)
    async with primary, door(settings) as opened:
        slow, other = await opened.client(receive_buffer=4096), await opened.client()
        slow.transport.pause_reading()
        slow.send(query(ZONE, "AXFR"))
        await stands_still(lambda: opened.memory.io()["answers-received"])
        other.send(query(f"h1.{ZONE}", "TXT"))
        await auntil(lambda: other.received)
        opened.clock.forward(60)
        assert opened.status.transfers == 1, "silence is ours, not the primary's"
        assert opened.status.buffered < 1 << 20, "what is not taken waits at the primary"
        slow.transport.resume_reading()
        await auntil(lambda: slow.received and closing_soa(slow.received), 30)


def closing_soa(messages: list[bytes]) -> bool:
    """Whether the last of many messages ends with an SOA record."""
    answer = dns.message.from_wire(messages[-1], ignore_trailing=True, xfr=True, one_rr_per_rrset=True).answer
    return len(messages) > 1 and bool(answer) and answer[-1].rdtype == dns.rdatatype.SOA


async def test_a_transfer_that_is_cut_closes_the_client() -> None:
    def cut(session: BackendSession, message: bytes) -> None:
        session.send(answer_to(message), answer_to(message))
        session.transport.close()

    async with StreamBackend(cut) as backend, door(ingress_settings(backend.endpoint, allow=("transfer",))) as opened:
        client = await opened.client()
        client.send(query(ZONE, "AXFR"))
        await auntil(lambda: client.ended)
        assert len(client.received) == 2
        assert opened.status.closes["transfer-over"] == 1


async def test_a_client_that_leaves_ends_its_transfer() -> None:
    async with (
        StreamBackend() as backend,
        door(ingress_settings(backend.endpoint, allow=("transfer",))) as opened,
    ):
        client = await opened.client()
        client.send(query(ZONE, "AXFR"))
        await auntil(lambda: client.received)
        client.transport.abort()

        def goes_on() -> bool:
            session = backend.sessions[0]
            if not session.ended:
                session.send(answer_to(backend.queries[0]))
            return session.ended

        await auntil(goes_on)
        assert opened.status.transfers == 0
