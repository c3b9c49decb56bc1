"""The SOCKS door: real clients through it to a primary behind a tunnel, and all that it refuses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.message
import dns.rcode
import msgspec
import pytest

from proxy.egress.service import EgressService
from proxy.egress.tunnels import make_tunnel
from proxy.errors import ProxyError
from proxy.protocol.address import NamedTarget, Target, encode_address
from proxy.protocol.dns_frames import frame
from proxy.protocol.socks5_datagrams import unwrap_datagram, wrap_datagram
from proxy.settings import EgressSettings, Primary, SocksDoor, SocksUser
from proxy.values import Endpoint, Network, Secret
from tests.egress.ring import (
    Events,
    connection,
    exit_settings,
    fresh_endpoint,
    fresh_key,
    is_closed,
    read_message,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.egress.test_socks5_tunnel import Catcher
from tests.support.peers import auntil, require

SOA = dns.message.make_query("example.com", "SOA").to_wire()
METHOD = "2022-blake3-aes-128-gcm"
USER = (SocksUser(name="node", password=Secret("s3cret:")),)


def door_settings(target: Endpoint, **more: object) -> EgressSettings:
    return EgressSettings(
        tunnels=(tunnel("t", "direct://"),),
        primaries=(Primary(name="primary", address=target, tunnels=("t",)),),
        socks_doors=(SocksDoor(listen=fresh_endpoint(), primaries=("primary",), **more),),  # type: ignore[arg-type]  # by name
    )


@asynccontextmanager
async def door(**more: object) -> AsyncIterator[tuple[EgressService, Endpoint, ScriptedPrimary]]:
    """A door to a primary, directly; its service and address."""
    async with ScriptedPrimary() as primary:
        settings = door_settings(primary.endpoint, **more)
        async with running(settings) as service:
            yield service, settings.socks_doors[0].listen, primary


def refused(service: EgressService) -> dict[str, int]:
    """What the door itself refused."""
    return service.status().forwarders[-1].refused


async def request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: int, target: Target
) -> tuple[int, Endpoint | None]:
    """Ask without a user: the reply, and where the server is bound."""
    writer.write(b"\5\1\0" + bytes((5, command, 0)) + encode_address(target))
    assert await reader.readexactly(2) == b"\5\0"
    head = await reader.readexactly(10)
    return head[1], Endpoint.of((socket.inet_ntoa(head[4:8]), int.from_bytes(head[8:])))


async def test_our_own_tunnel_as_the_client_over_an_exit() -> None:
    """TCP and UDP: client, door, Shadowsocks tunnel, exit, primary; user and password."""
    key = fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        settings = door_settings(primary.endpoint, users=USER)
        settings = msgspec.structs.replace(settings, tunnels=(tunnel("t", ss_url(METHOD, key, exit_.listen)),))
        place = settings.socks_doors[0].listen
        events = Events()
        async with running(EgressSettings(exit=exit_)), running(settings, events) as service:
            client = make_tunnel(tunnel("c", f"socks5://node:s3cret%3A@{place}"))
            user = Catcher()
            stream = await client.open_stream(primary.endpoint, user, frame(SOA))
            await auntil(lambda: user.got)
            assert user.got == frame(soa_answer(SOA)[0])
            stream.abort()
            path = await client.open_datagrams(primary.endpoint)
            for _ in range(2):
                await path.send(SOA)
                assert await path.receive() == soa_answer(SOA)[0]
            path.close()
            way, own = service.status().forwarders
            assert (way.listen, way.primary, own.primary) == (f"socks5://{place}", "primary", "-")
            assert (way.queries_tcp, way.queries_udp, way.refused, own.refused) == (1, 2, {}, {})
            assert "s3cret" not in f"{service.status()} {settings}"
            wrong = make_tunnel(tunnel("c", f"socks5://node:secret@{place}"))
            with pytest.raises(ProxyError, match="user and password"):
                await wrong.open_stream(primary.endpoint, Catcher())
            assert refused(service) == {"authentication": 1}
            (told,) = events.named("transfer.refused")
            assert (told["reason"], told["node"], told["primary"]) == ("authentication", "127.0.0.1", "-")
            assert "s3cret" not in str(told)
            await auntil(lambda: service.status().forwarders[-1].connections_open == 0)


async def test_curl_gets_through_and_no_further() -> None:
    """curl speaks SOCKS5 of its own. HTTP is no DNS: its bytes end the connection behind the handshake."""
    async with door(users=USER) as (service, place, primary):
        base = [
            require("curl"),
            "-sv",
            "--max-time",
            "5",
            "--proxy-user",
            "node:s3cret:",
            "--proxy",
            f"socks5://{place}",
        ]
        told = await run([*base, f"http://{primary.endpoint}/"])
        assert "SOCKS5 request granted" in told or "Connected to" in told
        assert service.status().forwarders[0].connections_total == 1
        await run([*base, "http://203.0.113.77:80/"])
        assert refused(service) == {"target": 1}
        assert primary.accepted == 0


async def run(argv: list[str]) -> str:
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await child.communicate()
    return out.decode(errors="replace")


@pytest.mark.parametrize(
    ("command", "target", "code", "reason"),
    [
        (1, Endpoint.parse("203.0.113.77:53"), 2, "target"),
        (1, NamedTarget(b"primary.example", 53), 8, "target-by-name"),
        (2, Endpoint.parse("203.0.113.77:53"), 7, "command"),
        (9, Endpoint.parse("203.0.113.77:53"), 7, "command"),
    ],
)
async def test_a_refusal_has_its_code(command: int, target: Target, code: int, reason: str) -> None:
    async with door() as (service, place, primary), connection(place) as (reader, writer):
        assert (await request(reader, writer, command, target))[0] == code
        assert await is_closed(reader)
        assert refused(service) == {reason: 1}
        assert primary.accepted == 0


async def test_what_passes_is_gated_as_at_a_forwarder() -> None:
    async with door(zones=("example.com",)) as (service, place, primary), connection(place) as (reader, writer):
        assert (await request(reader, writer, 1, primary.endpoint))[0] == 0
        queries = [dns.message.make_query("other.example", "SOA"), dns.message.make_query("example.com", "A")]
        writer.write(b"".join(frame(query.to_wire()) for query in queries) + frame(SOA))
        answers = {message[:2]: message async for message in messages(reader, 3)}
        for query in queries:
            assert dns.message.from_wire(answers[query.to_wire()[:2]]).rcode() == dns.rcode.REFUSED
        assert answers[SOA[:2]] == soa_answer(SOA)[0]
        assert service.status().forwarders[0].refused == {"zone": 1, "type": 1}
        assert primary.asked_tcp == [SOA]


async def messages(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield await read_message(reader)


async def test_an_association_carries_queries_and_ends_with_its_connection() -> None:
    """Fragments, other targets, other sources and noise are dropped and counted; what is no query is refused."""
    loop = asyncio.get_running_loop()
    async with door() as (service, place, primary), connection(place) as (reader, writer):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind(("127.0.0.1", 0))
        client.setblocking(False)
        code, bound = await request(reader, writer, 3, Endpoint.of(client.getsockname()))
        assert code == 0
        assert bound is not None
        whole = wrap_datagram(primary.endpoint, SOA)
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.sendto(whole, bound.sockaddr)
        elsewhere = wrap_datagram(Endpoint.parse("203.0.113.77:53"), SOA)
        named = wrap_datagram(NamedTarget(b"x", 53), SOA)
        for data in (whole[:2] + b"\1" + whole[3:], elsewhere, named, b"\0", b"", whole):
            client.sendto(data, bound.sockaddr)
        async with asyncio.timeout(5):
            answer = await loop.sock_recv(client, 4096)
        assert unwrap_datagram(answer) == (primary.endpoint, soa_answer(SOA)[0])
        assert refused(service) == {"association-source": 1, "fragment": 1, "target": 2, "malformed": 2}
        assert primary.asked_udp == [SOA]
        writer.write(b"noise on the connection of an association says nothing")
        writer.close()
        await auntil(lambda: service.status().forwarders[-1].connections_open == 0)
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.bind(bound.sockaddr)  # the socket is free again
        for each in (probe, other, client):
            each.close()


async def test_who_may_not_come_in_is_reset() -> None:
    async with door(allow=(Network.parse("192.0.2.0/24"),)) as (service, place, _), connection(place) as (reader, _):
        assert await is_closed(reader)
        assert refused(service) == {"address": 1}


async def test_connections_are_bounded_and_the_handshake_has_a_limit() -> None:
    async with (
        door(connections=2, handshake_timeout=0.2) as (service, place, primary),
        connection(place) as (reader, writer),
        connection(place) as (silent, _),
    ):
        assert (await request(reader, writer, 1, primary.endpoint))[0] == 0
        async with connection(place) as (third, _):
            assert await is_closed(third)
        assert await is_closed(silent)
        assert refused(service) == {"too-many-connections": 1, "handshake-timeout": 1}
        writer.write(frame(SOA))  # behind its handshake that limit is none
        assert await read_message(reader) == soa_answer(SOA)[0]


async def test_an_association_on_which_nothing_moves_ends() -> None:
    async with door(idle_timeout=0.2) as (service, place, _), connection(place) as (reader, writer):
        assert (await request(reader, writer, 3, Endpoint.parse("0.0.0.0:0")))[0] == 0
        assert await is_closed(reader)
        assert refused(service) == {"idle": 1}


async def test_a_reload_takes_users_and_primaries_and_ends_nothing() -> None:
    async with ScriptedPrimary() as one, ScriptedPrimary() as two:
        settings = door_settings(one.endpoint)
        place = settings.socks_doors[0].listen
        async with running(settings) as service, connection(place) as (reader, writer):
            assert (await request(reader, writer, 1, one.endpoint))[0] == 0
            after = door_settings(two.endpoint)
            doors = (msgspec.structs.replace(after.socks_doors[0], listen=place, users=USER),)
            await service.reload(msgspec.structs.replace(after, socks_doors=doors), service.sockets)
            way = make_tunnel(tunnel("c", f"socks5://node:s3cret%3A@{place}"))
            user = Catcher()
            stream = await way.open_stream(two.endpoint, user, frame(SOA))
            await auntil(lambda: user.got)
            stream.abort()
            with pytest.raises(ProxyError, match="rules"):
                await way.open_stream(one.endpoint, Catcher())
            assert len(two.asked_tcp) == 1
            writer.write(frame(SOA))
            assert await is_closed(reader) or one.asked_tcp == [SOA]


@pytest.mark.parametrize(
    "wire", [b"GET / HTTP/1.1\r\n\r\n", b"\4\1\0\x50", bytes(range(256)) * 8, b"\5\xff" + bytes(255)]
)
async def test_noise_gets_nothing(wire: bytes) -> None:
    async with door() as (service, place, primary), connection(place) as (reader, writer):
        writer.write(wire)
        writer.write_eof()
        got = b""
        try:
            got = await reader.read()
        except ConnectionResetError:
            got = b""
        assert got in {b"", b"\5\0"}
        await auntil(lambda: service.status().forwarders[-1].connections_open == 0)
        assert primary.accepted == 0


async def test_a_door_that_is_taken_away_ends_its_associations_and_answers_what_was_asked() -> None:
    held: list[bytes] = []

    def keep(query: bytes) -> list[bytes]:
        held.append(query)
        return []

    async with ScriptedPrimary(keep) as primary:
        settings = door_settings(primary.endpoint)
        place = settings.socks_doors[0].listen
        async with running(settings) as service, connection(place) as (reader, writer), connection(place) as other:
            assert (await request(reader, writer, 1, primary.endpoint))[0] == 0
            assert (await request(*other, 3, Endpoint.parse("0.0.0.0:0")))[0] == 0
            writer.write(frame(SOA))
            await auntil(lambda: held)
            await service.reload(msgspec.structs.replace(settings, socks_doors=()), ())
            assert await is_closed(other[0])
            (asked,) = primary.connections
            asked.write(frame(soa_answer(held[0])[0]))
            assert await read_message(reader) == soa_answer(SOA)[0]
            assert service.status().forwarders == ()
