"""Any bytes on any socket: nothing breaks, everything is counted, and the next honest node is served."""

from __future__ import annotations

import asyncio
import random
import socket
import time

import dns.exception
import dns.message
import pytest

from proxy.protocol.dns_frames import frame
from proxy.protocol.editions import client_datagrams, client_stream
from proxy.protocol.methods import METHODS
from proxy.settings import EgressSettings
from proxy.values import Endpoint
from tests.egress.ring import (
    ask_tcp,
    ask_udp,
    connection,
    exit_settings,
    exit_status,
    forwarder_settings,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
ROUNDS = 60


def patient(query: bytes) -> list[bytes]:
    """Answers what is a query; what was mutated behind its question reaches the primary, as it should."""
    try:
        return soa_answer(query)
    except dns.exception.DNSException:
        return []


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, cut off, or put behind."""
    copy = bytearray(data)
    for _ in range(rng.randrange(4)):
        copy[rng.randrange(len(copy))] = rng.randrange(256)
    return bytes(copy[: rng.randrange(1, len(copy) + 1)]) + rng.randbytes(rng.choice((0, 0, 1, 300)))


async def throw(rng: random.Random, place: Endpoint, data: bytes) -> None:
    """Over TCP in a few pieces, with a FIN behind them or without."""
    async with connection(place) as (_, writer):
        while data and not writer.is_closing():
            size = rng.choice((1, 40, len(data)))
            writer.write(data[:size])
            data = data[size:]
            await asyncio.sleep(0)
        if rng.random() < 0.5 and not writer.is_closing():
            writer.write_eof()


@pytest.mark.parametrize("method", ["2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305", "aes-128-gcm"])
@pytest.mark.parametrize("seed", range(3))
async def test_noise_at_every_door(method: str, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable
    key = fresh_key(method)
    async with ScriptedPrimary(patient) as primary:
        exit_ = exit_settings(method, key, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(method, key, exit_.listen))], primary.endpoint)
        listen = settings.forwarders[0].listen
        found = METHODS[method]
        secret = found.key_from_text(key)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            async with running(EgressSettings(exit=exit_)) as far, running(settings) as near:
                for _ in range(ROUNDS):
                    head = client_stream(found, secret).open(primary.endpoint, frame(SOA), time.time())
                    packet = client_datagrams(found, secret).seal(primary.endpoint, SOA, time.time())
                    await throw(rng, exit_.listen, rng.choice((mutated(rng, head), rng.randbytes(200))))
                    await throw(rng, listen, rng.choice((mutated(rng, frame(SOA)), rng.randbytes(200))))
                    udp.sendto(mutated(rng, packet), exit_.listen.sockaddr)
                    udp.sendto(mutated(rng, SOA), listen.sockaddr)
                assert await ask_tcp(listen, SOA) == soa_answer(SOA)
                assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
                assert sum(exit_status(far).rejects.values()) > 0
                assert sum(near.status().forwarders[0].refused.values()) > 0
                await auntil(lambda: near.status().forwarders[0].connections_open == 0)


@pytest.mark.parametrize("method", ["2022-blake3-aes-256-gcm", "aes-128-gcm"])
async def test_a_far_end_that_lies(method: str) -> None:
    """What comes back through the tunnel is noise, or a true answer with a byte changed: no node gets a wrong byte."""
    rng = random.Random(7)  # noqa: S311 - repeatable
    key = fresh_key(method)
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(method, key, [primary.endpoint])
        async with running(EgressSettings(exit=exit_)):

            async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                async with connection(exit_.listen) as (from_exit, to_exit):
                    to_exit.write(await reader.read(65536))
                    answer = await from_exit.read(65536)
                    at = rng.randrange(len(answer))
                    writer.write(answer[:at] + bytes((answer[at] ^ rng.randrange(1, 256),)) + answer[at + 1 :])
                    writer.close()

            place = exit_settings(method, key, []).listen
            liar = await asyncio.start_server(lie, *place.sockaddr)
            try:
                ways = [tunnel("liar", ss_url(method, key, place)), tunnel("true", ss_url(method, key, exit_.listen))]
                settings = forwarder_settings(ways, primary.endpoint)
                async with running(settings) as near:
                    for _ in range(20):
                        assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
                    assert near.status().tunnels[0].failures.keys() <= {"authentication", "short-header", "cut"}
            finally:
                liar.close()
