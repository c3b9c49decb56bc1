"""The SOCKS5 tunnel against a server whose every reply is in the test's hand. Dante, a real one, is in `test_peers`."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.message
import pytest

from proxy.egress.counters import TunnelCounters
from proxy.egress.dial_options import PLAIN
from proxy.egress.dialing import NetworkDialer
from proxy.egress.openings import openings_settled
from proxy.egress.socks5 import Socks5Tunnel
from proxy.egress.tunnel import Tunnel
from proxy.egress.tunnels import make_tunnel
from proxy.errors import PrimaryError, ProtocolError, ProxyError, TunnelError
from proxy.protocol.address import encode_address
from proxy.protocol.socks5_datagrams import wrap_datagram
from proxy.protocol.tunnel_urls import Socks5Address, TunnelHost
from proxy.values import Endpoint
from tests.egress.ring import ask_tcp, ask_udp, far_end, forwarder_settings, fresh_endpoint, running, tunnel
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
TARGET = Endpoint.parse("192.0.2.7:53")
CONNECTED = b"\5\0\0" + encode_address(Endpoint.parse("198.51.100.1:40000"))


class Catcher(asyncio.Protocol):
    """The user's end of a stream."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


def tunnel_to(place: Endpoint, secret: bool = False, limit: float = 5.0) -> Socks5Tunnel:
    address = Socks5Address(TunnelHost(*place.sockaddr), *((b"user", b"secret") if secret else ()))
    return Socks5Tunnel(address, TunnelCounters("socks"), NetworkDialer(PLAIN, limit), limit)


@asynccontextmanager
async def socks_server(*replies: bytes) -> AsyncIterator[tuple[Endpoint, list[bytes]]]:
    """A server that answers each read by the next of its replies; b"" closes. Gives its address and what it read."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            seen.append(await reader.read(4096))
            if not reply:
                break
            writer.write(reply)
        else:
            seen.append(await reader.read(4096))
        writer.close()

    async with far_end(serve) as place:
        yield place, seen


@pytest.mark.parametrize("secret", [False, True])
async def test_connect(secret: bool) -> None:
    replies = [b"\5\2", b"\1\0", CONNECTED + b"early"] if secret else [b"\5\0", CONNECTED + b"early"]
    async with socks_server(*replies) as (place, seen):
        way, user = tunnel_to(place, secret), Catcher()
        stream = await way.open_stream(TARGET, user, b"first")
        await auntil(lambda: user.got == b"early")
        await auntil(lambda: len(seen) == len(replies) + 1)
        assert seen[-2:] == [b"\5\1\0" + encode_address(TARGET), b"first"]
        assert (b"\1\4user\6secret" in seen) == secret
        await auntil(lambda: user.lost)
        assert (way.counters.streams_total, way.counters.bytes_in, way.counters.bytes_out) == (1, 5, 5)
        assert stream.is_closing()


@pytest.mark.parametrize(
    ("replies", "error", "reason"),
    [
        ([b"\5\xff"], TunnelError, "authentication"),
        ([b"\5\0", b"\5\5"], PrimaryError, "primary-refused"),
        ([b"\5\0", b"\5\2"], TunnelError, "not-allowed"),
        ([b"SSH-2.0-OpenSSH_9.2"], ProtocolError, "malformed"),
        ([b""], TunnelError, "closed"),
        ([b"\5\0", b""], TunnelError, "closed"),
    ],
)
@pytest.mark.parametrize("datagrams", [False, True])
async def test_a_failed_handshake(replies: list[bytes], error: type[ProxyError], reason: str, datagrams: bool) -> None:
    async with socks_server(*replies) as (place, _):
        way = tunnel_to(place)
        with pytest.raises(error) as raised:
            await (way.open_datagrams(TARGET) if datagrams else way.open_stream(TARGET, Catcher()))
        assert raised.value.reason == reason
        assert way.counters.streams_open == 0


async def test_a_server_that_says_nothing() -> None:

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with far_end(serve) as place:
        with pytest.raises(TunnelError, match="did not answer within") as raised:
            await tunnel_to(place, limit=0.05).open_stream(TARGET, Catcher())
        assert raised.value.reason == "handshake-timeout"


async def test_a_server_that_hangs_up_on_who_has_given_up_is_no_mishap() -> None:
    """The opening is cancelled while its connection is being made."""
    mishaps: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mishaps.append(context))
    async with far_end(lambda _, writer: writer.close()) as place:
        for turns in range(12):
            opening = asyncio.create_task(tunnel_to(place).open_stream(TARGET, Catcher()))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            assert isinstance((await asyncio.gather(opening, return_exceptions=True))[0], BaseException)
        await openings_settled()
    for _ in range(20):
        await asyncio.sleep(0)
        gc.collect()
    assert mishaps == []


class Relay:
    """The UDP side of a SOCKS server, which answers by a script."""

    def __init__(self, script: Callable[[bytes], list[bytes]]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self._script = script
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._readable)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.of(self.socket.getsockname())

    def _readable(self) -> None:
        data, address = self.socket.recvfrom(4096)
        for answer in self._script(data):
            self.socket.sendto(answer, address)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()


@pytest.mark.parametrize("unspecified", [False, True])
async def test_an_association(unspecified: bool) -> None:
    """Fragments, foreign and broken datagrams are left out and counted; a relay without an address is the server's."""

    def script(data: bytes) -> list[bytes]:
        assert data == wrap_datagram(TARGET, b"query")
        good = wrap_datagram(TARGET, b"answer")
        return [good[:2] + b"\1" + good[3:], wrap_datagram(Endpoint.parse("192.0.2.8:53"), b"lie"), b"x", good]

    relay = Relay(script)
    bound = Endpoint.parse(f"0.0.0.0:{relay.endpoint.port}") if unspecified else relay.endpoint
    async with socks_server(b"\5\0", b"\5\0\0" + encode_address(bound)) as (place, _):
        way = tunnel_to(place)
        path = await way.open_datagrams(TARGET)
        await path.send(b"query")
        assert await path.receive() == b"answer"
        assert way.counters.failures == {"fragment": 1, "wrong-source": 1, "malformed": 1}
        assert (way.counters.datagrams_out, way.counters.datagrams_in) == (1, 1)
        path.close()
    relay.close()


async def test_an_association_ends_with_its_connection() -> None:
    relay, hang_up = Relay(lambda data: []), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"\5\0")
        await reader.read(4096)
        writer.write(b"\5\0\0" + encode_address(relay.endpoint))
        await hang_up.wait()
        writer.close()

    async with far_end(serve) as place:
        path = await tunnel_to(place).open_datagrams(TARGET)
        receiving = asyncio.create_task(path.receive())
        hang_up.set()
        with pytest.raises(TunnelError):
            await receiving
        with pytest.raises(TunnelError):
            await path.send(b"query")
        path.close()
    relay.close()


async def test_a_relay_named_by_a_host_name_is_refused() -> None:
    async with socks_server(b"\5\0", b"\5\0\0\3\4host\0\1") as (place, _):
        with pytest.raises(ProtocolError, match="host name"):
            await tunnel_to(place).open_datagrams(TARGET)


@pytest.mark.parametrize("bound", [str(TARGET), f"[::ffff:{TARGET.address}]:{TARGET.port}", f"{TARGET.address}:5353"])
async def test_a_relay_that_is_the_primary_itself_is_refused(bound: str) -> None:
    """Else our datagrams would go to the primary without a tunnel."""
    async with socks_server(b"\5\0", b"\5\0\0" + encode_address(Endpoint.parse(bound))) as (place, _):
        for target in (TARGET, Endpoint.parse(f"[::ffff:{TARGET.address}]:{TARGET.port}")):
            with pytest.raises(ProtocolError, match="the primary itself"):
                await tunnel_to(place).open_datagrams(target)


async def test_through_a_forwarder_with_user_and_password() -> None:
    """SOA over TCP and UDP; the password is in no event and no status."""
    async with ScriptedPrimary() as primary:
        relay = Relay(lambda data: [data[:10] + soa_answer(data[10:])[0]])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(4) == b"\5\2\0\2"
            writer.write(b"\5\2")
            assert await reader.readexactly(16) == b"\1\4user\x09p@ss:word"
            writer.write(b"\1\0")
            request = await reader.readexactly(10)
            if request[1] == 3:
                writer.write(b"\5\0\0" + encode_address(relay.endpoint))
                await reader.read()
            else:
                writer.write(CONNECTED)
                (answer,) = soa_answer(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
                writer.write(len(answer).to_bytes(2) + answer)
                await reader.read()
            writer.close()

        async with far_end(serve) as place:
            settings = forwarder_settings([tunnel("s", f"socks5://user:p%40ss%3Aword@{place}")], primary.endpoint)
            async with running(settings) as near:
                assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
                assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]
                assert near.status().tunnels[0].failures == {}
                assert "p@ss" not in f"{near.status()} {settings}"
        relay.close()


def test_the_three_kinds_are_made_from_their_urls() -> None:
    made: list[Tunnel] = [
        make_tunnel(tunnel("a", url))
        for url in ("direct://", f"socks5://{fresh_endpoint()}", f"ss://aes-128-gcm:x@{fresh_endpoint()}")
    ]
    assert [each.counters.kind for each in made] == ["direct", "socks5", "shadowsocks"]
