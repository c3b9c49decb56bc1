"""A relay: an exit that passes on what is for an exit behind it (SIP023), and tells a prober as little."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import msgspec
import pytest

from proxy.egress import exit_relay
from proxy.egress.service import EgressService
from proxy.protocol.dns_frames import frame
from proxy.protocol.editions import client_datagrams, client_stream
from proxy.protocol.methods import METHODS
from proxy.settings import EgressSettings, Exit, ExitUser
from proxy.values import Endpoint, Secret
from tests.egress.prober import HANDSHAKE, check_silence, end_of
from tests.egress.ring import Events, ask_tcp, ask_udp, connection, exit_status, fresh_endpoint, fresh_key, is_closed
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.egress.test_hostile import mutated, throw
from tests.egress.users import ask_stream, user, users_exit
from tests.support import tunnels
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
ANSWER = frame(soa_answer(SOA)[0])
METHOD = "2022-blake3-aes-256-gcm"


@dataclass
class Chain:
    """A relay with a user of its own, and an exit with users behind it."""

    relay: Exit
    relay_service: EgressService
    far: Exit
    far_service: EgressService
    primary: ScriptedPrimary

    def keys(self, name: str) -> tuple[bytes, tuple[bytes, ...]]:
        """The key of a user of the far exit, and the two identity keys before it."""
        read = METHODS[METHOD].key_from_text
        assert self.relay.key is not None
        assert self.far.key is not None
        (own,) = (each.key.reveal() for each in self.far.users if each.name == name)
        return read(own), (read(self.relay.key.reveal()), read(self.far.key.reveal()))

    def head(self, key: bytes, before: tuple[bytes, ...]) -> bytes:
        return client_stream(METHODS[METHOD], key, before).open(self.primary.endpoint, frame(SOA), time.time())

    async def ask(self, name: str) -> bytes | None:
        """What a query of a user of the far exit brings, through the relay."""
        codec = client_stream(METHODS[METHOD], *self.keys(name))
        async with connection(self.relay.listen) as (reader, writer):
            writer.write(codec.open(self.primary.endpoint, frame(SOA), time.time()))
            try:
                return b"".join(codec.feed(await reader.read(65536), time.time())) or None
            except ConnectionResetError:
                return None


@asynccontextmanager
async def chained(events: Events | None = None, **limits: object) -> AsyncIterator[Chain]:
    async with (
        ScriptedPrimary() as primary,
        users_exit(METHOD, [user("berlin", METHOD), user("oslo", METHOD)], [primary.endpoint]) as (far, far_service),
    ):
        assert far.key is not None
        hop = ExitUser(name="hop", key=far.key, relay=far.listen, **limits)  # type: ignore[arg-type]  # by name
        people = [hop, user("here", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint], events, handshake_timeout=HANDSHAKE) as (
            relay,
            service,
        ):
            yield Chain(relay, service, far, far_service, primary)


def numbers(service: EgressService, name: str) -> tuple[int, int, int]:
    (status,) = (each for each in exit_status(service).users if each.name == name)
    return status.streams_total, status.datagrams_in, status.datagrams_out


async def test_a_relay_passes_on_what_is_not_for_itself() -> None:
    async with chained() as chain:
        assert await chain.ask("berlin") == ANSWER
        assert await chain.ask("oslo") == ANSWER
        assert await ask_stream(chain.relay, "here", chain.primary.endpoint, frame(SOA)) == ANSWER
        assert numbers(chain.relay_service, "hop")[0] == 2
        assert numbers(chain.relay_service, "here")[0] == 1
        assert numbers(chain.far_service, "berlin")[0] == numbers(chain.far_service, "oslo")[0] == 1
        await auntil(lambda: exit_status(chain.relay_service).streams_open == 0)
        hop = exit_status(chain.relay_service).users[0]
        assert hop.bytes_in > 2 * len(frame(SOA))
        assert hop.bytes_out > 2 * len(ANSWER)
        assert exit_status(chain.relay_service).rejects == {}


async def test_packets_pass_both_ways_each_to_its_client() -> None:
    async with chained() as chain:
        for name in ("berlin", "oslo"):
            codec = client_datagrams(METHODS[METHOD], *chain.keys(name))
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief,
            ):
                one.setblocking(False)
                thief.setblocking(False)
                for _ in range(3):
                    packet = codec.seal(chain.primary.endpoint, SOA, time.time())
                    one.sendto(packet, chain.relay.listen.sockaddr)
                    answer = await asyncio.get_running_loop().sock_recv(one, 65535)
                    assert codec.open(answer, time.time()).payload == soa_answer(SOA)[0]
                before = exit_status(chain.far_service).rejects.get("replay", 0)
                thief.sendto(packet, chain.relay.listen.sockaddr)
                await auntil(lambda: exit_status(chain.far_service).rejects.get("replay", 0) == before + 1)  # noqa: B023
                with pytest.raises(BlockingIOError):
                    thief.recv(65535)
            assert numbers(chain.far_service, name)[1:] == (3, 3)
        assert numbers(chain.relay_service, "hop")[2] == 6


async def test_a_prober_sees_silence_at_a_relay_too() -> None:
    """Also one that knows what leads to the exit behind: a recording, or keys of which the last is wrong."""
    async with chained() as chain:
        berlin, before = chain.keys("berlin")
        good, stranger = chain.head(berlin, before), os.urandom(32)
        async with connection(chain.relay.listen) as (reader, writer):
            writer.write(good)
            assert await reader.read(1)
        probes = {
            "nothing": end_of(chain.relay),
            "noise": end_of(chain.relay, os.urandom(300)),
            "a replay": end_of(chain.relay, good),
            "a replay and a FIN": end_of(chain.relay, good, fin=True),
            "an unknown user behind": end_of(chain.relay, chain.head(stranger, before)),
            "an unknown user behind, and a FIN": end_of(chain.relay, chain.head(stranger, before), fin=True),
            "an unknown hop": end_of(chain.relay, chain.head(berlin, (before[0], stranger))),
            "another relay": end_of(chain.relay, chain.head(berlin, (stranger, before[1]))),
            "a good identity header, then noise": end_of(chain.relay, good[:48] + os.urandom(200)),
            "half of it": end_of(chain.relay, good[:60]),
        }
        check_silence(dict(zip(probes, await asyncio.gather(*probes.values()), strict=True)))
        rejects = exit_status(chain.relay_service).rejects
        assert sum(rejects.values()) == len(probes)
        assert rejects["replay"] == 3
        assert rejects["relay-silent"] + rejects.get("relay-closed", 0) == 2


@pytest.mark.parametrize("state", ["closed", "hangs up"])
async def test_a_dead_exit_behind_shows_nothing(state: str) -> None:
    async with chained() as chain:
        assert chain.far.key is not None
        place = fresh_endpoint()

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(hang_up, *place.sockaddr) if state == "hangs up" else None
        hop = msgspec.structs.replace(chain.relay.users[0], relay=place)
        moved = msgspec.structs.replace(chain.relay, users=(hop, chain.relay.users[1]))
        await chain.relay_service.reload(EgressSettings(exit=moved), list(chain.relay_service.sockets))
        probes = {"nothing": end_of(moved), "a client": end_of(moved, chain.head(*chain.keys("berlin")))}
        check_silence(dict(zip(probes, await asyncio.gather(*probes.values()), strict=True)))
        reason = "relay-closed" if server is not None else "refused"
        assert exit_status(chain.relay_service).rejects == {"handshake-timeout": 1, reason: 1}
        if server is not None:
            server.close()


async def test_a_hop_has_limits_and_can_be_revoked() -> None:
    events = Events()
    async with chained(events, connections=1) as chain:
        chain.primary.script = lambda query: [b"x" * 20]
        codec = client_stream(METHODS[METHOD], *chain.keys("berlin"))
        async with connection(chain.relay.listen) as (reader, writer):
            writer.write(codec.open(chain.primary.endpoint, frame(SOA), time.time()))
            assert await reader.read(1)
            assert await chain.ask("oslo") is None
            assert exit_status(chain.relay_service).rejects == {"user-connections": 1}
            without = msgspec.structs.replace(chain.relay, users=chain.relay.users[1:])
            await chain.relay_service.reload(EgressSettings(exit=without), list(chain.relay_service.sockets))
            while not await is_closed(reader):
                pass
            (event,) = events.named("exit.keys-revoked")
            assert (event["streams"], event["users"]) == (1, "hop")


async def test_sessions_that_were_never_answered_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays from forged addresses can't take the places of clients."""
    async with chained() as chain:
        small = msgspec.structs.replace(chain.relay, associations=3)
        await chain.relay_service.reload(EgressSettings(exit=small), list(chain.relay_service.sockets))
        codec = client_datagrams(METHODS[METHOD], *chain.keys("berlin"))
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(12)]
            for each in sockets:
                each.setblocking(False)
            packet = codec.seal(chain.primary.endpoint, SOA, time.time())
            sockets[0].sendto(packet, small.listen.sockaddr)
            await asyncio.get_running_loop().sock_recv(sockets[0], 65535)
            for each in sockets[1:]:
                each.sendto(packet, small.listen.sockaddr)
            await auntil(lambda: exit_status(chain.relay_service).associations_total == 12)
            assert exit_status(chain.relay_service).associations_open == 3
            sockets[0].sendto(codec.seal(chain.primary.endpoint, SOA, time.time()), small.listen.sockaddr)
            answer = await asyncio.get_running_loop().sock_recv(sockets[0], 65535)
            assert codec.open(answer, time.time()).payload == soa_answer(SOA)[0]
            assert exit_status(chain.relay_service).associations_total == 12
            monkeypatch.setattr(exit_relay, "IDLE", 0.0)
            sockets[1].sendto(packet, small.listen.sockaddr)
            await auntil(lambda: exit_status(chain.relay_service).associations_open == 1)


@pytest.mark.parametrize("seed", range(3))
async def test_noise_at_a_relay(seed: int) -> None:
    """Heads and packets for either exit, changed, cut or lengthened: nothing but a counted reason comes of it."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    async with chained() as chain:
        berlin, before = chain.keys("berlin")
        here = [METHODS[METHOD].key_from_text(each.key.reveal()) for each in chain.relay.users if each.name == "here"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for _ in range(20):
                for key, identities in ((berlin, before), (here[0], before[:1])):
                    packet = client_datagrams(METHODS[METHOD], key, identities).seal(
                        chain.primary.endpoint, SOA, time.time()
                    )
                    udp.sendto(mutated(rng, packet), chain.relay.listen.sockaddr)
                    await throw(rng, chain.relay.listen, mutated(rng, chain.head(key, identities)))
        assert await chain.ask("oslo") == ANSWER
        assert await ask_stream(chain.relay, "here", chain.primary.endpoint, frame(SOA)) == ANSWER
        assert sum(exit_status(chain.relay_service).rejects.values()) > 0
        await auntil(lambda: exit_status(chain.relay_service).streams_open == 0)


async def test_shadowsocks_rust_through_our_relay_to_shadowsocks_rust(tmp_path: Path) -> None:
    """Their client with a chain of keys, their server behind us."""
    far, near, key = fresh_endpoint(), fresh_endpoint(), fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        hop = ExitUser(name="theirs", key=Secret(key), relay=far)
        async with users_exit(METHOD, [hop], [Endpoint.parse("192.0.2.1:53")]) as (relay, service):
            assert relay.key is not None
            chain = f"{relay.key.reveal()}:{key}"
            with ExitStack() as stack:
                for place, child in (
                    (far, tunnels.rust_server(tmp_path, far, METHOD, key)),
                    (near, tunnels.rust_tunnel(tmp_path, near, relay.listen, primary.endpoint, METHOD, chain)),
                ):
                    await asyncio.to_thread(stack.enter_context, tunnels.listening(child, place))
                assert await ask_tcp(near, SOA) == soa_answer(SOA)
                assert await ask_udp(near, SOA) == soa_answer(SOA)[0]
            assert numbers(service, "theirs")[1:] == (1, 1)
