"""Nodes that keep their primary's own address, in network namespaces: with the shipped nftables rules, `zonegate run`,
an exit of ours, and real name servers, over IPv4 and IPv6, plain and with TSIG.

    node ── 203.0.113.5:53 ──▶ gateway: TPROXY ──▶ zonegate ── tunnel ──▶ exit ──▶ BIND at 203.0.113.5:53
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import quote

import dns.exception
import dns.message
import httpx
import pytest

from bench.namespaces import World
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.roles import Key, Primary, Secondary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from proxy.values import Endpoint
from tests.ring.gateways import Gateway, running
from tests.support.namespaces import inside
from tests.support.peers import require, until
from tests.support.routed import EXIT, EXIT_SEEN, NODE, NOT_PRIMARY, PRIMARY, Row, counters, in_the_way, run
from tests.support.zones import ask, await_serial

SCRIPT = Path(__file__).parents[2] / "deploy" / "nftables" / "transparent.sh"
METHOD = "2022-blake3-aes-256-gcm"
PLAIN, KEYED = LabZone("plain.example", hosts=2000), LabZone("keyed.example", hosts=2000)
ASKED = {version: Endpoint(address, 53) for version, address in PRIMARY.items()}


class RealPrimary(Bind):
    """BIND at the primary's own addresses, which logs who asks. `keyed.example` is for those with the key alone."""

    def __init__(self, key: Key, directory: Path) -> None:
        super().__init__(Primary({zone.name: zone.text(1, "first") for zone in (PLAIN, KEYED)}, key=key), directory)
        self.endpoint = ASKED[4]
        self.key = key

    def configuration(self) -> str:
        return f"""
options {{
    directory "{self.directory}"; pid-file none; session-keyfile none;
    listen-on {{ {PRIMARY[4]}; {NOT_PRIMARY[4]}; }};
    listen-on-v6 {{ {PRIMARY[6]}; {NOT_PRIMARY[6]}; }};
    recursion no; dnssec-validation no; empty-zones-enable no; notify no; ixfr-from-differences yes; querylog yes;
}};
controls {{ }};
key "{self.key.name}" {{ algorithm {self.key.algorithm}; secret "{self.key.secret}"; }};
zone "plain.example" {{ type primary; file "plain.example.zone"; allow-transfer {{ any; }}; }};
zone "keyed.example" {{ type primary; file "keyed.example.zone"; allow-transfer {{ key "{self.key.name}"; }}; }};
"""

    def mark(self) -> int:
        """Where its log ends now."""
        return self.process.log.stat().st_size

    def asked_by(self, since: int) -> set[str]:
        """Who has asked since then."""
        return set(re.findall(r"client @\S+ (\S+)#\d+ \(", self.process.log.read_text()[since:]))


def far_side(stack: ExitStack, row: Row, directory: Path) -> tuple[RealPrimary, str]:
    """The primary, and an exit that may reach it; the URL of the tunnel."""
    for program in ("named", "knotd", "nsd", "pdns_server", "nft"):
        require(program)
    with inside(row.primary):
        primary = stack.enter_context(RealPrimary(Key.generate("transfers"), directory / "primary"))
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    home = directory / "exit"
    home.mkdir()
    allow = ", ".join(f'"{place}"' for place in (f"{PRIMARY[4]}/32:53", f"[{PRIMARY[6]}/128]:53"))
    with inside(row.exit):
        stack.enter_context(
            running(
                home, f'[exit]\nlisten = "{EXIT[4]}:8388"\nmethod = "{METHOD}"\nkey = "{secret}"\nallow = [{allow}]\n'
            )
        )
    return primary, f"ss://{METHOD}:{quote(secret, safe='')}@{EXIT[4]}:8388"


@pytest.fixture
def row() -> Iterator[Row]:
    with in_the_way() as made:
        yield made


def settings(url: str, more: str = "") -> str:
    return f"""
[[tunnels]]
name = "fra"
url = "{url}"
[[primaries]]
name = "customer-4"
address = "{ASKED[4]}"
tunnels = ["fra"]
[[primaries]]
name = "customer-6"
address = "{ASKED[6]}"
tunnels = ["fra"]
{more}
[[transparent_doors]]
listen = "[::]:5399"
allow = ["192.0.2.0/24", "2001:db8:1::/64"]
zones = ["plain.example", "keyed.example"]
"""


def answered(node: World, place: Endpoint, *, tcp: bool = False) -> bool:
    """Whether a query for the SOA, sent from the node, has an answer."""
    with inside(node), suppress(dns.exception.Timeout, OSError, EOFError):
        return bool(ask(place, PLAIN.name, tcp=tcp).answer)
    return False


def node_of(row: Row, software: type[NameServer], version: int, key: Key | None, directory: Path) -> NameServer:
    """A secondary whose primary is configured with its own address."""
    zone = KEYED if key else PLAIN
    place = directory / f"{software.program}{version}"  # short: some have Unix sockets there
    with inside(row.node):
        return software(Secondary((zone.name,), ASKED[version], key), place)


def test_nodes_with_the_primarys_own_address_go_through_the_tunnel(row: Row, tmp_path: Path) -> None:
    with ExitStack() as stack:
        primary, url = far_side(stack, row, tmp_path)
        begin = primary.mark()
        assert all(answered(row.node, place) for place in ASKED.values()), "nothing is in the way yet"
        until(lambda: primary.asked_by(begin) == {str(address) for address in NODE.values()})
        run(SCRIPT, "up")
        begin = primary.mark()
        assert not any(answered(row.node, place) for place in ASKED.values()), "stopped, as zonegate is not there"
        stopped = counters()["stopped"]
        assert stopped > 0
        assert counters()["diverted4"] == counters()["diverted6"] == 0
        gateway = stack.enter_context(running(tmp_path, settings(url)))
        nodes = [
            node_of(row, software, version, key, tmp_path)
            for software, version, key in (
                (Bind, 4, None),
                (Bind, 6, primary.key),
                (Knot, 4, primary.key),
                (Knot, 6, None),
                (Nsd, 4, None),
                (Nsd, 6, primary.key),
                (PowerDns, 4, primary.key),
                (PowerDns, 6, None),
            )
        ]
        with inside(row.node):
            for node in nodes:
                stack.enter_context(node)
            follow(nodes, 1)
        primary.publish(PLAIN.name, PLAIN.text(2, "second"))
        primary.publish(KEYED.name, KEYED.text(2, "second"))
        with inside(row.node):
            follow(nodes, 2)
        check_nothing_went_directly(primary, begin, stopped)
        check_counted(gateway)


def follow(nodes: list[NameServer], serial: int) -> None:
    for node in nodes:
        (zone,) = node.roles[0].zones
        await_serial(node.endpoint, zone, serial)


def check_nothing_went_directly(primary: RealPrimary, begin: int, stopped: int) -> None:
    assert primary.asked_by(begin) == {str(address) for address in EXIT_SEEN.values()}
    seen = counters()
    assert seen["stopped"] == stopped
    assert seen["diverted4"] > 0
    assert seen["diverted6"] > 0
    until(lambda: lost(counters()) == 0, what="all that was diverted to be delivered")


def lost(seen: dict[str, int]) -> int:
    return seen["diverted4"] + seen["diverted6"] - seen["delivered"]


def check_counted(gateway: Gateway) -> None:
    for primary in ("customer-4", "customer-6"):
        for transport in ("udp", "tcp"):
            assert gateway.total("zonegate_transfer_queries_total", primary=primary, transport=transport) > 0
        assert gateway.total("zonegate_transfer_verdicts_total", primary=primary, kind="axfr", reason="accepted") > 0
        assert gateway.total("zonegate_transfer_verdicts_total", primary=primary, kind="ixfr", reason="accepted") > 0
    assert gateway.total("zonegate_transfer_refused_total", primary="-") == 0


def test_a_destination_that_is_no_primary_is_refused_until_it_is_one(row: Row, tmp_path: Path) -> None:
    """Neither proxied nor sent on directly; and a reload makes it a primary, without a new process."""
    with ExitStack() as stack:
        primary, url = far_side(stack, row, tmp_path)
        run(SCRIPT, "up")
        gateway = stack.enter_context(running(tmp_path, settings(url)))
        run("nft", "add", "element", "inet", "zonegate", "primaries4", f"{{ {NOT_PRIMARY[4]} }}")
        begin, other = primary.mark(), Endpoint(NOT_PRIMARY[4], 53)
        assert not answered(row.node, other)
        assert not answered(row.node, other, tcp=True)
        until(lambda: gateway.total("zonegate_transfer_refused_total", primary="-", reason="destination") == 2)
        assert "transparent.refused" in gateway.child.log.read_text()
        assert primary.asked_by(begin) == set()
        more = f'[[primaries]]\nname = "other"\naddress = "{other}"\ntunnels = ["direct"]\n'
        # From an address within the nodes' prefix: what the gateway sends itself is not caught all the same.
        more += '[[tunnels]]\nname = "direct"\nurl = "direct://"\nsource = ["192.0.2.1"]\n'
        text = gateway.child.file.read_text()
        gateway.child.file.write_text(text.replace("[[transparent_doors]]", f"{more}[[transparent_doors]]"))
        assert httpx.post(f"http://{gateway.child.admin}/reload", timeout=30).json()["ok"]
        assert answered(row.node, other)
        assert answered(row.node, other, tcp=True)
        assert answered(row.node, ASKED[4])
        assert primary.asked_by(begin) == {"192.0.2.1", str(EXIT_SEEN[4])}
        gateway.child.file.write_text(text)
        assert httpx.post(f"http://{gateway.child.admin}/reload", timeout=30).json()["ok"]
        assert not answered(row.node, other)


def test_without_the_routes_nothing_goes_directly_and_counters_say_so(row: Row, tmp_path: Path) -> None:
    with ExitStack() as stack:
        primary, url = far_side(stack, row, tmp_path)
        run(SCRIPT, "up")
        gateway = stack.enter_context(running(tmp_path, settings(url)))
        assert answered(row.node, ASKED[4])
        begin, before = primary.mark(), counters()
        run("ip", "-4", "rule", "del", "priority", "5399")
        assert not answered(row.node, ASKED[4])
        assert counters()["diverted4"] > before["diverted4"]
        assert counters()["delivered"] == before["delivered"] > 0
        assert "no rule for the mark" in run("sh", "-c", f"{SCRIPT} show 2>&1")
        assert primary.asked_by(begin) == set()
        run(SCRIPT, "up")
        assert answered(row.node, ASKED[4])
        asked = gateway.total("zonegate_transfer_queries_total")
        run(SCRIPT, "down")  # and then nothing keeps nodes from their primary, nor shows them to us
        assert answered(row.node, ASKED[4])
        assert str(NODE[4]) in primary.asked_by(begin)
        assert gateway.total("zonegate_transfer_queries_total") == asked


def transfer_process(gateway: Gateway) -> int:
    processes = httpx.get(f"http://{gateway.child.admin}/status").json()["processes"]
    (found,) = (process["pid"] for process in processes if process["role"] == "transfer")
    return int(found)


def test_answers_come_from_the_address_that_was_asked(row: Row, tmp_path: Path) -> None:
    """Seen on a socket that takes packets from anywhere; also those of the gateway itself, and of a new process."""
    with ExitStack() as stack:
        _, url = far_side(stack, row, tmp_path)
        run(SCRIPT, "up")
        gateway = stack.enter_context(running(tmp_path, settings(url)))
        os.kill(transfer_process(gateway), signal.SIGKILL)  # the next one has the same sockets, and what waits in them
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            with inside(row.node):
                node = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            node.settimeout(5)
            for zone, rcode in ((PLAIN.name, "NOERROR"), ("elsewhere.example", "REFUSED")):
                node.sendto(dns.message.make_query(zone, "SOA").to_wire(), ASKED[version].sockaddr)
                answer, place = node.recvfrom(4096)
                assert Endpoint.of(place) == ASKED[version]
                assert dns.message.from_wire(answer).rcode().name == rcode
