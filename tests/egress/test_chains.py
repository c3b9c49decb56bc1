"""Tunnels through tunnels: Shadowsocks and SOCKS5 over each other, TCP and UDP, with real servers in the middle."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from proxy.egress.counters import TunnelCounters
from proxy.egress.service import EgressService
from proxy.egress.tunnel import Datagrams, Tunnel
from proxy.egress.tunnels import make_tunnel, make_tunnels
from proxy.errors import ProtocolError, ProxyError, SetupError, TunnelError
from proxy.protocol.dns_frames import frame
from proxy.protocol.editions import salt_store, server_stream
from proxy.protocol.methods import find_method
from proxy.protocol.shadowsocks import Opened
from proxy.settings import EgressSettings
from proxy.settings import Tunnel as TunnelSettings
from proxy.values import Endpoint, Secret
from tests.egress.ring import (
    ask_tcp,
    ask_udp,
    exit_settings,
    exit_status,
    far_end,
    forwarder_settings,
    fresh_endpoint,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.egress.test_socks5_tunnel import Catcher
from tests.support import tunnels
from tests.support.peers import auntil
from tests.support.socks_servers import microsocks

SOA = dns.message.make_query("example.com", "SOA").to_wire()
METHOD = "2022-blake3-aes-256-gcm"


def behind(name: str, url: str, through: str, **more: object) -> TunnelSettings:
    return TunnelSettings(name=name, url=Secret(url), through=through, **more)  # type: ignore[arg-type]  # by name


async def our_exit(stack: AsyncExitStack, target: Endpoint, method: str = METHOD) -> tuple[EgressService, str]:
    """An exit of ours that opens `target`, and the URL of a tunnel to it."""
    key = fresh_key(method)
    settings = exit_settings(method, key, [target])
    service = await stack.enter_async_context(running(EgressSettings(exit=settings)))
    return service, ss_url(method, key, settings.listen)


def place_of(url: str) -> Endpoint:
    return Endpoint.parse(url.rpartition("@")[2].rpartition("//")[2])


async def dante(stack: AsyncExitStack, folder: Path) -> str:
    place = fresh_endpoint()
    child = tunnels.listening(tunnels.dante(folder, place), place)
    await asyncio.to_thread(child.__enter__)
    stack.push(child)
    return f"socks5://{place}"


async def exchange(ways: list[TunnelSettings], primary: ScriptedPrimary) -> None:
    """SOA over TCP and UDP through the last of these tunnels; nothing failed, and the others carried it."""
    settings = forwarder_settings([ways[-1]], primary.endpoint)
    settings = EgressSettings(tunnels=tuple(ways), primaries=settings.primaries, forwarders=settings.forwarders)
    async with running(settings) as near:
        listen = settings.forwarders[0].listen
        assert await ask_tcp(listen, SOA, SOA) == soa_answer(SOA) * 2
        for _ in range(2):
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
        for status in near.status().tunnels:
            assert status.failures == {}, status
            assert status.streams_total >= 1
            assert status.datagrams_in == status.datagrams_out == 2


@pytest.mark.parametrize(("below", "above"), [(METHOD, METHOD), ("aes-128-gcm", METHOD), (METHOD, "aes-256-gcm")])
async def test_shadowsocks_over_shadowsocks(below: str, above: str) -> None:
    async with AsyncExitStack() as stack, ScriptedPrimary() as primary:
        last, far = await our_exit(stack, primary.endpoint, above)
        first, near = await our_exit(stack, place_of(far), below)
        await exchange([tunnel("near", near), behind("far", far, "near")], primary)
        for service in (first, last):
            assert exit_status(service).streams_total >= 1
            assert exit_status(service).datagrams_in == 2
            assert exit_status(service).rejects == {}


async def test_three_deep_and_in_any_order_of_the_file() -> None:
    async with AsyncExitStack() as stack, ScriptedPrimary() as primary:
        _, third = await our_exit(stack, primary.endpoint)
        _, second = await our_exit(stack, place_of(third))
        _, first = await our_exit(stack, place_of(second))
        await exchange([behind("b", second, "a"), tunnel("a", first), behind("c", third, "b")], primary)


async def test_shadowsocks_over_socks5(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, ScriptedPrimary() as primary:
        _, far = await our_exit(stack, primary.endpoint)
        near = await dante(stack, tmp_path)
        settings = [tunnel("near", near), behind("far", far, "near")]
        await exchange(settings, primary)


async def test_socks5_over_socks5_over_their_server(tmp_path: Path) -> None:
    """UDP ASSOCIATE behind a tunnel: the control connection is a stream of it, the datagrams take its datagram path."""
    key, place = fresh_key(METHOD), fresh_endpoint()
    async with AsyncExitStack() as stack, ScriptedPrimary() as primary:
        child = tunnels.listening(tunnels.rust_server(tmp_path, place, METHOD, key), place)
        await asyncio.to_thread(child.__enter__)
        stack.push(child)
        one, two = await dante(stack, tmp_path), await dante(stack, tmp_path)
        ways = [tunnel("rust", ss_url(METHOD, key, place)), behind("one", one, "rust"), behind("two", two, "one")]
        await exchange(ways, primary)


class Recorder:
    """A tunnel below that keeps what it is asked to send first, and never answers."""

    carries_udp = False

    def __init__(self) -> None:
        self.counters = TunnelCounters("below")
        self.opened: list[tuple[Endpoint, bytes]] = []
        self.error: ProxyError | None = None

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        if self.error is not None:
            raise self.error
        self.opened.append((target, first))
        transport = Nowhere()
        protocol.connection_made(transport)
        return transport

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        raise TunnelError("no", "no-udp")


class Nowhere(asyncio.Transport):
    """Takes nothing: whatever is written would be another write of the tunnel below."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def abort(self) -> None:
        """Nothing is open."""


async def test_the_first_payload_rides_in_the_innermost_header() -> None:
    """What goes to the tunnel below at its opening holds the whole header and the query."""
    key, below = fresh_key(METHOD), Recorder()
    far, target = fresh_endpoint(), Endpoint.parse("192.0.2.7:53")
    way: Tunnel = make_tunnel(behind("far", ss_url(METHOD, key, far), "below"), below=below)
    await way.open_stream(target, Catcher(), frame(SOA))
    ((place, first),) = below.opened
    assert place == far
    method = find_method(METHOD)
    codec = server_stream(method, method.key_from_text(key), salt_store(method))
    assert codec.feed(first, time.time()) == [Opened(target), frame(SOA)]


async def test_the_hello_of_socks5_rides_in_the_header_below() -> None:
    below = Recorder()
    way = make_tunnel(behind("far", "socks5://192.0.2.1:1080", "below", connect_timeout=0.01), below=below)
    with pytest.raises(TunnelError, match="did not answer"):
        await way.open_stream(Endpoint.parse("192.0.2.7:53"), Catcher())
    assert below.opened == [(Endpoint.parse("192.0.2.1:1080"), b"\5\1\0")]
    assert not way.carries_udp  # because the one below does not


@pytest.mark.parametrize(
    ("error", "kind", "reason", "words"),
    [
        (TunnelError("192.0.2.9 port 1080 refused the connection", "refused"), TunnelError, "refused", "192.0.2.9"),
        (SetupError("its rules", "not-allowed"), SetupError, "not-allowed", "its rules"),
        (ProtocolError("no SOCKS5 server"), TunnelError, "malformed", "no SOCKS5"),
    ],
)
async def test_a_failure_names_the_hop(error: ProxyError, kind: type[ProxyError], reason: str, words: str) -> None:
    below = Recorder()
    below.error = error
    way = make_tunnel(behind("far", "socks5://192.0.2.1:1080", "below"), below=below)
    with pytest.raises(kind, match=f"hop below: .*{words}") as raised:
        await way.open_stream(Endpoint.parse("192.0.2.7:53"), Catcher())
    assert raised.value.reason == reason
    assert below.counters.failures == {error.reason: 1}


async def test_a_far_end_that_the_hop_can_not_reach_is_no_fault_of_the_primary(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        near = make_tunnel(tunnel("near", await dante(stack, tmp_path)))
        way = make_tunnel(behind("far", f"socks5://{fresh_endpoint()}", "near"), below=near)
        with pytest.raises(TunnelError, match=r"hop near: .*the far end refused") as raised:
            await way.open_stream(Endpoint.parse("192.0.2.7:53"), Catcher())
        assert raised.value.reason == "refused"


async def test_a_hop_that_dies_under_an_open_stream_is_named(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, ScriptedPrimary() as primary:
        _, far = await our_exit(stack, primary.endpoint)
        inner = AsyncExitStack()
        async with inner:
            _, near = await our_exit(inner, place_of(far))
            below = make_tunnel(tunnel("near", near))
            way, user = make_tunnel(behind("far", far, "near"), below=below), Catcher()
            await way.open_stream(primary.endpoint, user, frame(SOA))
            await auntil(lambda: user.got)
        await auntil(lambda: user.lost)
        assert user.lost == [None] or str(user.lost[0]).startswith("hop near: ")
        assert below.counters.streams_open == way.counters.streams_open == 0


def test_ways_that_lead_nowhere_or_round() -> None:
    def counters(name: str) -> TunnelCounters:
        return TunnelCounters(name)

    one = tunnel("one", "socks5://192.0.2.1:1080")
    two = behind("two", "socks5://192.0.2.2:1080", "one")
    before = make_tunnels([one, two], {}, counters)
    with pytest.raises(ValueError, match="there is no tunnel 'three'"):
        make_tunnels([behind("two", "socks5://192.0.2.2:1080", "three")], {}, counters)
    with pytest.raises(ValueError, match="goes through itself: two through two"):
        make_tunnels([behind("two", "socks5://192.0.2.2:1080", "two")], {}, counters)
    with pytest.raises(ValueError, match="direct:// goes through no other"):
        make_tunnels([one, behind("d", "direct://", "one")], {}, counters)
    again = make_tunnels([two, one], before, counters)
    assert {name: made.tunnel for name, made in again.items()} == {name: made.tunnel for name, made in before.items()}
    with pytest.raises(ValueError, match="through one, which is not there"):
        make_tunnel(two)
    moved = make_tunnels([two, tunnel("one", "socks5://192.0.2.9:1080")], before, counters)
    assert moved["two"].tunnel is not before["two"].tunnel  # what it goes through is another now


async def test_a_server_without_udp_is_asked_once() -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\5\0")
        asked.append((await reader.readexactly(10))[1])
        writer.write(b"\5\7\0\1" + bytes(6))
        writer.close()

    async with far_end(serve) as place:
        way = make_tunnel(tunnel("s", f"socks5://{place}"))
        assert way.carries_udp
        with pytest.raises(TunnelError) as raised:
            await way.open_datagrams(Endpoint.parse("192.0.2.7:53"))
        assert raised.value.reason == "command-not-supported"
        assert not way.carries_udp
        with pytest.raises(TunnelError) as again:
            await way.open_datagrams(Endpoint.parse("192.0.2.7:53"))
        assert again.value.reason == "no-udp"
        assert asked == [3]
    for url in ("direct://", "ss://aes-128-gcm:x@192.0.2.1:1", "socks5://192.0.2.1:1080"):
        way = make_tunnel(TunnelSettings(name="s", url=Secret(url), udp=False))
        assert not way.carries_udp
        with pytest.raises(TunnelError):
            await way.open_datagrams(Endpoint.parse("192.0.2.7:53"))


async def test_a_real_server_without_udp_has_its_queries_carried_over_tcp(tmp_path: Path) -> None:
    """microsocks refuses UDP ASSOCIATE once; from then on what nodes ask over UDP takes a stream."""
    place = fresh_endpoint()
    async with AsyncExitStack() as stack, ScriptedPrimary() as primary:
        child = tunnels.listening(microsocks(tmp_path, place), place)
        await asyncio.to_thread(child.__enter__)
        stack.push(child)
        settings = forwarder_settings([tunnel("micro", f"socks5://{place}")], primary.endpoint)
        async with running(settings) as near:
            await auntil(partial(_asked_udp, settings.forwarders[0].listen))
            assert not near.tunnel("micro").carries_udp
            assert primary.asked_udp == []
            assert near.status().tunnels[0].failures == {"command-not-supported": 1}


async def _asked_udp(listen: Endpoint) -> bool:
    answer = dns.message.from_wire(await ask_udp(listen, SOA))
    return answer.rcode() == dns.rcode.NOERROR and bool(answer.answer)
