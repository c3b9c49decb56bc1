"""What the attack measurement stands on: the node of known capacity, and the honest client."""

from __future__ import annotations

import asyncio

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from bench.node import HOSTS, Node, answer, host
from bench.policies import dnsdist_defence, zonegate_defence
from bench.resolver import _query
from bench.zones import ZONE
from gateway.config import load_tree
from gateway.config.source import parse
from proxy.values import Endpoint


@pytest.mark.parametrize("edns", [-1, 0])
@pytest.mark.parametrize(
    ("name", "kind", "rcode", "records"),
    [
        (host(0), "A", dns.rcode.NOERROR, 1),
        (host(HOSTS - 1).upper(), "A", dns.rcode.NOERROR, 1),
        (host(HOSTS), "A", dns.rcode.NXDOMAIN, 0),
        (ZONE, "SOA", dns.rcode.NOERROR, 1),
        (f"a.b.{ZONE}", "A", dns.rcode.NXDOMAIN, 0),
    ],
)
def test_the_node_answers_as_a_server_would(name: str, kind: str, edns: int, rcode: int, records: int) -> None:
    query = dns.message.make_query(name, kind, use_edns=edns)
    reply = dns.message.from_wire(answer(query.to_wire()))
    assert query.is_response(reply)
    assert (reply.rcode(), len(reply.answer), reply.edns) == (rcode, records, edns)
    assert reply.flags & dns.flags.AA
    if rcode == dns.rcode.NXDOMAIN:
        assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]
        assert str(reply.authority[0].name) == f"{ZONE}."


async def test_what_finds_the_queue_full_is_lost() -> None:
    node = Node(1000)
    answers: list[bytes] = []
    for number in range(200):
        node.ask(_query(number, host(number), b"12345678"), answers.append)
    async with asyncio.timeout(10):
        while len(answers) < 50:  # 50 ms of its capacity  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0)
    assert [int.from_bytes(message[:2]) for message in answers] == list(range(50))


def test_the_honest_client_asks_what_others_can_read() -> None:
    query = dns.message.from_wire(_query(7, host(3), bytes(8)))
    assert (query.id, str(query.question[0].name), query.edns) == (7, f"{host(3)}.", 0)
    assert [option.otype for option in query.options] == [10]


def test_both_defences_protect_the_same_zone() -> None:
    entry, node = Endpoint.parse("10.66.0.1:5300"), Endpoint.parse("127.0.0.1:5301")
    tree = parse("bench", f"version = 1\n{zonegate_defence(entry, node, ZONE)}".encode())
    assert load_tree("bench", tree).filters.zones == (ZONE,)
    assert f'makeRule("{ZONE}")' in dnsdist_defence(ZONE)
