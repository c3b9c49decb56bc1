"""The zones of the transfers' part of the matrix: varied types, one signed, one large; and what changes in them.

Serial 2 adds a record, removes one, replaces one, and gives an RRset another TTL: what IXFR must say in both halves of
a sequence (RFC 1995 §4), also of what is the same but for its TTL, which an RRset has as a whole (RFC 2181 §5.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from gateway.lab.zones import HEAD, LabZone, new_signing_key

Kind = Literal["signed", "large"]

LARGE_RRSET = 300  # records; three times what BIND takes unless told otherwise
FILLERS = 300  # TXT records of 250 bytes: with them a zone fills more than one message of the largest size
VARIED = r"""
text TXT "quotes \" and \\ and \000\200\255" "a second string" ""
hinfo HINFO "a machine" "a system"
point PTR www
mapped NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .
place LOC 52 22 23.000 N 4 53 32.000 E -2.00m 1m 10000m 10m
rp RP hostmaster text
afs AFSDB 1 www
_443._tcp.www TLSA 3 1 1 0d6fce3320315023ff499f3f4d76eb22a4ba4ba0a9a6a1b5e2b0e2a35c20ab11
ssh SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
_http URI 10 1 "https://www.example/path"
svc SVCB 1 www.elsewhere.example. alpn="h2,h3"
web HTTPS 1 . alpn="h2"
dn DNAME www
eui EUI48 00-00-5e-00-53-2a
safe NS ns.elsewhere.example.
safe DS 12345 13 2 2bb183af5f22588179a53b0a98631fad1a292118aae7d5f2f2aa2a07b8e0ac01
unknown TYPE65280 \# 4 0a000001
a.b.c.d.e A 192.0.2.78
"""

_SIGNING_KEY = new_signing_key()


def text(kind: Kind, name: str, serial: int) -> str:
    """A zone in master-file format at serial 1 or 2."""
    lines = VARIED + (
        f"moved-{serial} A 192.0.2.{serial}\n"
        f"replaced AAAA 2001:db8::{serial}\n"
        f"older {60 * serial} A 192.0.2.90\nolder {60 * serial} A 192.0.2.91\n"
    )
    zone = LabZone(name, more=lines)
    if kind == "signed":
        return replace(zone, key=_SIGNING_KEY).text(serial, f"change {serial}")
    mixed = "MixedCase A 192.0.2.77\n"
    fillers = "".join(f'filler-{number} TXT "{number:0250}"\n' for number in range(FILLERS))
    # Of the RRset one record goes and one comes.
    many = "".join(f"many A 10.9.{number >> 8}.{number & 255}\n" for number in range(serial, LARGE_RRSET + serial))
    # Not through dnspython, which would take most of the time of the whole table.
    return f"$ORIGIN {name}.\n{HEAD.format(serial=serial, moment=f'change {serial}')}{lines}{mixed}{fillers}{many}"
