"""What `zonegate transfer` writes: a zone file that reads as the zone, and a difference with its signs."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence

import dns.message
import dns.rdatatype
import dns.rrset
import dns.zone
from hypothesis import given
from hypothesis import strategies as st

from gateway.transfer.text import difference_lines, zone_lines

ORIGIN = "example.com."


def soa(serial: int) -> str:
    return f"{ORIGIN} 300 IN SOA ns1.{ORIGIN} hostmaster.{ORIGIN} {serial} 3600 600 86400 60"


def rrset(line: str) -> dns.rrset.RRset:
    name, ttl, class_, kind, data = line.split(maxsplit=4)
    return dns.rrset.from_text(name, int(ttl), class_, kind, data)


def wire(records: Sequence[str], cuts: Sequence[int]) -> io.BytesIO:
    """These records as the messages of one answer, cut behind those numbers."""
    made = io.BytesIO()
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(records)}), len(records)]
    for begin, end in itertools.pairwise(edges):
        message = dns.message.make_response(dns.message.make_query(ORIGIN, dns.rdatatype.AXFR))
        message.answer = [rrset(record) for record in records[begin:end]]
        data = message.to_wire(max_size=65535)
        made.write(len(data).to_bytes(2) + data)
    made.seek(0)
    return made


hosts = st.lists(st.integers(0, 999), unique=True, max_size=30)
cuts = st.lists(st.integers(1, 40), max_size=4)


@given(numbers=hosts, cuts=cuts)
def test_a_zone_file_reads_as_the_zone(numbers: list[int], cuts: list[int]) -> None:
    inside = [f"{ORIGIN} 300 IN NS ns1.{ORIGIN}"]
    inside += [f"h{number}.{ORIGIN} 300 IN A 192.0.2.{number % 256}" for number in numbers]
    lines = list(zone_lines(wire([soa(7), *inside, soa(7)], cuts)))
    assert lines == [soa(7), *inside]
    zone = dns.zone.from_text("\n".join(lines), origin=ORIGIN, relativize=False)
    assert sum(len(rdataset) for _, rdataset in zone.iterate_rdatasets()) == len(inside) + 1


@given(removed=hosts, added=hosts, cuts=cuts)
def test_a_difference_has_its_signs(removed: list[int], added: list[int], cuts: list[int]) -> None:
    out = [f"h{number}.{ORIGIN} 300 IN A 192.0.2.1" for number in removed]
    into = [f"h{number}.{ORIGIN} 300 IN A 192.0.2.2" for number in added]
    records = [soa(9), soa(7), *out, soa(8), *into, soa(8), *into, soa(9), *out, soa(9)]
    lines = list(difference_lines(wire(records, cuts)))
    first = [f"- {soa(7)}", *(f"- {line}" for line in out), f"+ {soa(8)}", *(f"+ {line}" for line in into)]
    second = [f"- {soa(8)}", *(f"- {line}" for line in into), f"+ {soa(9)}", *(f"+ {line}" for line in out)]
    assert lines == first + second


def test_nothing_is_no_line() -> None:
    assert list(difference_lines(wire([soa(9)], []))) == []
    assert list(zone_lines(io.BytesIO())) == []
