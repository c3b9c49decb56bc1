"""The guard against dnspython as an oracle: answers made by it, signed by it, cut anywhere."""

from __future__ import annotations

import itertools

import dns.message
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.zone
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane import Answers, GuardLimits, Piece, TsigKeys, Verdict

NOW = 1_700_000_000.0
ZONE = dns.zone.from_text(
    """
$ORIGIN example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 86400 300
@ NS ns1
@ MX 10 Mail
ns1 A 192.0.2.1
Mail AAAA 2001:db8::1
_sip._tcp SRV 1 2 5060 ns1
*.wild TXT "a" "b"
""",
    "example.",
    relativize=False,
)


def records() -> list[dns.rrset.RRset]:
    soa = ZONE.get_rrset("example.", "SOA")
    assert soa is not None
    others = [
        dns.rrset.from_rdata(name, rdataset.ttl, rdata)
        for name, rdataset in ZONE.iterate_rdatasets()
        for rdata in rdataset
        if rdataset.rdtype != dns.rdatatype.SOA
    ]
    return [soa, *others, soa]


def framed(messages: list[bytes]) -> bytes:
    return b"".join(len(message).to_bytes(2) + message for message in messages)


def answer(query: dns.message.Message, rrsets: list[dns.rrset.RRset], each: int) -> bytes:
    """The messages of a transfer, `each` records in each."""
    messages = []
    for start in range(0, len(rrsets), each):
        response = dns.message.make_response(query)
        response.answer = rrsets[start : start + each]
        messages.append(response.to_wire())
    return framed(messages)


def run(query: bytes, chunks: list[bytes], keys: TsigKeys | None = None) -> tuple[bytes, Verdict]:
    """What passed, and the verdict; there is exactly one."""
    answers = Answers(limits=GuardLimits(names=1 << 20), keys=keys)
    answers.expect(query, NOW)
    pieces: list[Piece] = [piece for chunk in chunks for piece in answers.feed(chunk, NOW)]
    pieces += answers.finish()
    verdicts = [piece.verdict for piece in pieces if piece.verdict is not None]
    assert len(verdicts) == 1
    assert answers.outstanding == 0
    return b"".join(piece.data for piece in pieces), verdicts[0]


@given(each=st.integers(1, 9), cuts=st.lists(st.integers(0, 600), max_size=8))
@settings(max_examples=50, deadline=None)
def test_a_whole_zone_passes_in_any_chunks(each: int, cuts: list[int]) -> None:
    query = dns.message.make_query("example.", "AXFR")
    stream = answer(query, records(), each)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    passed, verdict = run(query.to_wire(), [stream[a:b] for a, b in itertools.pairwise(edges)])
    assert (passed, verdict.accepted, verdict.reason, verdict.kind) == (stream, True, "accepted", "axfr")
    assert (verdict.serial, verdict.zone, verdict.tsig) == (7, b"\7example\0", "none")
    assert verdict.counts == {2: 1, 6: 1, 15: 1, 1: 1, 28: 1, 33: 1, 16: 1}
    assert (verdict.added, verdict.records, verdict.size) == (7, 8, len(stream))
    assert verdict.names is not None
    assert verdict.names.count(b"\7example\0") == 5


def test_a_transfer_cut_at_any_byte_is_not_accepted() -> None:
    query = dns.message.make_query("example.", "AXFR")
    stream = answer(query, records(), 3)
    for length in range(len(stream)):
        passed, verdict = run(query.to_wire(), [stream[:length]])
        assert (verdict.accepted, verdict.reason) == (False, "cut")
        assert stream.startswith(passed)
        assert len(passed) <= length


def test_signed_by_dnspython() -> None:
    for algorithm in TsigKeys.ALGORITHMS:
        key = dns.tsig.Key("Key.example.", b"secret of sixteen", algorithm)
        query = dns.message.make_query("example.", "AXFR")
        query.use_tsig(key)
        query.to_wire()
        wire = query.to_wire()
        rrsets, messages, context = records(), list[bytes](), None
        for start in range(0, len(rrsets), 2):
            response = dns.message.make_response(query)
            response.answer = rrsets[start : start + 2]
            response.use_tsig(key)
            assert query.mac is not None
            response.request_mac = query.mac
            messages.append(response.to_wire(multi=True, tsig_ctx=context))
            context = response.tsig_ctx
        stream = framed(messages)
        keys = TsigKeys([(b"\3key\7example\0", algorithm, b"secret of sixteen")])
        answers = Answers(limits=GuardLimits(), keys=keys)
        now = float(query.tsig[0].time_signed if query.tsig else 0)
        answers.expect(wire, now)
        (piece,) = answers.feed(stream, now)
        assert piece.verdict is not None
        assert (piece.verdict.reason, piece.verdict.tsig, piece.data) == ("accepted", "verified", stream)
