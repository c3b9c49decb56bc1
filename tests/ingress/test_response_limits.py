"""Response limits through real sockets: what passes, what is cut, what is dropped, and that every answer is counted."""

from __future__ import annotations

from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from filters.settings import FilterSettings, ResponseLimits
from filters.values import Network
from tests.ingress.test_udp import Door, Starter, client, door, query, start  # noqa: F401  # two of them are fixtures
from tests.support.backends import UdpClient
from tests.support.peers import auntil


def denial(query: bytes) -> list[bytes]:
    """NXDOMAIN with the SOA of example.com."""
    response = dns.message.make_response(dns.message.from_wire(query))
    response.flags |= dns.flags.AA
    response.set_rcode(dns.rcode.NXDOMAIN)
    soa = "ns.example.com. hostmaster.example.com. 1 2 3 4 5"
    response.authority.append(dns.rrset.from_text("example.com.", 300, "IN", "SOA", soa))
    return [response.to_wire()]


def limited(**settings: object) -> FilterSettings:
    """Three answers at once; the next is due after a time that no test takes."""
    return FilterSettings(response_limits=ResponseLimits(**{"rate": 1, "window": 3, **settings}))  # type: ignore[arg-type]  # each test gives words that fit


async def settled(opened: Door, count: int) -> None:
    """Wait until the backend has answered `count` queries; each answer is sent, or dropped with a reason."""
    await auntil(lambda: opened.memory.io().get("answers-received", 0) == count, what=f"{count} answers")
    io = opened.memory.io()
    assert io["answers-received"] == io["answers-sent"] + opened.dropped_answers().total()
    assert opened.balanced()
    assert opened.ingress.in_flight == 0


def shapes(client: UdpClient) -> Counter[str]:  # noqa: F811  # the fixture's value
    """How many whole and how many cut answers came."""
    messages = [dns.message.from_wire(data) for data, _ in client.received]
    return Counter("cut" if message.flags & dns.flags.TC else "whole" for message in messages)


async def test_over_the_limit_every_second_answer_is_cut(client: UdpClient, start: Starter) -> None:  # noqa: F811
    backend = await start()
    async with door(backend.endpoint, filters=limited()) as opened:
        for identity in range(13):
            client.send(query(identity=identity), opened.address)
        await auntil(lambda: len(client.received) == 8, what="eight answers")
        await settled(opened, 13)
        assert shapes(client) == {"whole": 3, "cut": 5}
        assert opened.dropped_answers() == {"response-limited": 5}
        assert opened.memory.limited_answers() == [("positive", "drop", 5), ("positive", "truncate", 5)]
        cut = next(m for m in (dns.message.from_wire(d) for d, _ in client.received) if m.flags & dns.flags.TC)
        assert (cut.rcode(), cut.answer, cut.edns) == (dns.rcode.NOERROR, [], 0)
        assert cut.question == dns.message.from_wire(query()).question
        assert cut.id in range(13)


async def test_random_names_of_a_zone_share_a_limit(client: UdpClient, start: Starter) -> None:  # noqa: F811
    backend = await start(denial)
    async with door(backend.endpoint, filters=limited(slip=0)) as opened:
        for number in range(20):
            client.send(query(f"random-{number}.example.com"), opened.address)
        await settled(opened, 20)
        await auntil(lambda: len(client.received) == 3, what="three answers")
        assert opened.memory.limited_answers() == [("nxdomain", "drop", 17)]


async def test_exempt_and_observed_answers_pass(client: UdpClient, start: Starter) -> None:  # noqa: F811
    backend = await start()
    for settings, counted in (
        (limited(exempt=(Network.parse("127.0.0.0/8"),)), []),
        (limited(observe=True), [("positive", "observe", 7)]),
    ):
        client.received.clear()
        async with door(backend.endpoint, filters=settings) as opened:
            for identity in range(10):
                client.send(query(identity=identity), opened.address)
            await auntil(lambda: len(client.received) == 10, what="ten answers")
            await settled(opened, 10)
            assert shapes(client) == {"whole": 10}
            assert opened.memory.limited_answers() == counted
