"""NOTIFY (RFC 1996): a primary says that a zone has changed, and gets one answer.

    request  opcode 4, AA | question: zone SOA IN | answer: the new SOA, as a hint | TSIG, perhaps |
    answer   the same ID and question, QR, AA, opcode 4, NOERROR

Nothing is believed but that it is worth looking: the SOA that it brings is a hint (section 3.11).
"""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.SOA import SOA
from msgspec import Struct

from proxy.errors import ProtocolError
from proxy.protocol.tsig import KeyRing, Signature, TsigError, sign, verify

SERIALS = 1 << 32


class Notice(Struct, frozen=True, kw_only=True):
    """A NOTIFY that was accepted. `zone` is in lower case, with its last dot; `client` and `asked` are address and port
    of who sent it and of ours; `at` is when, in seconds of the monotonic clock, which all processes share."""

    zone: str
    serial: int | None
    client: tuple[str, int]
    asked: tuple[str, int]
    transport: str
    key: str | None
    message: bytes
    at: float


class Incoming(Struct, frozen=True):
    """A NOTIFY that could be read, not verified."""

    zone: dns.name.Name
    serial: int | None
    message: dns.message.Message
    signature: Signature | None


def read_notify(wire: bytes, keys: KeyRing) -> Incoming:
    """Read a NOTIFY about the SOA of a zone.

    Raises:
        ProtocolError: it is none.
    """
    try:
        message = dns.message.from_wire(wire, keyring=False)
        signature = keys.read(wire, message)
    except (dns.exception.DNSException, ValueError) as error:
        raise ProtocolError(f"a NOTIFY that can't be read: {error}", "formerr") from None
    if message.opcode() != dns.opcode.NOTIFY or message.flags & dns.flags.QR or len(message.question) != 1:
        raise ProtocolError("no NOTIFY", "formerr")
    question = message.question[0]
    if (question.rdtype, question.rdclass) != (dns.rdatatype.SOA, dns.rdataclass.IN):
        raise ProtocolError("a NOTIFY that is not about an SOA", "formerr")
    return Incoming(question.name, soa_serial(message, question.name), message, signature)


def soa_serial(message: dns.message.Message, zone: dns.name.Name) -> int | None:
    """The serial in the SOA of the zone that a message answers with."""
    found = (rr for rrset in message.answer if rrset.name == zone for rr in rrset if isinstance(rr, SOA))
    return next((int(record.serial) for record in found), None)


def check(incoming: Incoming, wire: bytes, now: int) -> None:
    """Verify the signature, if there is one.

    Raises:
        TsigError: it does not hold.
    """
    if incoming.signature is not None:
        verify(wire, incoming.signature, now)


def answer(
    incoming: Incoming, now: int, error: TsigError | None = None, rcode: dns.rcode.Rcode = dns.rcode.NOERROR
) -> bytes:
    """The one answer: `rcode`, or NOTAUTH with what is wrong with the signature."""
    request = incoming.message
    tsig, request.tsig = request.tsig, None  # signed below, by what is known of the key
    try:
        made = dns.message.make_response(request, our_payload=1232)
    finally:
        request.tsig = tsig
    made.flags |= dns.flags.AA
    made.set_rcode(rcode if error is None else dns.rcode.NOTAUTH)
    wire = made.to_wire()
    return wire if incoming.signature is None else sign(wire, incoming.signature, now, error)


def is_reached(serial: int, target: int) -> bool:
    """Whether `serial` is `target` or a later one (RFC 1982 section 3.2)."""
    return (serial - target) % SERIALS < SERIALS // 2
