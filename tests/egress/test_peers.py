"""Real neighbours: our tunnels to their servers, their clients to our exit, TCP and UDP, each method that they have."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import dns.message
import pytest

from proxy.egress.tunnels import make_tunnel
from proxy.errors import TunnelError
from proxy.protocol.dns_frames import frame
from proxy.protocol.methods import METHODS
from proxy.settings import EgressSettings
from proxy.values import Endpoint
from tests.egress.ring import (
    Events,
    ask_tcp,
    ask_udp,
    connection,
    exit_settings,
    exit_status,
    forwarder_settings,
    fresh_endpoint,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, axfr_answer, soa_answer
from tests.egress.test_socks5_tunnel import Catcher
from tests.support import tunnels
from tests.support.peers import ChildProcess, auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
AXFR = dns.message.make_query("example.com", "AXFR").to_wire()
MESSAGES = axfr_answer(AXFR, records=36_000, per_message=600)  # a megabyte
OLD = [name for name, method in METHODS.items() if method.edition == 2017]


class Server(Protocol):
    def __call__(self, directory: Path, listen: Endpoint, method: str, password: str, /) -> ChildProcess: ...


class Local(Protocol):
    def __call__(
        self, directory: Path, listen: Endpoint, server: Endpoint, method: str, password: str, /
    ) -> ChildProcess: ...


class Client(Protocol):
    def __call__(
        self, directory: Path, listen: Endpoint, server: Endpoint, target: Endpoint, method: str, password: str, /
    ) -> ChildProcess: ...


def script(query: bytes) -> list[bytes]:
    return MESSAGES if query == AXFR else soa_answer(query)


@contextlib.contextmanager
def far(make: Server, directory: Path, method: str, key: str) -> Iterator[Endpoint]:
    place = fresh_endpoint()
    with tunnels.listening(make(directory, place, method, key), place):
        yield place


async def exchange(near: Endpoint) -> None:
    """SOA and a megabyte of AXFR, through whatever listens there."""
    assert await ask_tcp(near, SOA) == soa_answer(SOA)
    assert await ask_tcp(near, AXFR, answers=len(MESSAGES)) == MESSAGES
    for _ in range(3):
        assert await ask_udp(near, SOA) == soa_answer(SOA)[0]


SERVERS = [(tunnels.libev_server, name) for name in OLD] + [(tunnels.rust_server, name) for name in METHODS]
CLIENTS = [(tunnels.libev_tunnel, name) for name in OLD] + [(tunnels.rust_tunnel, name) for name in METHODS]

LOCALS = [(tunnels.libev_local, "aes-256-gcm")] + [(tunnels.rust_local, name) for name in METHODS]


def named(value: object) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("server", "method"), SERVERS, ids=named)
async def test_our_tunnel_to_their_server(server: Server, method: str, tmp_path: Path) -> None:
    key, events = fresh_key(method), Events()
    async with ScriptedPrimary(script) as primary:
        with far(server, tmp_path, method, key) as place:
            settings = forwarder_settings([tunnel("theirs", ss_url(method, key, place))], primary.endpoint)
            async with running(settings, events) as near:
                await exchange(settings.forwarders[0].listen)
                (status,) = near.status().tunnels
                assert (status.streams_total, status.failures) == (1, {})
                assert {name for name, _ in events.seen} == {"transfer.accepted"}


@pytest.mark.parametrize(("client", "method"), CLIENTS, ids=named)
async def test_their_client_to_our_exit(client: Client, method: str, tmp_path: Path) -> None:
    key, place = fresh_key(method), fresh_endpoint()
    async with ScriptedPrimary(script) as primary:
        settings = exit_settings(method, key, [primary.endpoint])
        async with running(EgressSettings(exit=settings)) as service:
            # Whether it listens is asked from another thread: its first client is already passed on to our exit.
            with ExitStack() as stack:
                child = client(tmp_path, place, settings.listen, primary.endpoint, method, key)
                await asyncio.to_thread(stack.enter_context, tunnels.listening(child, place))
                await exchange(place)
            assert set(exit_status(service).rejects) <= {"handshake-timeout"}
            assert exit_status(service).associations_total >= 1


@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
async def test_a_megabyte_comes_back_through_their_server(method: str, tmp_path: Path) -> None:
    """Echo, in both directions at once: more than any buffer on the way holds."""
    key, sent = fresh_key(method), os.urandom(1 << 20)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    target = fresh_endpoint()
    server = await asyncio.start_server(echo, *target.sockaddr)
    try:
        with far(tunnels.rust_server, tmp_path, method, key) as place:
            user = Catcher()
            stream = await make_tunnel(tunnel("t", ss_url(method, key, place))).open_stream(target, user, sent[:1000])
            stream.write(sent[1000:])
            await auntil(lambda: len(user.got) == len(sent))
            assert user.got == sent
            stream.abort()
            await auntil(lambda: user.lost)
    finally:
        server.close()


@pytest.mark.parametrize(("client", "method"), LOCALS, ids=named)
async def test_their_socks_client_chained_to_our_exit(client: Local, method: str, tmp_path: Path) -> None:
    """Our SOCKS5 tunnel to their local SOCKS5 server, whose far end is our exit."""
    key, place = fresh_key(method), fresh_endpoint()
    async with ScriptedPrimary(script) as primary:
        far_settings = exit_settings(method, key, [primary.endpoint])
        near_settings = forwarder_settings([tunnel("chain", f"socks5://{place}")], primary.endpoint)
        async with running(EgressSettings(exit=far_settings)) as service, running(near_settings) as near:
            with ExitStack() as stack:
                child = client(tmp_path, place, far_settings.listen, method, key)
                await asyncio.to_thread(stack.enter_context, tunnels.listening(child, place))
                await exchange(near_settings.forwarders[0].listen)
                assert near.status().tunnels[0].failures == {}
            assert exit_status(service).rejects == {}


async def test_dante_over_tcp_and_udp(tmp_path: Path) -> None:
    place = fresh_endpoint()
    async with ScriptedPrimary(script) as primary:
        with tunnels.listening(tunnels.dante(tmp_path, place), place):
            settings = forwarder_settings([tunnel("dante", f"socks5://{place}")], primary.endpoint)
            async with running(settings) as near:
                await exchange(settings.forwarders[0].listen)
                assert near.status().tunnels[0].failures == {}


async def test_dante_that_may_not_do_udp_leaves_it_to_the_next(tmp_path: Path) -> None:
    place, method = fresh_endpoint(), "2022-blake3-aes-128-gcm"
    key = fresh_key(method)
    async with ScriptedPrimary(script) as primary:
        exit_ = exit_settings(method, key, [primary.endpoint])
        ways = [tunnel("dante", f"socks5://{place}"), tunnel("ours", ss_url(method, key, exit_.listen))]
        settings = forwarder_settings(ways, primary.endpoint)
        with tunnels.listening(tunnels.dante(tmp_path, place, commands="connect"), place):
            async with running(EgressSettings(exit=exit_)), running(settings) as near:
                await exchange(settings.forwarders[0].listen)
                dante, ours = near.status().tunnels
                assert (dante.streams_total, dante.datagrams_in) == (1, 0)
                assert (ours.streams_total, ours.datagrams_in) == (0, 3)
                assert sum(dante.failures.values()) == 1


@pytest.mark.parametrize("server", [tunnels.libev_server, tunnels.rust_server], ids=named)
async def test_a_wrong_key_gets_no_answer_and_the_next_tunnel_is_taken(server: Server, tmp_path: Path) -> None:
    method = "aes-128-gcm"
    async with ScriptedPrimary(script) as primary:
        with far(server, tmp_path, method, fresh_key(method)) as place:
            wrong = tunnel("wrong", ss_url(method, "another password", place))
            right = tunnel("right", ss_url(method, fresh_key(method), place))
            settings = forwarder_settings([wrong, right], primary.endpoint, answer_timeout=0.3)
            async with running(settings) as near:
                assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
                failures = near.status().tunnels[0].failures
                assert failures.keys() <= {"no-answer", "closed", "broken"}
                assert sum(failures.values()) == 1


async def test_a_replay_to_their_server_gets_no_answer(tmp_path: Path) -> None:
    """Our head, recorded and sent again: their server drops it, as our exit does."""
    method = "2022-blake3-aes-128-gcm"
    key = fresh_key(method)
    async with ScriptedPrimary(script) as primary:
        with far(tunnels.rust_server, tmp_path, method, key) as place:
            recorded = asyncio.get_running_loop().create_future()

            class Tap(asyncio.Protocol):
                def data_received(self, data: bytes) -> None:
                    recorded.set_result(data)

            tap = fresh_endpoint()
            server = await asyncio.get_running_loop().create_server(Tap, *tap.sockaddr)
            way = make_tunnel(tunnel("tap", ss_url(method, key, tap)))
            stream = await way.open_stream(primary.endpoint, Catcher(), frame(SOA))
            head = await recorded
            stream.abort()
            server.close()
            for number in range(2):
                async with connection(place) as (reader, writer):
                    writer.write(head)
                    writer.write_eof()
                    with contextlib.suppress(ConnectionResetError):  # one way to close on a replay
                        assert bool(await reader.read()) == (number == 0)
            assert primary.asked_tcp == [SOA]


async def test_a_server_that_is_gone_is_an_error(tmp_path: Path) -> None:
    method = "aes-128-gcm"
    with far(tunnels.libev_server, tmp_path, method, "x") as place:
        pass
    with pytest.raises(TunnelError, match="refused the connection"):
        await make_tunnel(tunnel("gone", ss_url(method, "x", place))).open_stream(fresh_endpoint(), Catcher())
    with socket.socket() as probe:
        assert probe.connect_ex(place.sockaddr) != 0
