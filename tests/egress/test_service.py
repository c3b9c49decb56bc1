"""The service: starting, reloading under load, draining, and the sockets it is given."""

from __future__ import annotations

import asyncio
import socket

import dns.message
import msgspec
import pytest
from dns.rcode import Rcode

from proxy.egress.service import EgressService
from proxy.egress.sockets import EgressSocket, open_egress_socket, open_egress_sockets
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings
from proxy.values import Endpoint, Network
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
    is_closed,
    read_message,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.support.peers import auntil, is_free

SOA = dns.message.make_query("example.com", "SOA").to_wire()
OTHER_SOA = dns.message.make_query("other.example", "SOA").to_wire()
METHOD = "2022-blake3-aes-256-gcm"
DIRECT = tunnel("direct", "direct://")


def again(sockets: list[EgressSocket]) -> list[EgressSocket]:
    """The same sockets as another process would hand them down: under new descriptors."""
    return [EgressSocket(each.role, each.endpoint, each.transport, each.socket.dup()) for each in sockets]


async def test_a_reload_swaps_the_primary_under_open_streams() -> None:
    async with ScriptedPrimary(lambda query: []) as old, ScriptedPrimary() as new:
        settings = forwarder_settings([DIRECT], old.endpoint)
        listen = settings.forwarders[0].listen
        sockets = open_egress_sockets(settings)
        service = EgressService(settings=settings, sockets=sockets, emit=Events())
        await service.start()
        async with connection(listen) as (reader, writer):
            writer.write(frame(SOA))
            await auntil(lambda: old.asked_tcp)
            waiting = asyncio.create_task(ask_udp(listen, SOA))
            await auntil(lambda: old.asked_udp)
            after = forwarder_settings([DIRECT], new.endpoint, listen=listen)
            await service.reload(after, again(sockets))
            assert await ask_tcp(listen, SOA) == soa_answer(SOA)
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
            assert (len(new.asked_tcp), len(new.asked_udp)) == (1, 1)
            # What began before goes on to the old primary, and counts in the same counters.
            (asked,) = old.connections
            asked.write(frame(soa_answer(SOA)[0]))
            assert await read_message(reader) == soa_answer(SOA)[0]
            status = service.status()
            assert status.tunnels[0].streams_total == 2
            assert status.forwarders[0].connections_total == 2
            waiting.cancel()
        await service.drain(0)


async def test_access_lists_are_swapped() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(settings) as service:
            assert await ask_tcp(listen, SOA) == soa_answer(SOA)
            closed = forwarder_settings(
                [DIRECT], primary.endpoint, listen=listen, allow=(Network.parse("192.0.2.0/24"),)
            )
            await service.reload(closed, list(service.sockets))
            async with connection(listen) as (reader, _):
                assert await is_closed(reader)


async def test_forwarders_come_and_go_and_open_streams_stay() -> None:
    async with ScriptedPrimary(lambda query: []) as primary:
        first = forwarder_settings([DIRECT], primary.endpoint)
        second = forwarder_settings([DIRECT], primary.endpoint)
        place, other = first.forwarders[0].listen, second.forwarders[0].listen
        async with running(first) as service, connection(place) as (reader, writer):
            writer.write(frame(SOA))
            await auntil(lambda: primary.asked_tcp)
            await service.reload(second, open_egress_sockets(second))
            assert [each.listen for each in service.status().forwarders] == [str(other)]
            await auntil(lambda: is_free(place.port, "udp"))
            with pytest.raises(OSError, match="refused"):
                await asyncio.open_connection(*place.sockaddr)
            writer.write(frame(OTHER_SOA))  # asked too late
            (asked,) = primary.connections
            asked.write(frame(soa_answer(SOA)[0]))
            assert await read_message(reader) == soa_answer(SOA)[0]
            assert await is_closed(reader)
            assert len(primary.asked_tcp) == 1
            primary.script = soa_answer
            assert await ask_tcp(other, SOA) == soa_answer(SOA)


async def test_the_exits_key_is_swapped_and_the_old_one_stops_working() -> None:
    keys, events = [fresh_key(METHOD), fresh_key(METHOD)], Events()
    async with ScriptedPrimary(lambda query: []) as primary:
        exits = [exit_settings(METHOD, key, [primary.endpoint]) for key in keys]
        exits[1] = msgspec.structs.replace(exits[1], listen=exits[0].listen)
        ways = [tunnel(key[:4], ss_url(METHOD, key, exits[0].listen)) for key in keys]
        nodes = [forwarder_settings([way], primary.endpoint, idle_timeout=0.5) for way in ways]
        listens = [node.forwarders[0].listen for node in nodes]
        async with (
            running(EgressSettings(exit=exits[0]), events) as far,
            running(nodes[0]),
            running(nodes[1]),
            connection(listens[0]) as (reader, writer),
        ):
            writer.write(frame(SOA))
            await auntil(lambda: primary.asked_tcp)
            await far.reload(EgressSettings(exit=exits[1]), list(far.sockets))
            assert dns.message.from_wire(await read_message(reader)).rcode() == Rcode.SERVFAIL
            await auntil(lambda: not primary.connections)
            primary.script = soa_answer
            assert await ask_tcp(listens[1], SOA) == soa_answer(SOA)
            assert await ask_udp(listens[1], SOA) == soa_answer(SOA)[0]
            (failed,) = await ask_tcp(listens[0], SOA)
            assert dns.message.from_wire(failed).rcode() == Rcode.SERVFAIL
            rejects = exit_status(far).rejects
            assert rejects["key-revoked"] == 1
            assert rejects["authentication"] >= 1
            (event,) = events.named("exit.keys-revoked")
            assert (event["streams"], event["sessions"]) == (1, 0)


async def test_the_exit_comes_and_goes() -> None:
    key = fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        places = [fresh_endpoint(), fresh_endpoint()]
        one, two = (EgressSettings(exit=exit_settings(METHOD, key, [primary.endpoint], place)) for place in places)
        async with running(one) as service:
            await service.reload(two, open_egress_sockets(two))
            await auntil(lambda: is_free(places[0].port))
            assert exit_status(service).listen == str(places[1])
            await service.reload(EgressSettings(), [])
            assert service.status().exit is None
            await auntil(lambda: is_free(places[1].port))


async def test_without_an_exit_there_are_no_keys() -> None:
    """What a key opened ends with it, also where the whole exit is taken away."""
    key, events = fresh_key(METHOD), Events()
    async with ScriptedPrimary(lambda query: []) as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        node = forwarder_settings([tunnel("t", ss_url(METHOD, key, exit_.listen))], primary.endpoint)
        async with (
            running(EgressSettings(exit=exit_), events) as far,
            running(node),
            connection(node.forwarders[0].listen) as (_, writer),
        ):
            writer.write(frame(SOA))
            await auntil(lambda: primary.asked_tcp)
            await far.reload(EgressSettings(), [])
            await auntil(lambda: not primary.connections)
    assert events.named("exit.keys-revoked")[0]["streams"] == 1


@pytest.mark.parametrize(
    ("url", "says"), [("ss://aes-128-gcm:@127.0.0.1:1", "tunnel bad: the password is empty"), ("x", "tunnel bad")]
)
async def test_a_bad_reload_changes_nothing(url: str, says: str) -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as service:
            bad = forwarder_settings([tunnel("bad", url)], primary.endpoint)
            new = open_egress_sockets(bad)
            with pytest.raises(ValueError, match=says):
                await service.reload(bad, [*service.sockets, *new])
            assert all(each.socket.fileno() == -1 for each in new)
            with pytest.raises(ValueError, match="no socket for the forwarder"):
                await service.reload(bad, list(service.sockets))
            assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
            assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]


async def test_draining_waits_for_what_is_open_and_takes_nothing_new() -> None:
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen, events = settings.forwarders[0].listen, Events()
        service = EgressService(settings=settings, sockets=open_egress_sockets(settings), emit=events)
        await service.start()
        async with connection(listen) as (reader, writer), connection(listen) as (unused, _):
            writer.write(frame(SOA))
            await auntil(lambda: primary.asked_tcp)
            await auntil(lambda: service.status().forwarders[0].connections_open == 2)
            draining = asyncio.create_task(service.drain(10))
            assert await is_closed(unused)
            with pytest.raises(OSError, match="refused"):
                await asyncio.open_connection(*listen.sockaddr)
            assert not draining.done()
            (asked,) = primary.connections
            asked.write(frame(soa_answer(SOA)[0]))
            assert await read_message(reader) == soa_answer(SOA)[0]
            asked.close()
            assert await is_closed(reader)
            await draining
        assert events.seen == []


async def test_draining_does_not_wait_for_ever() -> None:
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        events = Events()
        service = EgressService(settings=settings, sockets=open_egress_sockets(settings), emit=events)
        await service.start()
        async with connection(settings.forwarders[0].listen) as (reader, writer):
            writer.write(frame(SOA))
            await auntil(lambda: primary.asked_tcp)
            await service.drain(0.05)
            assert await is_closed(reader)
        assert events.named("egress.drain-incomplete") == [{"grace": 0.05}]


async def test_the_status_travels_between_processes() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as service:
            await ask_tcp(settings.forwarders[0].listen, SOA)
            status = service.status()
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(status), type=type(status)) == status
            assert service.tunnel("direct").counters.streams_total == 1
            with pytest.raises(KeyError):
                service.tunnel("other")


def test_sockets_listen_before_anybody_serves_them() -> None:
    settings = forwarder_settings([DIRECT], fresh_endpoint())
    listen = settings.forwarders[0].listen
    sockets = open_egress_sockets(settings)
    assert [each.key for each in sockets] == [("forwarder", listen, "udp"), ("forwarder", listen, "tcp")]
    with socket.create_connection(listen.sockaddr) as client:
        assert client.getpeername() == listen.sockaddr
    with pytest.raises(OSError, match=f"forwarder {listen}/udp: Address already in use"):
        open_egress_sockets(settings)
    for each in sockets:
        each.socket.close()


def test_what_was_opened_is_closed_when_the_next_fails() -> None:
    held = open_egress_socket("exit", fresh_endpoint(), "tcp")
    settings = forwarder_settings([DIRECT], fresh_endpoint(), listen=held.endpoint)
    with pytest.raises(OSError, match="in use"):
        open_egress_sockets(settings)
    assert is_free(held.endpoint.port, "udp")
    held.socket.close()


def test_the_ipv6_wildcard_takes_ipv4_too() -> None:
    place = Endpoint.parse(f"[::]:{fresh_endpoint().port}")
    opened = open_egress_socket("exit", place, "tcp")
    with socket.create_connection(("127.0.0.1", place.port)) as client:
        assert client.getpeername()[1] == place.port
    opened.socket.close()
