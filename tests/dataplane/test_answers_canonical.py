"""Canonical forms as dnspython has them (RFC 4034 section 6.2): types with names in them, compressed, in mixed case."""

from __future__ import annotations

import blake3
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from dataplane import Answers, GuardLimits, Verdict

RECORDS = [
    "NS Ns1.Example.",
    "CNAME Target.eXample.",
    "PTR Target.eXample.",
    "MX 10 Mail.Example.",
    "AFSDB 1 Afs.Example.",
    "RT 10 Route.Example.",
    "KX 10 Exchange.Example.",
    "RP Some.Body.Example. Text.Example.",
    "PX 10 Map822.Example. MapX400.Example.",
    "SRV 1 2 5060 Sip.Example.",
    'NAPTR 100 10 "S" "SIP+D2U" "" _Sip._Udp.Example.',
    "DNAME Other.Test.",
    "A 192.0.2.1",
    "AAAA 2001:db8::1",
    'TXT "Text Stays" "as it IS"',
    'HINFO "CPU" "OS"',
    'CAA 0 issue "CA.example"',
    "DS 12345 13 2 " + "ab" * 32,
    "RRSIG A 13 2 300 20300101000000 20200101000000 12345 Example. c2lnbmF0dXJl",
    r"TYPE65280 \# 4 C00C0041",
    "SVCB 1 Svc.Example. alpn=h2",
]


def judge(owner: str, record: str) -> Verdict:
    query = dns.message.make_query("example.", "AXFR")
    soa = dns.rrset.from_text("eXample.", 300, "IN", "SOA", "Ns1.Example. Host.Example. 7 1 1 1 1")
    kind, _, rest = record.partition(" ")
    response = dns.message.make_response(query)
    response.answer = [soa, dns.rrset.from_text(owner, 300, "IN", kind, rest), soa]
    wire = response.to_wire()
    answers = Answers(limits=GuardLimits())
    answers.expect(query.to_wire(), 0)
    (piece,) = answers.feed(len(wire).to_bytes(2) + wire, 0)
    assert piece.verdict is not None
    return piece.verdict


def digest(owner: str, rrset: dns.rrset.RRset) -> int:
    data = rrset[0].to_digestable()
    fixed = rrset.rdtype.to_bytes(2) + rrset.rdclass.to_bytes(2) + rrset.ttl.to_bytes(4) + len(data).to_bytes(2)
    canonical = dns.name.from_text(owner).to_digestable() + fixed + data
    return int.from_bytes(blake3.blake3(canonical + bytes(-len(canonical) % 64)).digest(), "little")


@pytest.mark.parametrize("owner", ["eXample.", "SubName.eXAMPLE.", r"*.With\.Dot.example."])
@pytest.mark.parametrize("record", RECORDS, ids=[record.partition(" ")[0] for record in RECORDS])
def test_canonical_forms_are_those_of_dnspython(record: str, owner: str) -> None:
    verdict = judge(owner, record)
    assert verdict.reason == "accepted", verdict.detail
    kind, _, rest = record.partition(" ")
    soa = dns.rrset.from_text("example.", 300, "IN", "SOA", "Ns1.Example. Host.Example. 7 1 1 1 1")
    total = digest("example.", soa) + digest(owner, dns.rrset.from_text(owner, 300, "IN", kind, rest))
    assert verdict.digest == (total % (1 << 256)).to_bytes(32, "little")


def test_rdata_that_is_cut_anywhere_is_not_accepted() -> None:
    for record in RECORDS[:14]:
        kind, _, rest = record.partition(" ")
        data = dns.rrset.from_text("a.example.", 300, "IN", kind, rest)[0].to_wire() or b""
        for length in range(len(data)):
            shorter = f"TYPE{dns.rdatatype.from_text(kind)} \\# {length} {data[:length].hex()}"
            query = dns.message.make_query("example.", "AXFR")
            soa = dns.message.make_response(query)
            soa.answer = [dns.rrset.from_text("example.", 300, "IN", "SOA", ". . 7 1 1 1 1")]
            wire = bytearray(soa.to_wire())
            kind_number = dns.rdatatype.from_text(kind).to_bytes(2)
            wire += b"\1a\7example\0" + kind_number + b"\0\1\0\0\0\0" + length.to_bytes(2) + data[:length]
            wire[6:8] = b"\0\2"
            answers = Answers(limits=GuardLimits())
            answers.expect(query.to_wire(), 0)
            (piece,) = answers.feed(len(wire).to_bytes(2) + wire, 0)
            assert piece.verdict is not None
            assert piece.verdict.reason == "rdata", shorter
