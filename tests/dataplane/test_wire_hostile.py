"""Messages made to hurt, after the security advisories of the field's servers. Each gets a verdict.

No time is measured here; the work is bounded because every record that is walked takes at least 11 bytes of the
message, and no pointer is ever followed.
"""

from __future__ import annotations

import struct

import dns.message
import pytest

from dataplane import check_message

QUESTION = b"\3www\7example\3com\0\0\1\0\1"


def message(body: bytes, *, flags: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    """A header with these counts in front of `body`."""
    return struct.pack("!6H", 0x1234, flags, *counts) + body


def opt(options: bytes, *, length: int | None = None) -> bytes:
    """An OPT record whose RDLEN is that of the options, or a lie."""
    return b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(options) if length is None else length) + options


def record(owner: bytes, rdata: bytes = b"", *, kind: int = 1) -> bytes:
    """A record of class IN."""
    return owner + struct.pack("!HHIH", kind, 1, 0, len(rdata)) + rdata


UPDATE = 5 << 11
ZONE = b"\7example\0\0\6\0\1"

HOSTILE = {
    "a name that points to itself": (message(b"\xc0\x0c\0\1\0\1"), "name-compressed"),
    "a name that points to the next pointer and back": (message(b"\xc0\x0e\xc0\x0c\0\1\0\1"), "name-compressed"),
    "labels that run into the type": (message(b"\x3f" + b"a" * 10), "name-cut"),
    "a name of 128 labels": (message(b"\1a" * 128 + b"\0\0\1\0\1"), "name-too-long"),
    "only labels, to the end of 64 KiB": (message(b"\1a" * 1900), "name-too-long"),
    "counts of 65535": (message(QUESTION, counts=(65535, 65535, 65535, 65535)), "question-count"),
    "an UPDATE that claims 196605 records": (
        message(ZONE, flags=UPDATE, counts=(1, 65535, 65535, 65535)),
        "record-name",
    ),
    "a pointer chain as long as the message": (
        message(
            ZONE + b"".join(record(struct.pack("!H", 0xC000 | max(12, 13 + 12 * n))) for n in range(1000)),
            flags=UPDATE,
            counts=(1, 0, 1000, 0),
        ),
        "ok",
    ),
    "records that all point forwards": (
        message(ZONE + record(b"\xc0\xff") * 100, flags=UPDATE, counts=(1, 0, 100, 0)),
        "record-name",
    ),
    "RDLEN past the end": (message(QUESTION + opt(b"", length=65535), counts=(1, 0, 0, 1)), "record-cut"),
    "RDLEN one short of the options": (
        message(QUESTION + opt(b"\0\3\0\0", length=3), counts=(1, 0, 0, 1)),
        "edns-options",
    ),
    "an option hidden behind the options": (
        message(QUESTION + opt(b"\0\3\0\0") + b"\0\x0a\0\x08aaaaaaaa", counts=(1, 0, 0, 1)),
        "trailing-bytes",
    ),
    "a second OPT that another reader might take": (
        message(QUESTION + opt(b"") + opt(b"\0\x0a\0\x08aaaaaaaa"), counts=(1, 0, 0, 2)),
        "opt-duplicate",
    ),
    "an option whose length swallows the next": (
        message(QUESTION + opt(b"\0\3\0\x05\0\x0a\0\x08"), counts=(1, 0, 0, 1)),
        "edns-options",
    ),
    "a thousand empty options": (message(QUESTION + opt(b"\xff\0\0\0" * 1000), counts=(1, 0, 0, 1)), "ok"),
    "a cookie that is nearly one": (
        message(QUESTION + opt(b"\0\x0a\0\x0f" + b"a" * 15), counts=(1, 0, 0, 1)),
        "edns-cookie",
    ),
    "a response with a query's body": (message(QUESTION, flags=0x8000), "is-response"),
    "a name that would write HTML and metrics": (message(b'\x15<script>"} 1\n# {{x}}\\\0\0\1\0\1'), "ok"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_message(what: str) -> None:
    wire, expected = HOSTILE[what]
    reading, reason, reply = check_message(wire, "tcp")
    assert reason == expected
    assert (reading is not None) == (expected == "ok")
    if reply is not None:
        assert len(reply) <= len(wire) + 11, "a reply does not amplify"
        assert dns.message.from_wire(reply).id == 0x1234


def test_pipelined_messages_are_not_one() -> None:
    """The caller splits a stream; two messages given as one are a fault, and nothing recurses into the second."""
    wire = message(QUESTION)
    assert check_message(wire * 100, "tcp")[1] == "trailing-bytes"


@pytest.mark.parametrize("length", range(12))
def test_less_than_a_header_is_dropped(length: int) -> None:
    assert check_message(message(QUESTION)[:length], "tcp") == (None, "too-short", None)


def test_every_cut_of_a_message_gets_a_verdict() -> None:
    wire = message(QUESTION + opt(b"\0\x0a\0\x08aaaaaaaa"), counts=(1, 0, 0, 1))
    assert check_message(wire, "udp")[1] == "ok"
    for length in range(len(wire)):
        reading, reason, _ = check_message(wire[:length], "udp")
        assert reading is None
        assert reason != "ok"


def test_every_byte_changed_in_every_way_gets_a_verdict() -> None:
    wire = message(QUESTION + opt(b"\0\x0a\0\x08aaaaaaaa"), counts=(1, 0, 0, 1))
    reasons = set()
    for at in range(len(wire)):
        for value in range(256):
            reading, reason, reply = check_message(wire[:at] + bytes([value]) + wire[at + 1 :], "udp")
            reasons.add(reason)
            assert (reading is not None) == (reason == "ok")
            assert reading is None or reply is None
    assert len(reasons) > 20
