"""The built-in server survives any bytes, and its IXFR leads from any version it knows to the latest."""

from __future__ import annotations

import dns.message
import dns.name
import dns.rcode
import dns.versioned
import dns.xfr
import dns.zone
import pytest
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from gateway.lab.builtin.contents import Contents
from gateway.lab.builtin.service import Service
from gateway.lab.builtin.transfers import VERSIONS, History
from gateway.lab.servers.roles import Key
from gateway.lab.zones import LabZone
from tests.support.zones import parsed

ZONE = LabZone("lab.example", hosts=5)
NAME = dns.name.from_text(ZONE.name)
HOSTS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 254)), max_size=12)


def history(*texts: str) -> History:
    versions = History()
    for text in texts:
        assert versions.add(Contents(parsed(text, ZONE.name)))
    return versions


def numbered(serial: int, hosts: list[tuple[int, int]]) -> str:
    lines = "".join(f"host-{host} A 192.0.2.{last}\n" for host, last in hosts)
    return f"$TTL 60\n@ SOA ns1 hostmaster {serial} 1 1 1000 30\n@ NS ns1\nns1 A 192.0.2.1\n{lines}"


SERVICE = Service({NAME: history(ZONE.text(1, ""))})


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_answered_or_dropped(wire: bytes, over_tcp: bool) -> None:
    for answer in SERVICE.answer(wire, over_tcp):
        assert answer[:2] == wire[:2]
        assert answer[2] & 0x80


@given(st.data(), st.booleans())
def test_a_mutated_query_is_answered_or_dropped(data: st.DataObject, over_tcp: bool) -> None:
    wire = bytearray(dns.message.make_query(f"www.{ZONE.name}", "A", use_edns=0).to_wire())
    for at in data.draw(st.lists(st.integers(0, len(wire) - 1), min_size=1, max_size=4)):
        wire[at] = data.draw(st.integers(0, 255))
    for answer in SERVICE.answer(bytes(wire), over_tcp):
        assert answer[:2] == wire[:2]


@given(st.lists(HOSTS, min_size=2, max_size=5), st.data())
def test_ixfr_leads_from_any_known_version_to_the_latest(
    changes: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    texts = [numbered(serial, hosts) for serial, hosts in enumerate(changes, start=1)]
    start = data.draw(st.integers(0, len(texts) - 1))
    copy = dns.zone.from_text(texts[start], ZONE.name, relativize=False, zone_factory=dns.versioned.Zone)
    query, serial = dns.xfr.make_query(copy)
    with dns.xfr.Inbound(copy, RdataType.IXFR, serial) as inbound:
        answers = Service({NAME: history(*texts)}).answer(query.to_wire(), over_tcp=True)
        done = [
            inbound.process_message(dns.message.from_wire(answer, xfr=True, one_rr_per_rrset=True))
            for answer in answers
        ]
    assert done == [False] * (len(done) - 1) + [True]
    assert copy == parsed(texts[-1], ZONE.name)


def test_a_forgotten_version_is_answered_with_everything() -> None:
    versions = history(*(numbered(serial, [(0, serial)]) for serial in range(1, VERSIONS + 3)))
    records = list(versions.transfer(since=1))
    assert [data.rdtype for _, _, data in records].count(RdataType.SOA) == 2
    assert len(records) == 5


def test_a_lower_serial_changes_nothing() -> None:
    versions = history(numbered(5, []))
    assert not versions.add(Contents(parsed(numbered(4, [(1, 1)]), ZONE.name)))
    assert versions.latest is not None
    assert versions.latest.serial == 5
    assert len(list(versions.transfer(since=5))) == 1


@pytest.mark.parametrize("over_tcp", [False, True])
def test_a_transfer_with_a_wrong_key_is_refused(over_tcp: bool) -> None:
    right, wrong = Key.generate("right").for_dnspython(), Key.generate("right").for_dnspython()
    service = Service({NAME: history(ZONE.text(1, ""))}, right, signed_transfers=True)
    query = dns.message.make_query(NAME, "AXFR")
    (refused,) = service.answer(query.to_wire(), over_tcp)
    assert dns.message.from_wire(refused).rcode() == dns.rcode.REFUSED
    query.use_tsig(wrong)
    (unknown,) = service.answer(query.to_wire(), over_tcp)
    assert dns.message.from_wire(unknown).rcode() == dns.rcode.NOTAUTH
