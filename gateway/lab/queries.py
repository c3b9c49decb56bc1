"""The queries of the lab: mostly what clients ask, now and then what a gateway should not let through."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import dns.flags
import dns.message

from gateway.lab.zones import LabZone

JUNK_SHARE = 0.1
ORDINARY = (
    ("", "SOA"),
    ("", "NS"),
    ("", "MX"),
    ("www.", "A"),
    ("www.", "AAAA"),
    ("ftp.", "A"),
    ("mail.", "A"),
    ("clock.", "TXT"),
    ("some.wild.", "TXT"),
    ("_sip._tcp.", "SRV"),
    ("missing.", "A"),
)

dice = random.Random()  # noqa: S311 - which query comes next is no secret


@dataclass(frozen=True, slots=True)
class Sent:
    """A query, and whether silence is the right answer to it."""

    wire: bytes
    silence: bool = False


def next_query(zones: Sequence[LabZone]) -> Sent:
    """What a client sends next."""
    zone = dice.choice(zones)
    if dice.random() < JUNK_SHARE:
        return dice.choice((_foreign, _everything, _answer, _noise))(zone)
    label, rdtype = dice.choice(ORDINARY)
    if zone.hosts and dice.random() < 0.5:
        label, rdtype = f"host-{dice.randrange(zone.hosts)}.", "A"
    return Sent(dns.message.make_query(label + zone.name, rdtype, want_dnssec=zone.key is not None).to_wire())


def _foreign(_: LabZone) -> Sent:
    """A name that nobody here serves."""
    return Sent(dns.message.make_query("www.elsewhere.test", "A").to_wire())


def _everything(zone: LabZone) -> Sent:
    """ANY over UDP, the favourite of amplification attacks (RFC 8482)."""
    return Sent(dns.message.make_query(zone.name, "ANY").to_wire())


def _answer(zone: LabZone) -> Sent:
    """An answer that nobody asked for, as reflected traffic brings them."""
    message = dns.message.make_query(zone.name, "A")
    message.flags |= dns.flags.QR
    return Sent(message.to_wire(), silence=True)


def _noise(_: LabZone) -> Sent:
    """Too few bytes for a header (RFC 1035 4.1.1)."""
    return Sent(secrets.token_bytes(dice.randrange(1, 12)), silence=True)
