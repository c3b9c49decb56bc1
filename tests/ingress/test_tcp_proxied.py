"""PROXY headers over TCP: from proxies before the gateway, and to backends behind it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from filters.settings import FilterSettings
from proxy.settings import IngressSettings, ProxyIn, ProxyOut
from proxy.values import Endpoint, Network
from tests.ingress.tcp_door import PATIENT, Clock, Door, door, identities, ingress_settings, query
from tests.support.peers import auntil, free_port
from tests.support.proxied import LOCAL, ProxiedBackend, ProxiedSession, header, read_header
from tests.support.streams import Keeping, StreamBackend, framed, plain_answer

Version = Literal["v1", "v2"]
VERSIONS: tuple[Version, Version] = ("v1", "v2")
CLIENT = ("198.51.100.7", 4711)
SERVICE = ("203.0.113.1", 53)


def telling(settings: IngressSettings, version: Literal["off", "v1", "v2"], **tcp: int) -> IngressSettings:
    """The settings, with backends that want to know the client."""
    out = ProxyOut(tcp=version, crc=version == "v2")
    backends = tuple(msgspec.structs.replace(backend, proxy_protocol=out) for backend in settings.backends)
    return msgspec.structs.replace(settings, backends=backends, tcp=msgspec.structs.replace(settings.tcp, **tcp))


def behind(
    settings: IngressSettings, version: Version, *, proxies: str = "127.0.0.0/8", required: bool = True
) -> IngressSettings:
    """The settings, with clients that come by way of a proxy."""
    own = ProxyIn(accept=version, from_=(Network.parse(proxies),), required=required)
    listeners = tuple(msgspec.structs.replace(listener, proxy_protocol=own) for listener in settings.listeners)
    return msgspec.structs.replace(settings, listeners=listeners)


async def check_answer(opened: Door, *, first: bytes = b"") -> None:
    """A client that begins with these bytes gets its answer."""
    client = await opened.client()
    client.transport.write(first + framed(query(identity=7)))
    await auntil(lambda: client.received)
    assert identities(client.received) == [7]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_backend_is_told_the_client_once_for_each_connection(version: Version, host: str) -> None:
    listen = Endpoint.parse(f"[{host}]:{free_port()}" if ":" in host else f"{host}:{free_port()}")
    async with ProxiedBackend() as backend:
        settings = telling(ingress_settings(backend.endpoint, listen=listen), version)
        async with door(settings) as opened:
            clients = [await opened.client() for _ in range(3)]
            for identity in range(10):
                for client in clients:
                    client.send(query(identity=identity))
            await auntil(lambda: all(len(client.received) == 10 for client in clients))
            own = {client.transport.get_extra_info("sockname")[:2] for client in clients}
            assert len(backend.sessions) == 3
            assert set(backend.sources()) == own
            assert {session.destination for session in backend.sessions} == {(host, listen.port)}  # type: ignore[attr-defined]  # a ProxiedSession
            clients[0].transport.close()
            await auntil(lambda: len(backend.open_sessions) == 2)


async def test_many_clients_share_few_links_in_turns_and_none_starves() -> None:
    count, each, places = 500, 6, 20
    async with ProxiedBackend() as backend:
        settings = telling(
            ingress_settings(backend.endpoint), "v2", proxied_connections=places, connections_per_client=count
        )
        async with door(settings) as opened:
            clients = await asyncio.gather(*(opened.connect() for _ in range(count)))
            for identity in range(each):
                for client in clients:
                    client.send(query(identity=identity))
            most = 0

            def all_served() -> bool:
                nonlocal most
                most = max(most, len(backend.open_sessions), opened.status.links)
                return all(len(client.received) == each for client in clients)

            await auntil(all_served, 60)
            assert {tuple(sorted(identities(client.received))) for client in clients} == {tuple(range(each))}
            assert {message[3] & 15 for client in clients for message in client.received} == {0}
            assert most <= places
            assert opened.verdicts() == {("forward", "ok"): count * each}
            assert opened.status.given_up == 0
            assert opened.memory.io()["backend-connection-waits"] > 0


def resting(port: int) -> int:
    """Connections to this port that hold a local port in TIME_WAIT."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "06" for row in rows)


async def test_turns_use_up_no_local_ports() -> None:
    async with ProxiedBackend() as backend:
        async with door(telling(ingress_settings(backend.endpoint), "v2", proxied_connections=1)) as opened:
            for _ in range(5):
                await check_answer(opened)
            assert len(backend.sessions) == 5
            await auntil(lambda: len(backend.open_sessions) == 1)
        await auntil(lambda: not backend.open_sessions)
        assert resting(backend.endpoint.port) == 0


async def test_unanswered_queries_are_sent_again_with_the_header() -> None:
    kept = Keeping()
    async with ProxiedBackend(kept) as backend, door(telling(ingress_settings(backend.endpoint), "v2")) as opened:
        client = await opened.client()
        client.send(query(identity=1), query(identity=2))
        await auntil(lambda: len(kept) == 2)
        kept.queries.clear()
        backend.script = plain_answer
        backend.sessions[0].transport.abort()
        await auntil(lambda: len(client.received) == 2)
        assert backend.sources() == [client.transport.get_extra_info("sockname")] * 2
        assert opened.status.resent == 2


async def test_a_reload_turns_the_header_on_and_off() -> None:
    async with ProxiedBackend() as named, StreamBackend() as plain:
        settings = ingress_settings(plain.endpoint)
        async with door(settings) as opened:
            await check_answer(opened)
            opened.reload(
                telling(ingress_settings(named.endpoint, listen=settings.listeners[0].address), "v2"), FilterSettings()
            )
            await check_answer(opened)
            assert (len(plain.queries), len(named.queries)) == (1, 1)
            opened.reload(settings, FilterSettings())
            await check_answer(opened)
            assert (len(plain.queries), len(named.queries)) == (2, 1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_header_of_a_listed_proxy_says_who_asks(version: Version) -> None:
    async with ProxiedBackend() as backend:
        settings = telling(behind(ingress_settings(backend.endpoint), version), "v2")
        async with door(settings) as opened:
            await check_answer(opened, first=header(version, CLIENT, SERVICE))
            client = await opened.client()
            for byte in header(version, ("2001:db8::7", 1), ("2001:db8::1", 53)) + framed(query(identity=9)):
                client.transport.write(bytes([byte]))
            await auntil(lambda: client.received)
            await check_answer(opened, first=LOCAL if version == "v2" else b"PROXY UNKNOWN\r\n")
            assert backend.sources()[:2] == [CLIENT, ("2001:db8::7", 1)]
            assert backend.sources()[2] == opened.clients[2].transport.get_extra_info("sockname")


@pytest.mark.parametrize("version", VERSIONS)
async def test_addresses_of_two_families_are_told_as_those_of_one(version: Version) -> None:
    mapped, service = ("::ffff:198.51.100.7", 4711), ("2001:db8::1", 53)
    async with (
        ProxiedBackend() as backend,
        door(telling(behind(ingress_settings(backend.endpoint), "v2"), version)) as opened,
    ):
        await check_answer(opened, first=header("v2", mapped, service))
        (session,) = backend.sessions
        assert isinstance(session, ProxiedSession)
        assert session.source is not None
        # The library of this Python writes the same address in another form.
        assert (ip_address(session.source[0]), session.source[1]) == (ip_address(mapped[0]), mapped[1])
        assert session.destination == service


async def test_the_connections_of_a_client_are_counted_wherever_they_come_from() -> None:
    async with StreamBackend() as backend:
        tcp = msgspec.structs.replace(PATIENT, connections_per_client=2)
        async with door(behind(ingress_settings(backend.endpoint, tcp=tcp), "v2")) as opened:
            for last in range(5):
                await check_answer(opened, first=header("v2", (f"198.51.100.{last}", 1), SERVICE))
            await check_answer(opened, first=header("v2", ("198.51.100.4", 2), SERVICE))
            third = await opened.client()
            third.transport.write(header("v2", ("198.51.100.4", 3), SERVICE) + framed(query()))
            await auntil(lambda: third.ended)
            assert not third.received
            assert opened.status.closes["connections-per-client"] == 1


async def test_the_rate_of_connections_is_that_of_the_client_and_not_of_its_proxy() -> None:
    async with StreamBackend() as backend:
        tcp = msgspec.structs.replace(PATIENT, connection_rate=1, connection_burst=1)
        async with door(behind(ingress_settings(backend.endpoint, tcp=tcp), "v2")) as opened:
            for last in range(5):
                await check_answer(opened, first=header("v2", (f"198.51.100.{last}", 1), SERVICE))
            second = await opened.client()
            second.transport.write(header("v2", ("198.51.100.4", 2), SERVICE) + framed(query()))
            await auntil(lambda: second.ended)
            assert opened.status.closes["connection-rate"] == 1


@pytest.mark.parametrize(
    ("version", "begin", "reason"),
    [
        ("v2", framed(query()), "proxy-missing"),
        ("v1", framed(query()), "proxy-missing"),
        ("v2", header("v1", CLIENT, SERVICE), "proxy-missing"),
        ("v2", header("v2", CLIENT, SERVICE)[:12] + b"\x11" * 20, "proxy-malformed"),
        ("v2", header("v2", CLIENT, SERVICE, b"\x03\0\x04abcd"), "proxy-malformed"),
        ("v1", b"PROXY TCP4 198.51.100.7 203.0.113.1 4711 70000\r\n", "proxy-malformed"),
        ("v1", b"PROXY TCP4 " + b"1" * 200, "proxy-malformed"),
    ],
)
async def test_what_is_no_header_is_closed_and_counted(version: Version, begin: bytes, reason: str) -> None:
    async with StreamBackend() as backend, door(behind(ingress_settings(backend.endpoint), version)) as opened:
        client = await opened.client()
        client.transport.write(begin)
        await auntil(lambda: client.ended)
        assert opened.verdicts() == {("drop", reason): 1}
        assert opened.status.closes[reason] == 1
        assert not backend.sessions


async def test_a_stranger_is_turned_away_at_once() -> None:
    async with StreamBackend() as backend:
        settings = behind(ingress_settings(backend.endpoint), "v2", proxies="192.0.2.0/24")
        async with door(settings) as opened:
            with suppress(ConnectionResetError):  # it is reset so early that connecting may fail
                client = await opened.connect()
                await auntil(lambda: client.lost)
            await auntil(lambda: opened.status.closes["proxy-source"])
            assert opened.status.closes["proxy-source"] == 1
            assert opened.memory.io()["connections-refused"] == 1


async def test_where_a_header_is_not_required_clients_may_come_by_themselves() -> None:
    async with StreamBackend() as backend:
        settings = behind(ingress_settings(backend.endpoint), "v2", required=False)
        async with door(settings) as opened:
            await check_answer(opened)
            await check_answer(opened, first=header("v2", CLIENT, SERVICE))
            strangers = behind(settings, "v2", proxies="192.0.2.0/24", required=False)
            opened.reload(strangers, FilterSettings())
            await check_answer(opened)
            assert opened.verdicts() == {("forward", "ok"): 3}


async def test_a_header_that_does_not_come_in_time_ends_the_connection() -> None:
    async with StreamBackend() as backend, door(behind(ingress_settings(backend.endpoint), "v2")) as opened:
        assert isinstance(opened.clock, Clock)
        client = await opened.client()
        client.transport.write(header("v2", CLIENT, SERVICE)[:20])
        silent = await opened.client()
        opened.clock.forward(2)
        await auntil(lambda: client.ended and silent.ended)
        assert opened.status.closes["slow-read"] == 2


def test_the_reader_of_these_tests_reads_what_its_writer_writes() -> None:
    for version in VERSIONS:
        whole = header(version, CLIENT, SERVICE) + b"rest"
        assert read_header(whole) == (CLIENT, SERVICE, b"rest")
        assert read_header(whole[:20]) is None
