"""Our TLS against real primaries: what they select, that their tickets are taken, and how they end a connection."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import dns.message
import dns.rcode
import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary as PrimaryRole
from gateway.lab.servers.roles import ServerTls
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from proxy.egress.counters import TunnelCounters
from proxy.egress.direct import DirectTunnel
from proxy.egress.primaries import Primaries
from proxy.protocol.dns_frames import FrameReader, frame
from proxy.settings import Primary, PrimaryTls
from tests.egress.ring import Events, fresh_endpoint
from tests.support.certificates import Authority
from tests.support.peers import auntil, require

NAME = "ns.primary.example"
ZONE = LabZone("plain.example", hosts=20)


@dataclass
class Asker(asyncio.Protocol):
    """Keeps the messages that came, and the end."""

    messages: list[bytes] = field(default_factory=list)
    frames: FrameReader = field(default_factory=FrameReader)
    ends: list[Exception | None] = field(default_factory=list)

    def data_received(self, data: bytes) -> None:
        self.messages += self.frames.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)


async def answered(asker: Asker) -> None:
    """Wait for a message."""
    await auntil(lambda: bool(asker.messages), what="a message")


async def ended(asker: Asker) -> None:
    """Wait for the end."""
    await auntil(lambda: bool(asker.ends), what="the end")


@pytest.mark.parametrize(("software", "alpn"), [(Bind, "dot"), (Nsd, None)], ids=["bind", "nsd"])
async def test_what_they_select_and_their_tickets(software: type[NameServer], alpn: str | None, tmp_path: Path) -> None:
    require(software.program)
    shown, door, events = Authority(tmp_path).issue(NAME), fresh_endpoint(), Events()
    role = PrimaryRole({ZONE.name: ZONE.text(1, "one")}, tls=ServerTls(door, shown.file, shown.key))
    tls = PrimaryTls(server_name=NAME, ca="authority.pem", alpn="required" if alpn else "offered")
    primaries = Primaries(tmp_path, events)
    primaries.take(primaries.compile([Primary(name="p", address=door, tunnels=("t",), tls=tls)]))
    tunnel = DirectTunnel(TunnelCounters("t"), 5.0)
    query = dns.message.make_query(ZONE.name, "AXFR").to_wire()
    async with software(role, tmp_path / "primary"):
        for reused in (False, True, True):
            asker = Asker()
            stream = await primaries.named("p").open_stream(tunnel, asker, frame(query))
            await answered(asker)
            assert dns.message.from_wire(asker.messages[0]).rcode() == dns.rcode.NOERROR
            told = cast("ssl.SSLObject", stream.get_extra_info("ssl_object"))
            assert (told.version(), told.selected_alpn_protocol(), told.session_reused) == ("TLSv1.3", alpn, reused)
            stream.close()
            await ended(asker)
            assert asker.ends == [None]
    (status,) = primaries.status()
    assert (status.handshakes, status.resumed, status.failures, events.seen) == (3, 2, {}, [])
