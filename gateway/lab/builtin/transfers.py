"""The versions of a zone, and transfers made of them: AXFR (RFC 5936 2.2) and IXFR (RFC 1995 4).

AXFR   SOA(new) everything-else SOA(new)
IXFR   SOA(new) { SOA(old) removed SOA(next) added } … SOA(new)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dns.message
import dns.rdata
import dns.rrset
from dns.name import Name
from dns.rdatatype import RdataType
from dns.serial import Serial

from gateway.lab.builtin.contents import Contents

VERSIONS = 8  # kept for IXFR; an older one is answered with everything
RECORDS = 100  # in one message: well below 64 KiB for what a lab has in its zones

Record = tuple[Name, int, dns.rdata.Rdata]  # owner, TTL, data


class History:
    """The last versions of one zone, oldest first."""

    def __init__(self) -> None:
        self._versions: list[Contents] = []

    @property
    def latest(self) -> Contents | None:
        """The version that is served; None before the first."""
        return self._versions[-1] if self._versions else None

    def add(self, contents: Contents) -> bool:
        """Take a new version. False, and nothing changes, unless its serial is higher (RFC 1982)."""
        if self._versions and not Serial(contents.serial) > Serial(self._versions[-1].serial):
            return False
        self._versions = [*self._versions[-VERSIONS + 1 :], contents]
        return True

    def forget(self) -> None:
        """Drop every version: the zone has expired."""
        self._versions = []

    def transfer(self, since: int | None) -> Iterator[Record]:
        """The records of a transfer, in order: from serial `since` on for IXFR, of everything for AXFR (None).

        Raises:
            LookupError: there is no version yet.
        """
        latest = self.latest
        if latest is None:
            raise LookupError("no version of the zone yet")
        end = next(_flat([latest.soa]))
        yield end
        if since is not None and not Serial(since) < Serial(latest.serial):
            return  # up to date: the SOA alone
        known = [at for at, version in enumerate(self._versions) if version.serial == since]
        if not known:
            yield from _flat(latest.records())
        for old, new in zip(self._versions[known[0] :], self._versions[known[0] + 1 :], strict=False) if known else ():
            yield from _difference(old, new)
        yield end


def since(query: dns.message.Message) -> int | None:
    """The serial that an IXFR query starts from (RFC 1995 3); None for AXFR, and for IXFR without one."""
    if query.question[0].rdtype == RdataType.IXFR:
        for rrset in query.authority:
            if rrset.rdtype == RdataType.SOA:
                return int(rrset[0].serial)
    return None


def messages(query: dns.message.Message, records: Iterable[Record]) -> Iterator[bytes]:
    """The records as answers to `query`, signed when the query was: each message's TSIG covers the one before, too."""
    context = None
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == RECORDS:
            wire, context = _message(query, batch, context)
            yield wire
            batch = []
    if batch:
        yield _message(query, batch, context)[0]


def _message(query: dns.message.Message, batch: list[Record], context: object) -> tuple[bytes, object]:
    message = dns.message.make_response(query)
    message.flags |= dns.flags.AA
    # One RRset a record keeps their order, which is what IXFR is told apart by.
    message.answer = [dns.rrset.from_rdata(owner, ttl, data) for owner, ttl, data in batch]
    wire = message.to_wire(max_size=65535, multi=True, tsig_ctx=context)
    return wire, message.tsig_ctx


def _flat(rrsets: Iterable[dns.rrset.RRset]) -> Iterator[Record]:
    for rrset in rrsets:
        for data in rrset:
            yield rrset.name, rrset.ttl, data


def _difference(old: Contents, new: Contents) -> Iterator[Record]:
    before = dict.fromkeys(_flat(old.records()))
    after = dict.fromkeys(_flat(new.records()))
    yield from _flat([old.soa])
    yield from (record for record in before if record not in after)
    yield from _flat([new.soa])
    yield from (record for record in after if record not in before)
