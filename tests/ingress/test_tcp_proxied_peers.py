"""PROXY v2 over TCP with real neighbours: PowerDNS and dnsdist behind us, dnsdist in front of us. None speaks v1."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from tests.ingress.tcp_door import Door, door, ingress_settings
from tests.ingress.test_tcp_peers import HOSTS, TEXT, ZONE, run
from tests.ingress.test_tcp_proxied import behind, telling
from tests.support.named import dnsdist, powerdns
from tests.support.peers import require
from tests.support.proxied import ProxiedBackend

FRIEND, STRANGER = "127.0.0.5", "127.0.0.6"


def ask(address: tuple[str, int], source: str, name: str, kind: str = "A") -> dns.message.Message:
    """The answer to a query over TCP from this address. Blocks."""
    return dns.query.tcp(dns.message.make_query(name, kind), address[0], 5.0, address[1], source=source)


def rcode(message: dns.message.Message) -> str:
    return dns.rcode.to_text(message.rcode())


async def check_transfers(opened: Door) -> None:
    """The backend's ACL sees the client behind us: one gets the zone, the other does not."""
    friend = await asyncio.to_thread(ask, opened.address, FRIEND, ZONE, "AXFR")
    stranger = await asyncio.to_thread(ask, opened.address, STRANGER, ZONE, "AXFR")
    assert (rcode(friend), rcode(stranger)) == ("NOERROR", "NOTAUTH")
    assert friend.answer


async def test_the_acl_of_powerdns_is_that_of_the_client(tmp_path: Path) -> None:
    async with (
        powerdns(tmp_path, ZONE, TEXT, transfers_to=FRIEND) as node,
        door(telling(ingress_settings(node, allow=("transfer",)), "v2")) as opened,
    ):
        await check_transfers(opened)
        answer = await asyncio.to_thread(ask, opened.address, STRANGER, f"h7.{ZONE}")
        assert answer.answer[0][0].to_text() == "192.0.2.7"


async def test_dnsperf_loses_nothing_towards_powerdns(tmp_path: Path) -> None:
    dnsperf = require("dnsperf")
    queries = tmp_path / "queries"
    queries.write_text("".join(f"h{number}.{ZONE} A\n" for number in range(HOSTS)))
    async with powerdns(tmp_path, ZONE, TEXT, transfers_to=FRIEND) as node:
        settings = telling(ingress_settings(node), "v2", proxied_connections=6)
        async with door(settings) as opened:
            host, port = opened.address
            load = ["-m", "tcp", "-c", "8", "-q", "100", "-n", "5", "-l", "30"]
            report = await run(dnsperf, *load, "-s", host, "-p", str(port), "-d", str(queries))
            assert re.search(rf"Queries completed:\s+{5 * HOSTS} ", report), report
            assert re.search(r"Queries lost:\s+0 ", report), report
            assert re.search(r"Response codes:\s+NOERROR \d+ \(100", report), report
            assert opened.verdicts() == {("forward", "ok"): 5 * HOSTS}


async def test_a_rule_of_dnsdist_sees_the_client(tmp_path: Path) -> None:
    rules = (
        'setProxyProtocolACL({"127.0.0.0/8"})',
        f'addAction(makeRule("{FRIEND}/32"), SpoofAction("192.0.2.99"))',
        "addAction(AllRule(), RCodeAction(DNSRCode.REFUSED))",
    )
    async with dnsdist(tmp_path, *rules) as node, door(telling(ingress_settings(node), "v2")) as opened:
        friend = await asyncio.to_thread(ask, opened.address, FRIEND, f"h1.{ZONE}")
        stranger = await asyncio.to_thread(ask, opened.address, STRANGER, f"h1.{ZONE}")
        assert (friend.answer[0][0].to_text(), rcode(stranger)) == ("192.0.2.99", "REFUSED")


async def test_behind_dnsdist_the_client_is_known_and_passed_on(tmp_path: Path) -> None:
    async with (
        ProxiedBackend() as backend,
        door(telling(behind(ingress_settings(backend.endpoint), "v2"), "v2")) as opened,
    ):
        host, port = opened.address
        server = f'newServer{{address="{host}:{port}", useProxyProtocol=true}}:setUp()'
        async with dnsdist(tmp_path, server) as balancer:
            for source in (FRIEND, STRANGER):
                answer = await asyncio.to_thread(ask, balancer.sockaddr, source, f"h1.{ZONE}")
                assert rcode(answer) == "NOERROR"
            assert [source and source[0] for source in backend.sources()] == [FRIEND, STRANGER]
