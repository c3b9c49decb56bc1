"""The whole ring: queries in over UDP and TCP, zones out through the tunnel, changes served, everything ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import dns.flags
import dns.rcode
import pytest
import pytest_asyncio

from gateway.lab.asking import page
from gateway.lab.changes import change
from gateway.lab.meter import read
from gateway.lab.ring import Ring
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone, new_signing_key
from tests.support.peers import auntil, require
from tests.support.zones import ask, content, parsed

ZONES = [LabZone("plain.example", hosts=200), LabZone("signed.example", key=new_signing_key())]
MIXTURES: list[tuple[type[NameServer], ...]] = [(Builtin,), (Nsd, Knot, Bind), (Bind, Nsd, Knot)]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=MIXTURES, ids=lambda kinds: "-".join(kind.software for kind in kinds)
)
async def ring(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ring]:
    for kind in request.param:
        require(kind.program)
    async with Ring(tmp_path_factory.mktemp("ring"), ZONES, software=request.param) as ring:
        yield ring


async def test_zones_come_through_the_tunnel_and_queries_through_the_gateway(ring: Ring) -> None:
    for zone in ZONES:
        for tcp in (False, True):
            answer = await asyncio.to_thread(ask, ring.at.gateway, zone.name, tcp=tcp, dnssec=True)
            assert answer.rcode() == dns.rcode.NOERROR
            assert answer.flags & dns.flags.AA
            assert answer.answer[0][0].serial == 1
        for node in ring.nodes.values():
            assert await asyncio.to_thread(content, node.endpoint, zone.name) == parsed(
                zone.text(1, "as it began"), zone.name
            )
    signed = await asyncio.to_thread(ask, ring.at.gateway, "www.signed.example", "A", dnssec=True)
    assert [rrset.rdtype.name for rrset in signed.answer] == ["A", "RRSIG"]
    foreign = await asyncio.to_thread(ask, ring.at.gateway, "www.elsewhere.test", "A")
    assert foreign.rcode() == dns.rcode.REFUSED

    async def told() -> bool:
        reading = await read(ring.at.admin)
        return reading.tunnel_in > 0 and reading.connections >= 2 and reading.reasons["reply", "not-served"] >= 1

    await auntil(told, what="the account of the tunnel and the refusal")
    _, text = await page(ring.at.exit_admin, "/metrics")
    assert "zonegate_exit_streams_opened_total" in text


async def test_a_change_at_the_primary_is_served(ring: Ring) -> None:
    for zone in ZONES:
        seen = await change(ring, zone.name, "a moment later")
        assert seen.serial == 2
        assert seen.clients is not None
        assert None not in seen.nodes.values()
        answer = await asyncio.to_thread(ask, ring.at.gateway, f"clock.{zone.name}", "TXT")
        assert '"a moment later"' in answer.answer[0].to_text()


async def test_all_processes_end_with_the_ring(tmp_path: Path) -> None:
    async with Ring(tmp_path, ZONES, software=(Builtin,)) as ring:
        ring.check()
        children = [ring.primary.process, ring.exit, ring.gateway, *(node.process for node in ring.nodes.values())]
        pids = [child.pid for child in children]
        assert len(set(pids)) == 5
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert [child.returncode for child in (ring.exit, ring.gateway)] == [0, 0]
    with pytest.raises(ChildError, match="ended"):
        ring.check()


async def test_what_does_not_start_is_an_error_and_leaves_nothing_running(tmp_path: Path) -> None:
    async with Builtin(Ring(tmp_path, ZONES, software=(Builtin,)).primary.roles, tmp_path / "holder") as holder:
        ring = Ring(tmp_path / "ring", ZONES, software=(Builtin,), dns_port=holder.endpoint.port)
        with pytest.raises(ChildError, match=r"(?s)gateway ended with status .*gateway\.log.*in use"):
            await ring.start()
        assert not ring.primary.process.alive
        assert not ring.exit.alive
