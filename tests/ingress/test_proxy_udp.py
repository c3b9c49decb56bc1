"""PROXY headers over UDP, in from scripted proxies and out to scripted backends, byte for byte."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import AsyncIterator

import dns.edns
import dns.message
import dns.rcode
import msgspec
import pytest

from filters.policy import compile_policy
from filters.settings import FilterSettings, RateLimit
from proxy.settings import Backend, IngressSettings, Listener, OverloadSettings, ProxyIn, ProxyOut
from proxy.values import Endpoint, Network
from tests.ingress.test_udp import Door, query
from tests.support.backends import UdpBackend, UdpClient, answer_to
from tests.support.peers import auntil, free_port

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, ASKED = ("198.51.100.7", 4000), ("203.0.113.9", 53)
LOCALHOST = (Network.parse("127.0.0.0/8"),)

Address = tuple[str, int]


def v2(source: Address = CLIENT, destination: Address = ASKED, tlvs: bytes = b"") -> bytes:
    """The header as the specification draws it."""
    hosts = [ipaddress.ip_address(host) for host, _ in (source, destination)]
    block = b"".join(host.packed for host in hosts) + struct.pack(">HH", source[1], destination[1]) + tlvs
    family = 0x12 if hosts[0].version == 4 else 0x22
    return SIGNATURE + struct.pack(">BBH", 0x21, family, len(block)) + block


def spp(source: Address = CLIENT, destination: Address = ASKED) -> bytes:
    """Simple Proxy Protocol: IPv4 as ::ffff:a.b.c.d."""
    hosts = [ipaddress.ip_address(host) for host, _ in (source, destination)]
    packed = [bytes(10) + b"\xff\xff" + host.packed if host.version == 4 else host.packed for host in hosts]
    return b"\x56\xec" + b"".join(packed) + struct.pack(">HH", source[1], destination[1])


def open_door(
    backend: Endpoint,
    into: ProxyIn | None = None,
    out: ProxyOut | None = None,
    *,
    listen: str = "127.0.0.1",
    filters: FilterSettings | None = None,
) -> Door:
    listener = Listener(
        address=Endpoint.parse(f"{listen}:{free_port()}"), transports=("udp",), proxy_protocol=into or ProxyIn()
    )
    node = Backend(name="ns-0", address=backend, timeout=60, proxy_protocol=out or ProxyOut())
    return Door(IngressSettings(listeners=(listener,), backends=(node,)), filters or FilterSettings())


@pytest.fixture
async def client() -> AsyncIterator[UdpClient]:
    opened = await UdpClient().open()
    yield opened
    await opened.close()


@pytest.fixture
async def backend() -> AsyncIterator[UdpBackend]:
    opened = await UdpBackend().open()
    yield opened
    await opened.close()


def behind_header(data: bytes) -> list[bytes]:
    """What a backend that reads v2 answers."""
    return [answer_to(data[16 + int.from_bytes(data[14:16]) :])]


async def expect_verdicts(opened: Door, wanted: dict[tuple[str, str], int]) -> None:
    await auntil(lambda: opened.verdicts().total() == sum(wanted.values()))
    assert opened.verdicts() == wanted
    assert opened.balanced()


async def test_the_message_behind_the_header_goes_on_and_its_answer_back_to_the_proxy(
    client: UdpClient, backend: UdpBackend
) -> None:
    opened = open_door(backend.endpoint, ProxyIn(accept="v2", from_=LOCALHOST))
    try:
        for header in (v2(), v2(tlvs=b"\xe0\0\x02ab"), v2(("2001:db8::7", 1), ("2001:db8::53", 53))):
            client.send(header + query(), opened.address)
        await auntil(lambda: len(client.received) == 3)
        assert [data for data, _ in client.received] == [answer_to(query())] * 3
        assert [data[2:] for data, _ in backend.received] == [query()[2:]] * 3
        assert all(where == opened.address for _, where in client.received)
        await expect_verdicts(opened, {("forward", "ok"): 3})
    finally:
        opened.close()


async def test_what_is_not_as_the_listener_expects_is_dropped_for_its_reason(
    client: UdpClient, backend: UdpBackend
) -> None:
    opened = open_door(backend.endpoint, ProxyIn(accept="v2", from_=(Network.parse("127.0.0.1/32"),)))
    stranger = await UdpClient().open("127.0.0.2")
    try:
        stranger.send(v2() + query(), opened.address)
        stranger.send(query(), opened.address)
        client.send(query(), opened.address)
        client.send(b"\r", opened.address)
        client.send(v2()[:-1], opened.address)
        client.send(b"\x22".join([SIGNATURE, v2()[13:]]) + query(), opened.address)
        await expect_verdicts(
            opened, {("drop", "proxy-source"): 2, ("drop", "proxy-missing"): 2, ("drop", "proxy-malformed"): 2}
        )
        assert backend.received == []
    finally:
        opened.close()
        await stranger.close()


async def test_filters_see_the_client_and_not_the_proxy(client: UdpClient, backend: UdpBackend) -> None:
    limit = RateLimit(key="client-prefix", rate=1, burst=1)
    opened = open_door(
        backend.endpoint, ProxyIn(accept="v2", from_=LOCALHOST), filters=FilterSettings(rate_limits=(limit,))
    )
    try:
        for host in ("198.51.100.7", "198.51.100.7", "192.0.2.7", "224.0.0.1", "127.0.0.1"):
            client.send(v2((host, 4000)) + query(), opened.address)
        client.send(v2((CLIENT[0], 19)) + query(), opened.address)
        await expect_verdicts(
            opened,
            {
                ("forward", "ok"): 2,
                ("reply", "rate-limited"): 1,
                ("drop", "source-address"): 2,
                ("drop", "source-port"): 1,
            },
        )
    finally:
        opened.close()


async def test_replies_of_our_own_start_where_the_message_did(client: UdpClient, backend: UdpBackend) -> None:
    opened = open_door(
        backend.endpoint, ProxyIn(accept="v2", from_=LOCALHOST), filters=FilterSettings(zones=("example.com",))
    )
    try:
        client.send(v2(tlvs=b"\x04\x01\x00" + bytes(256)) + query("example.net"), opened.address)
        await auntil(lambda: len(client.received) == 1)
        answer = dns.message.from_wire(client.received[0][0])
        assert answer.rcode() == dns.rcode.REFUSED
        assert dns.message.from_wire(query("example.net")).is_response(answer)
    finally:
        opened.close()


async def test_a_proxy_that_speaks_for_itself_is_answered(client: UdpClient, backend: UdpBackend) -> None:
    backend.script = behind_header
    opened = open_door(backend.endpoint, ProxyIn(accept="v2", from_=LOCALHOST), ProxyOut(udp="v2"))
    try:
        client.send(SIGNATURE + b"\x20\x00\x00\x00" + query(), opened.address)
        await auntil(lambda: len(backend.received) == 1)
        assert backend.received[0][0].startswith(v2(client.endpoint.sockaddr, opened.address))
    finally:
        opened.close()


async def test_where_no_header_is_required_clients_may_come_themselves(client: UdpClient, backend: UdpBackend) -> None:
    opened = open_door(backend.endpoint, ProxyIn(accept="v2", from_=(Network.parse("127.0.0.1/32"),), required=False))
    stranger = await UdpClient().open("127.0.0.2")
    try:
        for sender, data in ((client, v2() + query()), (client, query()), (stranger, query())):
            sender.send(data, opened.address)
        stranger.send(v2() + query(), opened.address)
        await auntil(lambda: len(client.received) == 2 and len(stranger.received) == 1)
        await expect_verdicts(opened, {("forward", "ok"): 3, ("drop", "proxy-source"): 1})
    finally:
        opened.close()
        await stranger.close()


async def test_spp_answers_and_replies_carry_the_header_back(client: UdpClient, backend: UdpBackend) -> None:
    opened = open_door(
        backend.endpoint, ProxyIn(accept="spp", from_=LOCALHOST), filters=FilterSettings(zones=("example.com",))
    )
    try:
        six = spp(("2001:db8::7", 1), ("2001:db8::53", 53))
        for header, name in ((spp(), "www.example.com"), (six, "www.example.com"), (spp(), "example.net")):
            client.send(header + query(name), opened.address)
        client.send(query(), opened.address)
        await auntil(lambda: len(client.received) == 3)
        got = {data[:38]: data[38:] for data, _ in client.received if len(data) > 80}
        assert got == {spp(): answer_to(query()), six: answer_to(query())}
        (refused,) = [data for data, _ in client.received if len(data) <= 80]
        assert refused[:38] == spp()
        assert dns.message.from_wire(refused[38:]).rcode() == dns.rcode.REFUSED
        await expect_verdicts(opened, {("forward", "ok"): 2, ("reply", "not-served"): 1, ("drop", "proxy-missing"): 1})
    finally:
        opened.close()


async def test_spectrum_says_once_who_the_client_is(client: UdpClient, backend: UdpBackend) -> None:
    into = ProxyIn(accept="spectrum", from_=LOCALHOST, sessions=64)
    backend.script = behind_header
    opened = open_door(backend.endpoint, into, ProxyOut(udp="v2"))
    others = [await UdpClient().open() for _ in range(64)]
    try:
        client.send(query(), opened.address)
        client.send(v2(), opened.address)
        client.send(query(), opened.address)
        await auntil(lambda: len(client.received) == 1)
        assert backend.received[0][0].startswith(v2())
        for number, other in enumerate(others):
            other.send(v2((CLIENT[0], 5000 + number)) + query(), opened.address)
        await auntil(lambda: all(other.received for other in others))
        client.send(query(), opened.address)
        await expect_verdicts(
            opened, {("forward", "ok"): 65, ("drop", "proxy-missing"): 2, ("drop", "proxy-session"): 1}
        )
        await auntil(lambda: opened.memory.io()["proxy-sessions-evicted"] == 1)
    finally:
        opened.close()
        for other in others:
            await other.close()


@pytest.mark.parametrize("crc", [False, True])
async def test_a_backend_is_told_of_the_client(client: UdpClient, backend: UdpBackend, crc: bool) -> None:
    seen: list[bytes] = []
    length = 28 + 7 * crc

    def script(data: bytes) -> list[bytes]:
        seen.append(data)
        return [answer_to(data[length:])]

    backend.script = script
    opened = open_door(backend.endpoint, out=ProxyOut(udp="v2", crc=crc))
    try:
        for name in ("a.example.com", "b.example.com", "longer.example.com"):
            client.send(query(name), opened.address)
        await auntil(lambda: len(client.received) == 3)
        wanted = v2(client.endpoint.sockaddr, opened.address)
        tail = b"\x03\0\x04" * crc
        for data in seen:
            assert data[16:28] == wanted[16:]
            assert data[14:16] == struct.pack(">H", 12 + 7 * crc)
            assert data[28 : 28 + len(tail)] == tail
        assert sorted(data[length + 2 :] for data in seen) == sorted(
            query(name)[2:] for name in ("a.example.com", "b.example.com", "longer.example.com")
        )
        assert opened.memory.answers_dropped() == []
    finally:
        opened.close()


async def test_queries_of_one_length_still_leave_together(client: UdpClient, backend: UdpBackend) -> None:
    backend.script = behind_header
    opened = open_door(backend.endpoint, ProxyIn(accept="v2", from_=LOCALHOST), ProxyOut(udp="v2"))
    try:
        for number in range(32):
            client.send(v2((CLIENT[0], 1000 + number)) + query(f"h{number:02}.example.com"), opened.address)
        await auntil(lambda: len(client.received) == 32)
        assert opened.memory.io()["segmented-sends"] >= 1
        ports = sorted(int.from_bytes(data[24:26]) for data, _ in backend.received)
        assert ports == list(range(1000, 1032)), "each behind its own header"
    finally:
        opened.close()


async def test_a_client_of_another_family_than_its_listener_is_written_as_ipv6(
    client: UdpClient, backend: UdpBackend
) -> None:
    backend.script = behind_header
    opened = open_door(backend.endpoint, ProxyIn(accept="spp", from_=LOCALHOST), ProxyOut(udp="v2"))
    try:
        client.send(spp(("198.51.100.7", 4000), ("2001:db8::53", 53)) + query(), opened.address)
        await auntil(lambda: len(client.received) == 1)
        assert backend.received[0][0].startswith(v2(("::ffff:198.51.100.7", 4000), ("2001:db8::53", 53)))
    finally:
        opened.close()


async def test_a_chain_of_proxies_keeps_the_first_client(client: UdpClient, backend: UdpBackend) -> None:
    backend.script = behind_header
    opened = open_door(backend.endpoint, ProxyIn(accept="v2", from_=LOCALHOST), ProxyOut(udp="v2"))
    try:
        # With TLVs, the header that comes is longer than the one that leaves.
        for header in (v2(), v2(tlvs=b"\xe0\0\x02ab"), v2(("2001:db8::7", 1), ("2001:db8::53", 53))):
            client.send(header + query(), opened.address)
        await auntil(lambda: len(backend.received) == 3)
        heads = sorted(data[: -len(query())] for data, _ in backend.received)
        assert heads == sorted([v2(), v2(), v2(("2001:db8::7", 1), ("2001:db8::53", 53))])
    finally:
        opened.close()


async def test_an_spp_backend_must_answer_with_the_header(client: UdpClient, backend: UdpBackend) -> None:
    backend.script = lambda data: [
        answer_to(data[38:]),
        spp() + answer_to(data[38:]),
        data[:38] + answer_to(data[38:]),
    ]
    opened = open_door(backend.endpoint, out=ProxyOut(udp="spp"))
    try:
        client.send(query(), opened.address)
        await auntil(lambda: len(client.received) == 1)
        assert client.received[0][0] == answer_to(query())
        assert backend.received[0][0][:38] == spp(client.endpoint.sockaddr, opened.address)
        assert opened.dropped_answers() == {"answer-wrong-header": 2}
    finally:
        opened.close()


async def test_spp_on_both_sides_is_one_header(client: UdpClient, backend: UdpBackend) -> None:
    backend.script = lambda data: [data[:38] + answer_to(data[38:])]
    opened = open_door(backend.endpoint, ProxyIn(accept="spp", from_=LOCALHOST), ProxyOut(udp="spp"))
    try:
        client.send(spp() + query(), opened.address)
        await auntil(lambda: len(client.received) == 1)
        assert client.received[0][0] == spp() + answer_to(query())
        assert backend.received[0][0][:38] == spp()
    finally:
        opened.close()


async def test_a_query_that_the_header_makes_too_long_is_shed(client: UdpClient, backend: UdpBackend) -> None:
    backend.script = behind_header
    opened = open_door(backend.endpoint, out=ProxyOut(udp="v2"))
    try:
        for size in (1444, 1445):
            padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(size - len(query()) - 4))
            wire = dns.message.make_query("www.example.com", "A", use_edns=0, options=[padding]).to_wire(max_size=2000)
            assert len(wire) == size
            client.send(wire, opened.address)
        await expect_verdicts(opened, {("forward", "ok"): 1, ("shed", "proxy-no-room"): 1})
    finally:
        opened.close()


async def test_a_reload_changes_what_is_expected_and_keeps_what_waits(client: UdpClient, backend: UdpBackend) -> None:
    held: list[bytes] = []

    def hold(data: bytes) -> list[bytes]:
        held.append(data)
        return []

    backend.script = hold
    opened = open_door(backend.endpoint, ProxyIn(accept="spp", from_=LOCALHOST))
    try:
        client.send(spp() + query(), opened.address)
        await auntil(lambda: len(held) == 1)
        settings = opened.settings
        listener = msgspec.structs.replace(settings.listeners[0], proxy_protocol=ProxyIn())
        settings = msgspec.structs.replace(settings, listeners=(listener,))
        opened.ingress.reload(settings, opened.slots, compile_policy(FilterSettings()))
        client.send(query(), opened.address)
        await auntil(lambda: len(held) == 2)
        for data, (_, where) in zip(held, backend.received, strict=True):
            backend.send(answer_to(data), where)
        await auntil(lambda: len(client.received) == 2)
        assert {data for data, _ in client.received} == {spp() + answer_to(query()), answer_to(query())}
    finally:
        opened.close()


async def test_under_pressure_the_class_is_that_of_the_client_behind_the_proxy(client: UdpClient) -> None:
    silent = await UdpBackend(lambda _: []).open()
    opened = open_door(silent.endpoint, ProxyIn(accept="v2", from_=LOCALHOST))
    # 64 places, of which 32 are for clients that nobody knows.
    bounds = OverloadSettings(window_max=64, target=0.5, verified=(Network.parse("198.51.100.0/24"),))
    settings = msgspec.structs.replace(opened.settings, overload=bounds)
    opened.ingress.reload(settings, opened.slots, compile_policy(FilterSettings()))
    stranger, resolver = v2(("203.0.113.7", 4000)), v2(("198.51.100.7", 4000))
    try:
        for _ in range(40):
            client.send(stranger + query(), opened.address)
        for _ in range(10):
            client.send(resolver + query(), opened.address)
        await expect_verdicts(opened, {("forward", "ok"): 42, ("shed", "overload-new"): 8})
    finally:
        opened.close()
        await silent.close()
