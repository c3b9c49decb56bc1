"""A node of a few lines, over UDP: it serves SOA, and takes NOTIFY as the test says."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset

from proxy.settings import Backend
from tests.support.backends import UdpBackend


class Node(UdpBackend):
    """Serves `serial`; a NOTIFY brings it to `next`, after `deaf` of them were ignored, unless it `refuses` them."""

    def __init__(self, serial: int = 1) -> None:
        super().__init__(self._script)
        self.serial = serial
        self.next = serial
        self.deaf = 0
        self.refuses: dns.rcode.Rcode | None = None
        self.notifies: list[bytes] = []

    def _script(self, data: bytes) -> list[bytes]:
        query = dns.message.from_wire(data, keyring=False)
        query.tsig = None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        if query.opcode() != dns.opcode.NOTIFY:
            text = f"ns. h. {self.serial} 1 1 1 1"
            answer.answer.append(dns.rrset.from_text(query.question[0].name, 0, "IN", "SOA", text))
            return [answer.to_wire()]
        self.notifies.append(data)
        if self.deaf:
            self.deaf -= 1
            return []
        if self.refuses is None:
            self.serial = self.next
        else:
            answer.set_rcode(self.refuses)
        return [answer.to_wire()]

    def settings(self, name: str) -> Backend:
        """The backend that it is for a gateway."""
        return Backend(name=name, address=self.endpoint)


def notify(zone: str, serial: int | None) -> dns.message.Message:
    """A NOTIFY as BIND sends it; without a serial, as PowerDNS does."""
    message = dns.message.make_query(zone, "SOA")
    message.flags = int(dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    if serial is not None:
        message.answer.append(dns.rrset.from_text(f"{zone}.", 0, "IN", "SOA", f"ns. h. {serial} 1 1 1 1"))
    return message
