"""What can be blocked: a prefix (`192.0.2.0/24`), or a name with all below it (`example.com.`), as in zone files.

Names come from packets. Written out, every octet that is not a plain character is an escape (RFC 1035 section 5.1), so
a name can't bring control characters, markup or a look-alike of another script into a terminal, a log or a metric.
"""

from __future__ import annotations

import ipaddress
from typing import Literal

import dns.exception
import dns.name

from filters.errors import FilterError
from filters.names import zone_wire
from filters.values import parse_prefix

Kind = Literal["prefix", "suffix"]

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def show_name(wire: bytes) -> str:
    """A name in wire form as text, absolute; what is no name is shown in hexadecimal."""
    try:
        name, used = dns.name.from_wire(wire, 0)
    except dns.exception.DNSException:
        return f"0x{wire[:32].hex()}"
    return name.to_text() if used == len(wire) else f"0x{wire[:32].hex()}"


def read_name(text: str) -> bytes:
    """The wire form of what `show_name` wrote, in lower case: any name, also one that no operator would write.

    Raises:
        FilterError: it never wrote this.
    """
    try:
        return dns.name.from_text(text).to_digestable()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise FilterError(f"{text[:64]!r} is no name: {error}") from None


def is_canonical(kind: Kind, subject: str) -> bool:
    """Whether this is how a subject of this kind is written here."""
    try:
        return subject == (str(parse_prefix(subject)) if kind == "prefix" else show_name(read_name(subject)))
    except (FilterError, ValueError):
        return False


def parse_subject(text: str) -> tuple[Kind, str]:
    """The kind and the canonical form of what an operator wrote: an address or a prefix, else a name.

    Raises:
        FilterError: neither; with what would be right.
    """
    if not _is_like_a_prefix(text):
        return "suffix", show_name(zone_wire(text))
    try:
        prefix = parse_prefix(text)
    except ValueError as error:
        raise FilterError(str(error)) from None
    if isinstance(prefix, ipaddress.IPv6Network) and prefix.subnet_of(_MAPPED):
        raise FilterError(f"{prefix} is IPv4 written as IPv6, and no client comes from there; write the IPv4 prefix")
    return "prefix", str(prefix)


def _is_like_a_prefix(text: str) -> bool:
    """A name with its last dot is none, and a delegation of RFC 2317 (`0/25.2.0.192.in-addr.arpa`) has letters."""
    address, _, _ = text.partition("/")
    digits = address.replace(".", "").isdigit() and not any(character.isalpha() for character in text)
    return not text.endswith(".") and (":" in address or digits)
