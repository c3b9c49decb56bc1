"""What the wire check reads of a message, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

Name = tuple[bytes, ...]
"""Labels in lower case, without the root."""

QUERY, NOTIFY, UPDATE = 0, 4, 5
SOA, SIG, OPT, TKEY, TSIG, IXFR, AXFR, ANY = 6, 24, 41, 249, 250, 251, 252, 255
IN, CH, ANY_CLASS = 1, 3, 255
COOKIE, ECS = 10, 8

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS, BADCOOKIE = 0, 1, 2, 3, 4, 5, 16, 23


def is_stream(transport: str) -> bool:
    """Whether the transport has shown that the client is where it says."""
    return transport != "udp"


@dataclass
class Question:
    """The only question, or the zone of an UPDATE."""

    name: Name
    qtype: int
    qclass: int
    wire: bytes


@dataclass
class Edns:
    """What OPT says (RFC 6891 section 6.1)."""

    size: int
    version: int
    dnssec_ok: bool
    options: list[tuple[int, bytes]] = field(default_factory=list)

    def cookie(self) -> bytes | None:
        """The first COOKIE."""
        return next((value for code, value in self.options if code == COOKIE), None)


@dataclass
class Header:
    """RFC 1035 section 4.1.1."""

    id: int
    flags: int
    counts: tuple[int, int, int, int]

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15

    @property
    def rcode(self) -> int:
        return self.flags & 15


@dataclass
class Read:
    """All that was read."""

    header: Header
    question: Question | None = None
    edns: Edns | None = None
    signed: bool = False
    trailing: bool = False
    is_whole: bool = True
    """The records were read to their end."""
    observed: list[str] = field(default_factory=list)
    """Rows that the message breaks and that are only observed, in order."""

    def cookie(self) -> bytes | None:
        """The first COOKIE. What was not read whole shows none: nothing in it may be changed."""
        return self.edns.cookie() if self.edns is not None and self.is_whole else None


@dataclass
class Fault(Exception):  # noqa: N818  # it is a finding, and no error of the model
    """The message breaks a row: `choice` is what is done about it."""

    reason: str
    choice: str
