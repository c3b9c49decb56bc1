"""What a decision came to, in words: the verdict, its reason, and which rule, list or limit it was."""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple

import dns.edns
import dns.exception
import dns.name
import dns.rcode

_OPT = 41
_EDE = 15
_LONGEST = 80


class Outcome(NamedTuple):
    """For example `reply NXDOMAIN`, `rule`, `rule sinkhole`."""

    verdict: str
    reason: str
    by: str


def reply_words(reply: bytes) -> str:
    """A reply of ours in words: its RCODE, TC, and the extended error (RFC 8914) with its text, escaped."""
    code, extended = reply[3] & 15, ""
    place = 12
    if reply[4:6] != b"\0\0":
        while place < len(reply) and reply[place]:
            place += 1 + reply[place]
        place += 5
    if len(reply) >= place + 11 and struct.unpack_from("!H", reply, place + 1)[0] == _OPT:
        code |= reply[place + 5] << 4
        extended = _extended_error(reply[place + 11 :])
    words = [_rcode(code), *(["TC"] if reply[2] & 2 else ()), *([extended] if extended else ())]
    return ", ".join(words)


@functools.lru_cache(256)
def _rcode(code: int) -> str:
    return dns.rcode.to_text(dns.rcode.Rcode.make(code), tsig=False)


def _extended_error(options: bytes) -> str:
    place = 0
    while place + 4 <= len(options):
        code, length = struct.unpack_from("!HH", options, place)
        if code == _EDE and length >= 2:
            number = struct.unpack_from("!H", options, place + 4)[0]
            text = options[place + 6 : place + 4 + length].decode(errors="replace")
            return f"EDE {number}" + (f" ({escape(text)})" if text else "")
        place += 4 + length
    return ""


def escape(text: str) -> str:
    """Text without anything that a terminal would obey, and not too long."""
    safe = "".join(c if c.isprintable() and c.isascii() else f"\\u{ord(c):04x}" for c in text)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}…"


def asked_name(message: bytes) -> str | None:
    """The name that a message asks for, escaped as in zone files (RFC 1035 section 5.1); None if it has none."""
    if message[4:6] in (b"", b"\0\0"):
        return None
    try:
        name, _ = dns.name.from_wire(message, 12)
    except (dns.exception.DNSException, IndexError):
        return None
    return escape(name.to_text())
