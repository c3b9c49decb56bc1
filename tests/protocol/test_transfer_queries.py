"""What a forwarder lets pass, with dnspython as the other reader of the same messages."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdataclass
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import pytest
from dns.rcode import Rcode
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.transfer_queries import TransferGate, answers, error_reply, read_query, read_question

KEYRING = dns.tsigkeyring.from_text({"key.": "c2VjcmV0IG9mIHRlc3Rz"})
GATE = TransferGate(["Example.com", "xn--bcher-kva.example."])


def query(name: str = "example.com", kind: str = "SOA", **more: object) -> dns.message.Message:
    return dns.message.make_query(name, kind, **more)  # type: ignore[arg-type]  # passed by name, as given


@pytest.mark.parametrize(
    ("name", "kind", "refusal"),
    [
        ("example.com", "SOA", None),
        ("EXAMPLE.com", "AXFR", None),
        ("xn--bcher-kva.example", "IXFR", None),
        ("www.example.com", "SOA", "zone"),
        ("com", "AXFR", "zone"),
        (".", "SOA", "zone"),
        ("example.com", "A", "type"),
        ("example.com", "ANY", "type"),
        ("example.com", "NS", "type"),
    ],
)
def test_types_and_zones(name: str, kind: str, refusal: str | None) -> None:
    wire = query(name, kind, use_edns=0).to_wire()
    assert GATE.refusal(read_query(wire)) == refusal
    assert TransferGate().refusal(read_query(wire)) == (None if refusal == "zone" else refusal)


def test_other_classes_and_opcodes() -> None:
    chaos = query(rdclass=dns.rdataclass.CH).to_wire()
    assert GATE.refusal(read_query(chaos)) == "type"
    notify = query()
    notify.set_opcode(dns.opcode.NOTIFY)
    assert GATE.refusal(read_query(notify.to_wire())) == "opcode"
    assert GATE.refusal(read_query(dns.update.UpdateMessage("example.com").to_wire())) == "opcode"


def test_a_bad_zone_name_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a zone name"):
        TransferGate(["a..b"])


@pytest.mark.parametrize("edns", [False, 0])
def test_refused_is_an_answer_to_the_question(edns: bool | int) -> None:
    asked = query("Example.COM", "A", use_edns=edns)
    asked.use_tsig(KEYRING)
    asked.flags |= dns.flags.RD
    wire = asked.to_wire()
    reply = dns.message.from_wire(error_reply(wire, read_query(wire), Rcode.REFUSED))
    assert reply.rcode() == Rcode.REFUSED
    assert dns.message.from_wire(wire, keyring=KEYRING).is_response(reply)
    assert reply.edns == (0 if edns is not False else -1)
    assert reply.flags == dns.flags.QR | dns.flags.RD | Rcode.REFUSED


def test_answers_are_matched_by_id_and_question() -> None:
    asked = query("Example.com")
    question = read_query(asked.to_wire())
    good = dns.message.make_response(asked)
    assert answers(good.to_wire(), question)
    assert not answers(asked.to_wire(), question)
    good.id ^= 1
    assert not answers(good.to_wire(), question)
    assert not answers(dns.message.make_response(query("example.org", id=asked.id)).to_wire(), question)
    bare = asked.id.to_bytes(2) + b"\x80\x01" + bytes(8)
    assert answers(bare, question)
    assert not answers(bare[:3] + b"\0" + bare[4:], question)


@given(st.binary(max_size=60))
def test_any_bytes_are_no_answer_or_one(data: bytes) -> None:
    question = read_query(query(id=0).to_wire())
    assert answers(data, question) in (True, False)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda data: b"\0\0\0\0\0\1\0\0\0\0\0\0" + data))
def test_hostile_messages_raise_only_protocol_errors(message: bytes) -> None:
    try:
        question = read_question(message)
    except ProtocolError:
        return
    assert message[12:].startswith(question.wire)
    assert len(error_reply(message, question, Rcode.REFUSED)) in (12 + len(question.wire), 23 + len(question.wire))


labels = st.binary(min_size=1, max_size=63)
names = st.lists(labels, max_size=6).filter(lambda found: sum(map(len, found)) + len(found) < 255)


@given(names, st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 255))
def test_questions_are_read_as_dnspython_reads_them(name: list[bytes], kind: int, class_: int, flags: int) -> None:
    flags &= 0x7F if flags & 0x78 != 0x28 else 0x07  # dnspython has rules of its own for the question of an UPDATE
    wire = bytes((0x12, 0x34, flags, 0, 0, 1)) + bytes(6)
    wire += b"".join(bytes((len(label),)) + label for label in name) + b"\0" + kind.to_bytes(2) + class_.to_bytes(2)
    ours = read_query(wire)
    theirs = dns.message.from_wire(wire, question_only=True)
    assert ours.id == theirs.id
    assert ours.opcode == theirs.opcode()
    section = theirs.sections[0][0]
    assert ours.name == section.name.to_digestable()
    assert (ours.type, ours.class_) == (section.rdtype, section.rdclass)


@given(st.binary(max_size=60).map(lambda data: b"\0\0\0\0\0\1\0\0\0\0\0\0" + data))
def test_what_we_accept_dnspython_accepts(message: bytes) -> None:
    try:
        ours = read_query(message)
    except ProtocolError:
        return
    theirs = dns.message.from_wire(message, question_only=True)
    assert ours.name == theirs.question[0].name.to_digestable()
