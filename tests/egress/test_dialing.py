"""How tunnels leave the machine: source, interface, mark, fast open and keep-alive, in network namespaces."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import pytest

from bench.namespaces import WORLD, World
from proxy.egress import connecting, lookups
from proxy.egress.connecting import Place, connect_tcp
from proxy.egress.dial_options import DialOptions
from proxy.egress.lookups import look_up
from proxy.egress.tunnels import make_tunnel
from proxy.egress.udp_path import UdpPath
from proxy.errors import SetupError, TunnelError
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Tunnel
from proxy.values import Address, Endpoint, Secret
from tests.egress.ring import LOOPBACK, exit_settings, far_end, fresh_endpoint, fresh_key, running, ss_url
from tests.egress.scripted_primary import ScriptedPrimary
from tests.egress.test_socks5_tunnel import Catcher
from tests.support.namespaces import inside, ip, two_namespaces
from tests.support.peers import auntil

SECOND = ip_address("10.66.0.9")


@pytest.fixture
def world() -> Iterator[World]:
    with two_namespaces() as made:
        ip(f"address add {SECOND}/24 dev edge")
        yield made


class Far:
    """A TCP and a UDP socket in the world, and who came to them."""

    def __init__(self, world: World) -> None:
        with inside(world):
            self.tcp = socket.create_server((str(WORLD), 0))
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(self.tcp.getsockname())
        self.port: int = self.tcp.getsockname()[1]
        self.udp.setblocking(False)
        self.sources: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sources.append(writer.get_extra_info("peername")[0])
        writer.close()


@asynccontextmanager
async def far_side(world: World) -> AsyncIterator[Far]:
    far = Far(world)
    server = await asyncio.start_server(far.serve, sock=far.tcp)
    try:
        yield far
    finally:
        server.close()
        far.udp.close()


async def reaches(far: Far, options: DialOptions) -> str:
    """The source that the far side sees, over TCP and UDP alike."""
    transport, _ = await connect_tcp(str(WORLD), far.port, Catcher, 2.0, options=options)
    await auntil(lambda: far.sources)
    transport.abort()
    path = await UdpPath.open(str(WORLD), far.port, options)
    await path.send(b"x")
    seen = []

    def came() -> bool:
        try:
            seen.append(far.udp.recvfrom(16)[1][0])
        except BlockingIOError:
            return False
        return True

    await auntil(came)
    path.close()
    assert seen == far.sources[-1:]
    return far.sources[-1]


async def test_the_source_address_is_the_one_chosen(world: World) -> None:
    async with far_side(world) as far:
        assert await reaches(far, DialOptions(source=(SECOND,))) == str(SECOND)
        with pytest.raises(SetupError, match="give this machine the address") as raised:
            await connect_tcp(str(WORLD), far.port, Catcher, 2.0, options=DialOptions(source=(ip_address("10.9.9.9"),)))
        assert raised.value.reason == "no-source"
        with pytest.raises(SetupError, match="family"):
            await UdpPath.open(str(WORLD), far.port, DialOptions(source=(ip_address("2001:db8::1"),)))


async def test_the_mark_decides_the_route(world: World) -> None:
    """Only what is marked finds the way."""
    ip("route del 10.66.0.0/24 dev edge src 10.66.0.1")
    ip("route add 10.66.0.0/24 dev edge table 66")
    ip("rule add fwmark 7 table 66")
    async with far_side(world) as far:
        assert await reaches(far, DialOptions(fwmark=7)) == "10.66.0.1"
        for options in (DialOptions(), DialOptions(fwmark=8)):
            with pytest.raises(TunnelError) as raised:
                await connect_tcp(str(WORLD), far.port, Catcher, 2.0, options=options)
            assert raised.value.reason == "unreachable"


async def test_the_interface_decides_where_it_leaves(world: World) -> None:
    async with far_side(world) as far:
        assert await reaches(far, DialOptions(interface="edge")) == "10.66.0.1"
        with pytest.raises(TunnelError) as raised:
            await connect_tcp(str(WORLD), far.port, Catcher, 0.2, options=DialOptions(interface="lo"))
        assert raised.value.reason in {"connect-timeout", "unreachable"}
        with pytest.raises(SetupError, match="interface gone0") as missing:
            await UdpPath.open(str(WORLD), far.port, DialOptions(interface="gone0"))
        assert missing.value.reason == "no-interface"


async def test_a_missing_capability_is_named(world: World) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(SetupError, match="CAP_NET_ADMIN") as raised:
            await connect_tcp(str(WORLD), 53, Catcher, 2.0, options=DialOptions(fwmark=7))
    finally:
        os.seteuid(0)
    assert raised.value.reason == "permission"


def active_fast_opens() -> int:
    """Connections that were opened with data in the SYN, and acknowledged so, in this namespace."""
    names, numbers = (line.split() for line in Path("/proc/thread-self/net/netstat").read_text().splitlines()[:2])
    return int(dict(zip(names, numbers, strict=True))["TCPFastOpenActive"])


def holds(user: Catcher, wanted: bytes) -> bool:
    return len(user.got) >= len(wanted)


@pytest.fixture
def fast_open(world: World) -> None:
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3")


@pytest.mark.usefixtures("fast_open")
@pytest.mark.parametrize("size", [100, 60_000])
async def test_the_first_query_rides_in_the_syn(size: int) -> None:
    """From the second connection on: the first one fetches the cookie. What the SYN has no room for comes behind it."""
    method, query = "2022-blake3-aes-128-gcm", os.urandom(size)
    key = fresh_key(method)
    async with ScriptedPrimary(lambda query: [query]) as primary:
        exit_ = exit_settings(method, key, [primary.endpoint])
        async with running(EgressSettings(exit=exit_)):
            way = make_tunnel(Tunnel(name="fast", url=Secret(ss_url(method, key, exit_.listen)), fast_open=True))
            seen = []
            for _ in range(3):
                user = Catcher()
                stream = await way.open_stream(primary.endpoint, user, frame(query))
                await auntil(partial(holds, user, frame(query)))
                assert user.got == frame(query)
                stream.abort()
                seen.append(active_fast_opens())
            assert seen == [0, 1, 2]


async def test_keep_alive_is_that_of_the_settings() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with far_end(serve) as place:
        options = DialOptions(keepalive=30)
        transport, _ = await connect_tcp(*place.sockaddr, Catcher, 2.0, options=options)
        sock = transport.get_extra_info("socket")
        values = [
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        ]
        assert (sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *values) == (1, 30, 10, 3, 60_000)
        transport.abort()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *places: Endpoint) -> None:
    async def find(*_: object) -> list[Place]:
        return [(socket.AF_INET, place.sockaddr) for place in places]

    monkeypatch.setattr(connecting, "find_places", find)


@pytest.mark.parametrize("silent", [False, True])
async def test_a_host_with_several_addresses_is_reached_at_the_one_that_answers(
    world: World, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """The first address refuses, or nothing answers there at all."""
    async with far_side(world) as far:
        bad = Endpoint(ip_address("10.66.0.77") if silent else WORLD, 9)
        resolve_to(monkeypatch, bad, Endpoint(WORLD, far.port))
        transport, _ = await connect_tcp("far.example", 853, Catcher, 5.0)
        assert transport.get_extra_info("peername")[:2] == (str(WORLD), far.port)
        transport.abort()


async def test_when_all_addresses_fail_the_last_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, fresh_endpoint(), fresh_endpoint())
    with pytest.raises(TunnelError, match="refused") as raised:
        await connect_tcp("far.example", 853, Catcher, 5.0)
    assert raised.value.reason == "refused"


async def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(TunnelError, match="looked up") as raised:
        await connect_tcp("no-such-host.invalid", 853, Catcher, 10.0)
    assert raised.value.reason == "unresolved"
    with pytest.raises(TunnelError) as also:
        await UdpPath.open("no-such-host.invalid", 853)
    assert also.value.reason == "unresolved"


async def test_the_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await connecting.find_places("127.0.0.1", 53, socket.SOCK_STREAM, DialOptions())
    assert found == [(socket.AF_INET, ("127.0.0.1", 53))]
    v4, v6 = [("192.0.2.1", 1), ("192.0.2.2", 1)], [("2001:db8::1", 1, 0, 0), ("2001:db8::2", 1, 0, 0)]

    class Names:
        async def getaddrinfo(self, *_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET6, 1, 6, "", a) for a in v6] + [(socket.AF_INET, 1, 6, "", a) for a in v4]

    monkeypatch.setattr(asyncio, "get_running_loop", Names)
    places = await connecting.find_places("far.example", 1, socket.SOCK_STREAM, DialOptions())
    assert [address for _, address in places] == [v6[0], v4[0], v6[1], v4[1]]
    only = await connecting.find_places("far.example", 1, socket.SOCK_STREAM, DialOptions(source=(LOOPBACK,)))
    assert [address for _, address in only] == v4
    assert Address.parse("2001:db8::1").ip == ip_address("2001:db8::1")


async def test_a_resolver_that_does_not_answer_is_asked_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives up leaves no second question behind; whoever still waits gets the answer."""
    asked, answer = list[str](), asyncio.get_running_loop().create_future()

    async def ask(host: str, port: int, kind: int) -> lookups.Found:
        asked.append(host)
        await answer
        return [(socket.AF_INET, kind, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(lookups, "_ask", ask)
    waiting = [asyncio.create_task(look_up("slow.example", 1, socket.SOCK_STREAM)) for _ in range(5)]
    other = asyncio.create_task(look_up("other.example", 1, socket.SOCK_STREAM))
    await auntil(lambda: len(asked) == 2)
    for each in waiting[1:]:
        each.cancel()
    answer.set_result(None)
    assert (await waiting[0])[0][4] == (await other)[0][4] == ("192.0.2.1", 1)
    assert asked == ["slow.example", "other.example"]
    await look_up("slow.example", 1, socket.SOCK_STREAM)
    assert asked[2:] == ["slow.example"]


class Unwilling(asyncio.Protocol):
    """Closes at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


async def test_a_connection_that_its_protocol_closes_at_once_takes_no_descriptor_of_others() -> None:
    """The socket object would close its number a second time, when another socket has it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with far_end(serve) as place:
        for _ in range(20):
            await connect_tcp(*place.sockaddr, Unwilling, 2.0)
            other = socket.socket()
            gc.collect()
            assert other.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
            other.close()
