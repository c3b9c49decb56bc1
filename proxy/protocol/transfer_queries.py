"""What a node may ask a primary through a forwarder: SOA, AXFR and IXFR for the zones of the forwarder, nothing else.

    ID 16 | QR 1 | opcode 4 | AA TC RD RA | Z AD CD | RCODE 4 | QDCOUNT 16 | ... | name | type 16 | class 16

Only header and question (RFC 1035 §4.1) are read. What follows, such as the SOA of an IXFR, EDNS and TSIG, is
between node and primary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
from dns.opcode import Opcode
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from proxy.errors import ProtocolError

HEADER_SIZE = 12
PLAIN_UDP_SIZE = 512  # without EDNS (RFC 1035 §4.2.1)
TC = 0x0200
TYPES = frozenset((RdataType.SOA, RdataType.AXFR, RdataType.IXFR))
_EMPTY_OPT = (
    b"\0" + RdataType.OPT.to_bytes(2) + (1232).to_bytes(2) + bytes(6)
)  # root | OPT | UDP size | no flags, no options


@dataclass(frozen=True, slots=True)
class Question:
    """Header and question of one message."""

    id: int
    opcode: int
    response: bool
    name: bytes  # wire form, in small letters
    type: int
    class_: int
    wire: bytes  # the question section as it was sent

    @property
    def key(self) -> bytes:
        """What an answer must repeat: the ID and the question, letters as they were sent."""
        return self.id.to_bytes(2) + self.wire


def read_question(message: bytes) -> Question:
    """Read header and question of a query or an answer.

    Raises:
        ProtocolError: shorter than its header says, not exactly one question, or a name that is none.
    """
    if len(message) < HEADER_SIZE:
        raise ProtocolError(f"a DNS message of {len(message)} bytes is too short")
    if int.from_bytes(message[4:6]) != 1:
        raise ProtocolError("a DNS message without exactly one question")
    at = HEADER_SIZE
    while True:
        # A name in the question can't be compressed: there is nothing before it that it could point to.
        size = message[at] if at < len(message) else 64
        if size > 63 or at - HEADER_SIZE + size > 254:
            raise ProtocolError("a DNS question without a valid name")
        at += 1 + size
        if size == 0:
            break
    if len(message) < at + 4:
        raise ProtocolError("a DNS message ends inside its question")
    return Question(
        id=int.from_bytes(message[:2]),
        opcode=message[2] >> 3 & 15,
        response=message[2] >= 0x80,
        name=message[HEADER_SIZE:at].lower(),
        type=int.from_bytes(message[at : at + 2]),
        class_=int.from_bytes(message[at + 2 : at + 4]),
        wire=message[HEADER_SIZE : at + 4],
    )


class TransferGate:
    """Decides which queries pass. `zones` are names as written in the configuration; none lets all zones pass."""

    def __init__(self, zones: Iterable[str] = ()) -> None:
        """Compile the zones.

        Raises:
            ValueError: not a domain name.
        """
        try:
            self._zones = frozenset(dns.name.from_text(zone).to_digestable() for zone in zones)
        except dns.exception.DNSException as error:
            raise ValueError(f"not a zone name: {error}") from None

    def refusal(self, question: Question) -> str | None:
        """Why this query must be refused, as a label; None lets it pass."""
        if question.opcode != Opcode.QUERY:
            return "opcode"
        if question.class_ != RdataClass.IN or question.type not in TYPES:
            return "type"
        if self._zones and question.name not in self._zones:
            return "zone"
        return None


def read_query(message: bytes) -> Question:
    """`read_question` for what a node sends.

    Raises:
        ProtocolError: as there, or it is an answer.
    """
    question = read_question(message)
    if question.response:
        raise ProtocolError("an answer where a query should be", "not-a-query")
    return question


def answers(message: bytes, question: Question) -> bool:
    """Whether a datagram answers the question: the same ID and question; an error may come without a question.

    Any bytes are taken; what can't be read is no answer.
    """
    if len(message) < HEADER_SIZE or message[2] < 0x80 or message[:2] != question.id.to_bytes(2):
        return False
    if message[4:6] == b"\0\0":
        return message[3] & 15 != Rcode.NOERROR
    return message[4:6] == b"\0\1" and message[HEADER_SIZE:].lower().startswith(question.wire.lower())


def error_reply(message: bytes, question: Question, rcode: Rcode) -> bytes:
    """The answer to a query that does not pass: ID, opcode, RD and question repeated.

    It has EDNS where the query has it (RFC 6891 §6.1.1).
    """
    return _reply(message, question, rcode)


def truncated_reply(message: bytes, question: Question) -> bytes:
    """An answer that says no more than "ask over TCP": TC is set, and no record is in it (RFC 2181 §9)."""
    return _reply(message, question, TC)


def _reply(message: bytes, question: Question, low_flags: int) -> bytes:
    opt = _EMPTY_OPT if udp_size(message) is not None else b""
    flags = 0x8000 | question.opcode << 11 | (message[2] & 1) << 8 | low_flags
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if opt else b"\0\0")
    return question.id.to_bytes(2) + flags.to_bytes(2) + counts + question.wire + opt


def udp_size(message: bytes) -> int | None:
    """The largest datagram that whoever sent this query takes, by its EDNS (RFC 6891 §6.2.3); None: it has none."""
    try:
        parsed = dns.message.from_wire(message, keyring=False, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):  # a broken rest of the message: taken as without EDNS
        return None
    return max(parsed.payload, PLAIN_UDP_SIZE) if parsed.edns >= 0 else None
