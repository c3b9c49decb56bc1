"""One message in, its answers out: what primary and node have in common. Knows no socket.

A message that can't be read is answered FORMERR if its header can be, else dropped: it never raises.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.tsig
from dns.name import Name
from dns.rdatatype import RdataType

from gateway.lab.builtin.answers import Answer
from gateway.lab.builtin.transfers import History, messages, since

HEADER = 12
TRANSFERS = (RdataType.AXFR, RdataType.IXFR)


class Service:
    """The zones of one server, and what it answers about them.

    `notified` is called with the zone of each NOTIFY; without it the server takes none.
    """

    def __init__(
        self,
        zones: dict[Name, History],
        key: dns.tsig.Key | None = None,
        signed_transfers: bool = False,
        notified: Callable[[Name], None] | None = None,
    ) -> None:
        self.zones = zones
        self._keyring = {key.name: key} if key else None
        self._signed_transfers = signed_transfers
        self._notified = notified

    def answer(self, wire: bytes, over_tcp: bool) -> Iterator[bytes]:
        """The answers to one message: none, one, or the messages of a transfer. Never raises."""
        try:
            query = dns.message.from_wire(wire, keyring=self._keyring)
        except (dns.message.UnknownTSIGKey, dns.tsig.BadSignature, dns.tsig.BadTime, dns.tsig.BadKey):
            yield from _refusal(wire, dns.rcode.NOTAUTH)
            return
        except (dns.exception.DNSException, ValueError, struct.error):
            yield from _refusal(wire, dns.rcode.FORMERR)
            return
        if query.flags & dns.flags.QR:
            return
        history = self._zone_of(query)
        if query.opcode() == dns.opcode.QUERY and history is not None and query.question[0].rdtype in TRANSFERS:
            yield from self._transfer(query, history, over_tcp)
            return
        response = self._response(query, history)
        yield response.to_wire(max_size=65535 if over_tcp else 0, prefer_truncation=True)

    def _response(self, query: dns.message.Message, history: History | None) -> dns.message.Message:
        if query.opcode() == dns.opcode.NOTIFY and self._notified and history is not None:
            self._notified(query.question[0].name)
            response = dns.message.make_response(query)
            response.flags |= dns.flags.AA
            return response
        if query.opcode() != dns.opcode.QUERY:
            return _error(query, dns.rcode.NOTIMP)
        if len(query.question) != 1:
            return _error(query, dns.rcode.FORMERR)
        if history is None:
            return _error(query, dns.rcode.REFUSED)
        if history.latest is None:
            return _error(query, dns.rcode.SERVFAIL)
        return Answer(query, history.latest).message

    def _transfer(self, query: dns.message.Message, history: History, over_tcp: bool) -> Iterator[bytes]:
        latest = history.latest
        question = query.question[0]
        if latest is None:
            yield _error(query, dns.rcode.SERVFAIL).to_wire()
        elif question.name != latest.origin or (self._signed_transfers and not query.had_tsig):
            yield _error(query, dns.rcode.REFUSED).to_wire()
        elif over_tcp:
            yield from messages(query, history.transfer(since(query)))
        elif question.rdtype == RdataType.IXFR:
            # Over UDP the SOA alone says: come back over TCP (RFC 1995 2).
            yield from messages(query, history.transfer(latest.serial))
        else:
            yield _error(query, dns.rcode.REFUSED).to_wire()

    def _zone_of(self, query: dns.message.Message) -> History | None:
        if len(query.question) != 1 or query.question[0].rdclass != dns.rdataclass.IN:
            return None
        name = query.question[0].name
        for depth in range(len(name), 0, -1):
            history = self.zones.get(name.split(depth)[1])
            if history is not None:
                return history
        return None


def _error(query: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.set_rcode(rcode)
    return response


def _refusal(wire: bytes, rcode: dns.rcode.Rcode) -> Iterator[bytes]:
    if len(wire) >= HEADER and not wire[2] & 0x80:
        yield wire[:2] + bytes([0x80 | wire[2] & 0x79, rcode]) + bytes(8)
