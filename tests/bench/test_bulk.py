"""The made-up primary sends what a strict reader takes for whole transfers, of the size that it says."""

from __future__ import annotations

import dns.message
import dns.rdatatype
import pytest

from bench import bulk


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
