"""The made-up primary sends what a strict reader takes for whole transfers, of the size that it says."""

from __future__ import annotations

import select
import socket
import threading

import dns.message
import dns.rdatatype
import pytest

from bench import bulk, checks
from proxy.values import Endpoint
from tests.support.peers import until


def test_its_messages_read_as_dns() -> None:
    question = bulk.query(3, bulk.AXFR, 7)[12:]
    soa = dns.message.from_wire(bulk.answer(question, b"\0\7", bulk.SOA_RECORD, 1)[2:])
    assert str(soa.question[0]) == f"{bulk.zone(3)}. IN AXFR"
    assert soa.answer[0].rdtype == dns.rdatatype.SOA
    full = dns.message.from_wire(bulk.block(question, b"\0\7", 1)[2:])
    assert len({rrset.name for rrset in full.answer}) == bulk.RECORDS


@pytest.mark.parametrize("blocks", [0, 2])
def test_its_size_is_what_it_sends(blocks: int) -> None:
    question = bulk.query(blocks, bulk.AXFR, 7)[12:]
    soa = bulk.answer(question, b"\0\7", bulk.SOA_RECORD, 1)
    between = bulk.block(question, b"\0\7", bulk.BLOCK if blocks else bulk.SMALL)
    assert bulk.size(blocks) == 2 * len(soa) + max(blocks, 1) * len(between)


def test_signed_messages_hold_a_signature_for_every_record() -> None:
    question = bulk.query(2, bulk.AXFR, 7, signed=True)[bulk.HEADER :]
    full = dns.message.from_wire(bulk.block(question, b"\0\7", 1, signed=True)[2:])
    assert str(full.question[0].name) == f"{bulk.zone(2, signed=True)}."
    covered = {rrset.name for rrset in full.answer if rrset.rdtype == dns.rdatatype.RRSIG}
    assert covered == {rrset.name for rrset in full.answer if rrset.rdtype == dns.rdatatype.A}
    assert len(covered) == bulk.PAIRS
    assert {rrset[0].signer for rrset in full.answer if rrset.rdtype == dns.rdatatype.RRSIG} == {full.question[0].name}


def test_checks_are_timed_and_their_answers_read() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as primary:
        primary.bind(("127.0.0.1", 0))
        asked: list[bytes] = []
        done = threading.Event()
        answering = threading.Thread(target=answer_until, args=(primary, done, asked))
        answering.start()
        try:
            with checks.meanwhile(Endpoint.of(primary.getsockname())) as end:
                until(lambda: len(asked) > checks.WARM + 2, 10, "checks beyond those that warm up")
                taken = end()
        finally:
            done.set()
            answering.join()
    assert len(taken) == len(asked) - checks.WARM
    assert all(seconds > 0 for seconds in taken)


def answer_until(primary: socket.socket, done: threading.Event, asked: list[bytes]) -> None:
    while not done.is_set():
        if select.select([primary], [], [], 0.1)[0]:
            query, peer = primary.recvfrom(512)
            asked.append(query)
            primary.sendto(bulk.answer(query[bulk.HEADER :], query[:2], bulk.SOA_RECORD, 1)[2:], peer)
