"""PROXY v2 over UDP with real neighbours: what their access lists and logs say is the client, not us.

BIND has `proxy` from 9.20 on and NSD `proxy-protocol-port` from 4.7 on; those of the distribution are older.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from gateway.lab.servers.knot import Knot
from gateway.lab.servers.roles import Primary
from proxy.ingress.probes import check
from proxy.protocol.proxy_headers import Way
from proxy.settings import ProxyIn, ProxyOut
from proxy.values import Endpoint, Network
from tests.ingress.test_proxy_udp import behind_header, open_door, v2
from tests.ingress.test_tcp_peers import TEXT, ZONE
from tests.ingress.test_udp import Door
from tests.support.backends import UdpBackend
from tests.support.named import dnsdist, powerdns
from tests.support.peers import ChildProcess, auntil, free_port, require

FRIEND, STRANGER = "127.0.0.5", "127.0.0.6"
V2 = ProxyOut(udp="v2")


@asynccontextmanager
async def before(backend: Endpoint, out: ProxyOut = V2, into: ProxyIn | None = None) -> AsyncIterator[Door]:
    opened = open_door(backend, into, out)
    try:
        yield opened
    finally:
        opened.close()


async def ask(address: tuple[str, int], source: str, name: str = f"h7.{ZONE}", patience: float = 5.0) -> str:
    """The RCODE of the answer to a query from this address, or "silent"."""
    query = dns.message.make_query(name, "A")
    query.flags &= ~dns.flags.RD
    with suppress(dns.exception.Timeout):
        answer = await asyncio.to_thread(dns.query.udp, query, address[0], patience, address[1], source=source)
        return dns.rcode.to_text(answer.rcode())
    return "silent"


async def ways_of(backend: Endpoint, patience: float = 0.7) -> set[Way]:
    """The ways of a health check that a server answers, after it has come up."""
    ways: tuple[Way, ...] = ("plain", "local", "v2", "v2-crc")
    found = await asyncio.gather(*(check(backend, ZONE, patience, way) for way in ways))
    return {way for way, finding in zip(ways, found, strict=True) if finding == "good"}


@asynccontextmanager
async def unbound(directory: Path) -> AsyncIterator[Endpoint]:
    """An Unbound that wants a header, and serves the zone to one client alone."""
    program = require("unbound")
    endpoint = Endpoint.parse(f"127.0.0.1:{free_port()}")
    (directory / "zone").write_text(TEXT)
    configuration = directory / "unbound.conf"
    configuration.write_text(
        f"""\
server:
    interface: {endpoint.address}@{endpoint.port}
    proxy-protocol-port: {endpoint.port}
    access-control: 127.0.0.0/8 refuse
    access-control: 127.0.0.1/32 allow
    access-control: {FRIEND}/32 allow
    do-daemonize: no
    do-not-query-localhost: no
    username: ""
    chroot: ""
    directory: "{directory}"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
auth-zone:
    name: "{ZONE}"
    zonefile: "{directory}/zone"
    for-downstream: yes
    for-upstream: no
remote-control:
    control-enable: no
"""
    )
    with ChildProcess([program, "-d", "-c", str(configuration)], directory / "server.log", cwd=directory) as child:
        ready = lambda: "start of service" in (directory / "server.log").read_text()  # noqa: E731
        await child.await_(ready, what="the start of service")
        yield endpoint


async def test_the_access_control_of_unbound_is_that_of_the_client(tmp_path: Path) -> None:
    async with unbound(tmp_path) as node, before(node) as opened:
        assert await ways_of(node) == {"local", "v2", "v2-crc"}
        assert await ask(opened.address, FRIEND) == "NOERROR"
        assert await ask(opened.address, STRANGER) == "REFUSED"
        assert opened.verdicts() == {("forward", "ok"): 2}


class ProxiedKnot(Knot):
    """A Knot that takes headers from loopback, and answers one client and 127.0.0.1 alone."""

    def configuration(self) -> str:
        text = super().configuration()
        text = text.replace("    automatic-acl: off\n", "    automatic-acl: off\n    proxy-allowlist: 127.0.0.1\n")
        rule = f"mod-queryacl:\n  - id: friends\n    address: [127.0.0.1, {FRIEND}]\n"
        return text.replace("template:\n", rule + "template:\n").replace(
            "    acl: transfers-0\n", "    acl: transfers-0\n    module: mod-queryacl/friends\n"
        )


async def test_the_query_acl_of_knot_is_that_of_the_client(tmp_path: Path) -> None:
    require("knotd")
    out = ProxyOut(udp="v2", health="plain")
    async with ProxiedKnot(Primary({ZONE: TEXT}), tmp_path) as node, before(node.endpoint, out) as opened:
        # No LOCAL, but plain queries on the same port; of the TLVs of v2 it takes no notice.
        assert await ways_of(node.endpoint) == {"plain", "v2", "v2-crc"}
        assert await ask(opened.address, FRIEND) == "NOERROR"
        assert await ask(opened.address, STRANGER) == "NOTAUTH"


async def test_powerdns_is_asked_by_the_client(tmp_path: Path) -> None:
    logged = {"log-dns-queries": "yes", "loglevel": "6"}
    async with powerdns(tmp_path, ZONE, TEXT, transfers_to=FRIEND, more=logged) as node, before(node) as opened:
        assert await ways_of(node) == {"local", "v2", "v2-crc"}
        assert await ask(opened.address, FRIEND) == "NOERROR"
        await auntil(lambda: f"Remote 127.0.0.1({FRIEND}) wants" in (tmp_path / "server.log").read_text())


async def test_a_rule_of_dnsdist_sees_the_client(tmp_path: Path) -> None:
    rules = (
        'setProxyProtocolACL({"127.0.0.1/32"})',
        f'addAction(makeRule("{FRIEND}/32"), SpoofAction("192.0.2.99"))',
        "addAction(AllRule(), RCodeAction(DNSRCode.REFUSED))",
    )
    async with dnsdist(tmp_path, *rules) as node, before(node) as opened:
        assert await ask(opened.address, FRIEND) == "NOERROR"
        assert await ask(opened.address, STRANGER) == "REFUSED"


async def test_behind_dnsdist_the_client_is_known_and_passed_on(tmp_path: Path) -> None:
    into = ProxyIn(accept="v2", from_=(Network.parse("127.0.0.1/32"),))
    backend = await UdpBackend(behind_header).open()
    async with before(backend.endpoint, V2, into) as opened:
        host, port = opened.address
        server = f'newServer{{address="{host}:{port}", useProxyProtocol=true}}:setUp()'
        async with dnsdist(tmp_path, server) as balancer:
            for source in (FRIEND, STRANGER):
                assert await ask(balancer.sockaddr, source) == "NOERROR"
        heads = [data[16:20] for data, _ in backend.received if data.startswith(v2()[:13])]
        assert heads == [bytes([127, 0, 0, 5]), bytes([127, 0, 0, 6])]
        assert await ask(opened.address, STRANGER, patience=0.3) == "silent", "who is no proxy"
        assert opened.verdicts()[("drop", "proxy-source")] == 1
    await backend.close()
