"""The query stream counts what happens: answered, rightly silent, lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dns.exception
import dns.message
import pytest

from gateway.lab import stream as stream_module
from gateway.lab.queries import Sent, next_query
from gateway.lab.ring import loopback
from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.roles import Primary
from gateway.lab.stream import Stream
from gateway.lab.zones import LabZone, new_signing_key
from tests.support.peers import auntil, free_port

ZONES = [LabZone("plain.example", hosts=9), LabZone("signed.example", key=new_signing_key())]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask fast and give up soon, so that the tests are quick."""
    monkeypatch.setattr(stream_module, "RATE", 1000)
    monkeypatch.setattr(stream_module, "PATIENCE", 0.2)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_every_ordinary_query_is_answered(tmp_path: Path) -> None:
    role = Primary({zone.name: zone.text(1, "") for zone in ZONES})
    async with Builtin(role, tmp_path) as server:
        stream = Stream(server.endpoint, partial(next_query, ZONES))
        task = asyncio.create_task(stream.run())
        await auntil(lambda: stream.tally.answered >= 200, what="200 answers")
        await stopped(task)
    assert stream.tally.lost == 0
    assert stream.tally.over_tcp >= 5
    assert set(stream.tally.rcodes) >= {"NOERROR", "NXDOMAIN", "REFUSED"}


async def test_silence_where_an_answer_was_due_is_a_loss() -> None:
    query = dns.message.make_query("plain.example", "SOA").to_wire()
    numbers = iter(range(65536))

    def ask() -> Sent:
        return Sent(next(numbers).to_bytes(2) + query[2:])

    stream = Stream(loopback(free_port()), ask)
    task = asyncio.create_task(stream.run())
    await auntil(lambda: stream.tally.lost >= 3, what="losses")
    await stopped(task)
    assert stream.tally.answered == 0


async def test_silence_that_is_right_is_no_loss() -> None:
    stream = Stream(loopback(free_port()), lambda: Sent(b"\0", silence=True))
    task = asyncio.create_task(stream.run())
    await auntil(lambda: stream.tally.silent >= 5, what="silent queries")
    await stopped(task)
    assert stream.tally.lost == stream.tally.answered == 0


def drawn() -> Iterator[Sent]:
    return (next_query(ZONES) for _ in range(2000))


def test_the_mixture_has_both_kinds() -> None:
    queries = list(drawn())
    junk = [query for query in queries if query.silence]
    assert 10 < len(junk) < 400
    for query in queries:
        if not query.silence:
            assert dns.message.from_wire(query.wire).question
    with pytest.raises(dns.exception.DNSException):
        dns.message.from_wire(min((query.wire for query in junk), key=len))
