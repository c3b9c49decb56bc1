"""Transparent doors in one process, with the shipped rules; node and primary have network namespaces of their own."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.egress.original import IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR, original_destination
from proxy.egress.service import EgressService
from proxy.egress.sockets import open_egress_socket, open_egress_sockets
from proxy.egress.status import ForwarderStatus
from proxy.ingress.sockets import close_all, open_listener_sockets
from proxy.protocol.dns_frames import frame
from proxy.settings import Backend, EgressSettings, IngressSettings, Listener, Primary, PrimaryTls, TransparentDoor
from proxy.values import Endpoint, Network
from tests.egress.ring import Events, is_closed, read_message, tunnel
from tests.egress.scripted_primary import ScriptedPrimary, axfr_answer, soa_answer
from tests.support.namespaces import inside
from tests.support.peers import auntil, until
from tests.support.routed import NODE, PRIMARY, Row, counters, in_the_way, run

SCRIPT = Path(__file__).parents[2] / "deploy" / "nftables" / "transparent.sh"
SOA = dns.message.make_query("example.com", "SOA").to_wire()
AXFR = dns.message.make_query("example.com", "AXFR").to_wire()
NODES = (Network.parse("192.0.2.0/24"), Network.parse("2001:db8:1::/64"))
ASKED = {version: Endpoint(address, 53) for version, address in PRIMARY.items()}
DOOR = TransparentDoor(listen=Endpoint.parse("[::]:5399"), allow=NODES)
ETH_P_IP, IP_MTU, ACK = 0x0800, 14, 0x10  # linux/if_ether.h, linux/in.h, a flag of TCP
DIRECT = tunnel("direct", "direct://")


def made(*doors: TransparentDoor, primaries: tuple[Primary, ...] | None = None) -> EgressSettings:
    both = tuple(Primary(name=f"ip{v}", address=place, tunnels=("direct",)) for v, place in ASKED.items())
    return EgressSettings(tunnels=(DIRECT,), primaries=primaries or both, transparent_doors=doors)


@pytest.fixture
def row() -> Iterator[Row]:
    with in_the_way() as namespaces:
        run(SCRIPT, "up")
        yield namespaces


@asynccontextmanager
async def primary_at(row: Row, place: Endpoint) -> AsyncIterator[ScriptedPrimary]:
    primary = ScriptedPrimary(lambda query: axfr_answer(query) if query == AXFR else soa_answer(query), place=place)
    with inside(row.primary):
        await primary.__aenter__()
    try:
        yield primary
    finally:
        await primary.__aexit__()


@asynccontextmanager
async def serving(settings: EgressSettings, events: Events | None = None) -> AsyncIterator[EgressService]:
    service = EgressService(settings=settings, sockets=open_egress_sockets(settings), emit=events or Events())
    await service.start()
    try:
        yield service
    finally:
        await service.drain(0)


@asynccontextmanager
async def node_connection(
    row: Row, place: Endpoint
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with inside(row.node):
        sock = socket.create_connection(place.sockaddr, 5)
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@contextmanager
def node_socket(row: Row, version: int) -> Iterator[socket.socket]:
    with inside(row.node):
        sock = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    with sock:
        yield sock


async def ask(sock: socket.socket, place: Endpoint, query: bytes = SOA) -> tuple[bytes, Endpoint]:
    """The answer, and where it came from."""
    sock.sendto(query, place.sockaddr)
    answer, source = await asyncio.to_thread(sock.recvfrom, 65_535)
    return answer, Endpoint.of(source)


def rows(service: EgressService) -> dict[tuple[str, str], ForwarderStatus]:
    return {(each.listen, each.primary): each for each in service.status().forwarders}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("wildcard", ["[::]", "family"])
async def test_both_transports_of_both_families(row: Row, version: int, wildcard: str) -> None:
    """By one door for both families, and by one for each."""
    any_ = {4: "0.0.0.0", 6: "[::]"}[version] if wildcard == "family" else wildcard  # noqa: S104 - in a namespace
    listen = Endpoint.parse(f"{any_}:5399")
    place = ASKED[version]
    async with primary_at(row, place) as primary, serving(made(TransparentDoor(listen=listen, allow=NODES))) as service:
        with node_socket(row, version) as node:
            assert await ask(node, place) == (soa_answer(SOA)[0], place)
            assert await ask(node, place, AXFR) != (AXFR, place)
        async with node_connection(row, place) as (reader, writer):
            writer.write(frame(AXFR))
            answers = [await read_message(reader) for _ in axfr_answer(AXFR)]
            assert answers == axfr_answer(AXFR)
        status = rows(service)[str(listen), f"ip{version}"]
        assert (status.queries_udp, status.queries_tcp, status.refused) == (1, 1, {"axfr-over-udp": 1})
        assert (len(primary.asked_udp), len(primary.asked_tcp)) == (1, 1)
        assert counters()["stopped"] == 0


async def test_a_listener_on_the_same_port_of_all_addresses_is_not_in_the_way(row: Row) -> None:
    """Each gets its own: clients the listener, nodes the door."""
    address = Endpoint.parse("0.0.0.0:53")
    backend = Backend(name="node", address=Endpoint.parse("127.0.0.1:5353"))
    way_in = IngressSettings(listeners=(Listener(address=address),), backends=(backend,))
    (listeners,) = open_listener_sockets(way_in, 1)
    try:
        async with primary_at(row, ASKED[4]), serving(made(DOOR)):
            with node_socket(row, 4) as node:
                assert await ask(node, ASKED[4]) == (soa_answer(SOA)[0], ASKED[4])
                (udp,) = (each.socket for each in listeners if each.transport == "udp")
                with pytest.raises(BlockingIOError):
                    udp.recv(100)
                node.sendto(b"of a client", ("192.0.2.1", 53))
                await auntil(lambda: readable(udp))
                assert udp.recv(100) == b"of a client"
    finally:
        close_all([listeners])


def readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def test_another_program_on_the_same_port_is_named(row: Row) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 53))
        with pytest.raises(OSError, match=r"^.*answers of a transparent door from 203.0.113.5:53/udp: .*in use$"):
            open_egress_sockets(made(DOOR))


@pytest.mark.parametrize("version", [4, 6])
async def test_a_machine_that_forwards_nothing_serves_too(row: Row, version: int) -> None:
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        run("sh", "-c", f"echo 0 > /proc/sys/net/{name}")
    place = ASKED[version]
    async with primary_at(row, place), serving(made(DOOR)):
        with node_socket(row, version) as node:
            assert await ask(node, place) == (soa_answer(SOA)[0], place)
        async with node_connection(row, place) as (reader, writer):
            writer.write(frame(SOA))
            assert await read_message(reader) == soa_answer(SOA)[0]


@pytest.mark.parametrize("strict", ["0", "1"])
async def test_marks_may_count_on_the_way_back(row: Row, strict: str) -> None:
    """As they do after wg-quick has been run; with and without the strict check of RFC 3704 §2.2."""
    for name, value in (("src_valid_mark", "1"), ("rp_filter", strict)):
        run("sh", "-c", f"for file in /proc/sys/net/ipv4/conf/*/{name}; do echo {value} > $file; done")
    async with primary_at(row, ASKED[4]), serving(made(DOOR)):
        with node_socket(row, 4) as node:
            assert await ask(node, ASKED[4]) == (soa_answer(SOA)[0], ASKED[4])
        async with node_connection(row, ASKED[4]) as (reader, writer):
            writer.write(frame(SOA))
            assert await read_message(reader) == soa_answer(SOA)[0]


def test_the_script_may_be_run_again_and_leaves_nothing(row: Row) -> None:
    rules = [run("ip", family, "rule", "show") for family in ("-4", "-6")]
    run(SCRIPT, "up")
    assert [run("ip", family, "rule", "show") for family in ("-4", "-6")] == rules
    assert all(text.count("0x5399") == 2 for text in rules)
    run(SCRIPT, "down")
    run(SCRIPT, "down")
    assert "zonegate" not in run("nft", "list", "ruleset")
    for family in ("-4", "-6"):
        assert "0x5399" not in run("ip", family, "rule", "show")
        assert "5399" not in run("ip", family, "route", "show", "table", "all")


async def test_what_is_sent_to_the_door_itself_is_refused(row: Row) -> None:
    events = Events()
    async with serving(made(DOOR), events) as service:
        place = Endpoint.parse("192.0.2.1:5399")
        with node_socket(row, 4) as node:
            node.sendto(SOA, place.sockaddr)
            async with node_connection(row, place) as (reader, _):
                assert await is_closed(reader)
        await auntil(lambda: rows(service)["[::]:5399", "-"].refused == {"destination": 2})
        (told,) = events.named("transparent.refused")
        assert (told["destination"], told["node"]) == (str(place), str(NODE[4]))


async def test_who_is_no_node_is_refused(row: Row) -> None:
    other = TransparentDoor(listen=DOOR.listen, allow=(Network.parse("192.0.2.200/32"),))
    async with primary_at(row, ASKED[4]) as primary, serving(made(other)) as service:
        with node_socket(row, 4) as node:
            node.sendto(SOA, ASKED[4].sockaddr)
            async with node_connection(row, ASKED[4]) as (reader, _):
                assert await is_closed(reader)
        await auntil(lambda: rows(service)["[::]:5399", "ip4"].refused == {"address": 2})
        assert primary.accepted == 0
        assert primary.asked_udp == []


async def test_a_primary_with_tls_is_found_at_the_port_that_nodes_ask(row: Row) -> None:
    """Nobody listens on its other port here: the failure of its way is what shows that the query was taken."""
    address = Endpoint(PRIMARY[4], 853)
    one = Primary(name="tls", address=address, tunnels=("direct",), tls=PrimaryTls(server_name="ns.example"))
    async with serving(made(DOOR, primaries=(one,))) as service:
        with node_socket(row, 4) as node:
            answer, place = await ask(node, ASKED[4])
        assert (dns.message.from_wire(answer).rcode(), place) == (dns.rcode.SERVFAIL, ASKED[4])
        assert rows(service)["[::]:5399", "tls"].queries_udp == 1


async def test_doors_share_the_address_that_answers_leave_from(row: Row) -> None:
    """And it stays as long as one of them is there."""
    second = TransparentDoor(listen=Endpoint.parse("[::]:5400"), allow=NODES)
    both = made(DOOR, second)
    async with primary_at(row, ASKED[4]), serving(both) as service:
        used = {each.key: each.socket for each in service.sockets}
        assert [key for key in used if key[0] == "source"] == [("source", place, "udp") for place in ASKED.values()]
        source = used["source", ASKED[4], "udp"]
        with node_socket(row, 4) as node:
            assert await ask(node, ASKED[4]) == (soa_answer(SOA)[0], ASKED[4])
            only = made(DOOR)
            keep = [each for each in service.sockets if each.endpoint != second.listen]
            await service.reload(only, keep)
            assert await ask(node, ASKED[4]) == (soa_answer(SOA)[0], ASKED[4])
            assert [status.listen for status in service.status().forwarders] == ["[::]:5399"] * 3
            await service.reload(made(), [])
            assert source.fileno() < 0
            stopped = counters()["stopped"]
            node.sendto(SOA, ASKED[4].sockaddr)
            await auntil(lambda: counters()["stopped"] > stopped)


async def test_a_transfer_that_runs_outlives_the_door(row: Row) -> None:
    async with primary_at(row, ASKED[4]) as primary, serving(made(DOOR)) as service:
        primary.act = lambda query, transport: None
        async with node_connection(row, ASKED[4]) as (reader, writer):
            writer.write(frame(AXFR))
            await auntil(lambda: primary.asked_tcp)
            await service.reload(made(), [])
            (asked,) = primary.connections
            asked.write(b"".join(map(frame, axfr_answer(AXFR))))
            assert [await read_message(reader) for _ in axfr_answer(AXFR)] == axfr_answer(AXFR)
            assert await is_closed(reader)


async def test_another_primary_at_the_same_address_has_numbers_of_its_own(row: Row) -> None:
    async with primary_at(row, ASKED[4]), serving(made(DOOR)) as service:
        with node_socket(row, 4) as node:
            await ask(node, ASKED[4])
            renamed = Primary(name="renamed", address=ASKED[4], tunnels=("direct",))
            settings = made(DOOR, primaries=(renamed,))
            keep = [each for each in service.sockets if each.endpoint != ASKED[6]]
            await service.reload(settings, keep)
            assert await ask(node, ASKED[4]) == (soa_answer(SOA)[0], ASKED[4])
        assert {key: status.queries_udp for key, status in rows(service).items()} == {
            ("[::]:5399", "-"): 0,
            ("[::]:5399", "renamed"): 1,
        }


def test_a_narrower_path_is_learned_from_errors_to_the_primarys_address(row: Row) -> None:
    """ICMP "fragmentation needed" (RFC 1191 §4) about an answer goes to the answer's source: to our socket, that is."""
    with ExitStack() as stack:
        door = stack.enter_context(open_egress_socket("transparent", DOOR.listen, "tcp").socket)
        with inside(row.node):
            seen = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)))
            icmp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
            node = stack.enter_context(socket.create_connection(ASKED[4].sockaddr, 5))
        door.setblocking(True)
        ours = stack.enter_context(door.accept()[0])
        assert ours.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1500
        node.sendall(b"what the kernel acknowledges")
        assert ours.recv(100)
        seen.settimeout(5)
        # The acknowledgement is the last packet of ours so far, so its sequence number is the one in force.
        while (packet := seen.recv(1500))[12:16] != PRIMARY[4].packed or packet[33] != ACK:
            continue
        error = struct.pack("!BBHHH", 3, 4, 0, 0, 1000) + packet[:28]
        icmp.sendto(error[:2] + checksum(error) + error[4:], (str(PRIMARY[4]), 0))
        until(lambda: ours.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1000)
        assert counters()["errors"] == 1


def checksum(data: bytes) -> bytes:
    """Of RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([socket.IPPROTO_IP, socket.IPPROTO_IPV6, 255]),
            st.sampled_from([IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR, 8]),
            st.binary(max_size=40),
        )
    )
)
def test_no_note_is_an_error(notes: list[tuple[int, int, bytes]]) -> None:
    found = original_destination(notes)
    assert found is None or 0 <= found.port <= 65_535


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_a_note_gives_the_address_back(address: object, port: int) -> None:
    place = Endpoint(ip_address(str(address)), port)
    tail = port.to_bytes(2) + (bytes(4) if place.address.version == 6 else b"") + place.address.packed + bytes(8)
    level = socket.IPPROTO_IPV6 if place.address.version == 6 else socket.IPPROTO_IP
    kind = IPV6_RECVORIGDSTADDR if place.address.version == 6 else IP_RECVORIGDSTADDR
    assert original_destination([(level, kind, bytes(2) + tail)]) == place
