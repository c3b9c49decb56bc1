"""Reads the answers of servers that say from which address they were asked.

Such are `o-o.myaddr.l.google.com` TXT at Google's name servers and `whoami.akamai.net` A at Akamai's. A TXT may hold
other strings beside the address (Google adds `edns0-client-subnet …`); what is no address is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from proxy.errors import PrimaryError
from proxy.settings.whoami import Whoami
from proxy.values import IPAddress

MOST = 8  # addresses of one answer


def whoami_query(settings: Whoami) -> bytes:
    """The question.

    Raises:
        dns.exception.DNSException: the name is none.
    """
    return dns.message.make_query(dns.name.from_text(settings.name), settings.type, flags=0).to_wire()


def read_whoami(message: bytes) -> tuple[IPAddress, ...]:
    """The addresses in an answer.

    Raises:
        PrimaryError: there is none in it; "malformed", "rcode" or "no-address".
    """
    try:
        answer = dns.message.from_wire(message)
    except (dns.exception.DNSException, ValueError):
        raise PrimaryError("the whoami server sent what is no DNS message", "malformed") from None
    if answer.rcode() != dns.rcode.NOERROR:
        raise PrimaryError(f"the whoami server answers {dns.rcode.to_text(answer.rcode())}", "rcode")
    found = dict.fromkeys(_addresses(answer))
    if not found:
        raise PrimaryError("the whoami server answers without an address", "no-address")
    return tuple(found)[:MOST]


def _addresses(answer: dns.message.Message) -> Iterator[IPAddress]:
    for records in answer.answer:
        for record in records:
            if records.rdtype == dns.rdatatype.TXT:
                texts = [text.decode("ascii", "replace") for text in record.strings]
            elif records.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}:
                texts = [record.address]
            else:
                continue
            for text in texts:
                try:
                    yield ip_address(text.strip())
                except ValueError:  # another string beside it
                    continue
