"""The authoritative answer to a query (RFC 1034 4.3.2), with signatures where they are asked for (RFC 4035 3.1)."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdtypes.nsbase
import dns.rrset
from dns.name import Name
from dns.rdatatype import RdataType

from gateway.lab.builtin.contents import Contents

LONGEST_CHAIN = 8  # CNAME records followed in one answer


class Answer:
    """One answer in the making."""

    def __init__(self, query: dns.message.Message, contents: Contents) -> None:
        self._contents = contents
        self._signatures = contents.signed and bool(query.ednsflags & dns.flags.DO)
        self.message = dns.message.make_response(query)
        self.message.flags |= dns.flags.AA
        self._fill(query.question[0].name, RdataType(query.question[0].rdtype))

    def _fill(self, name: Name, rdtype: RdataType) -> None:
        for _ in range(LONGEST_CHAIN):
            cut = self._contents.cut(name)
            if cut is not None and not (cut == name and rdtype == RdataType.DS):
                self._refer(cut)
                return
            source = self._contents.source(name)
            if source is None:
                self.message.set_rcode(dns.rcode.NXDOMAIN)
                self._deny(name)
                return
            if source != name:
                self._prove(name)  # that the wildcard was meant to match
            alias = self._contents.rrset(source, RdataType.CNAME, owner=name)
            own = rdtype == RdataType.ANY or self._contents.rrset(source, rdtype) is not None
            if alias is not None and not own:
                self._add(self.message.answer, alias, source)
                name = alias[0].target
                if not name.is_subdomain(self._contents.origin):
                    return
                continue
            self._give(name, rdtype, source)
            return

    def _give(self, name: Name, rdtype: RdataType, source: Name) -> None:
        types = self._contents.types(source) if rdtype == RdataType.ANY else [rdtype]
        for wanted in types:
            rrset = self._contents.rrset(source, wanted, owner=name)
            if rrset is not None:
                self._add(self.message.answer, rrset, source)
        if not self.message.answer or self.message.answer[-1].name != name:
            self._deny(name)

    def _refer(self, cut: Name) -> None:
        servers = self._contents.rrset(cut, RdataType.NS)
        assert servers is not None
        if not self.message.answer:
            self.message.flags &= ~dns.flags.AA
        self.message.authority.append(servers)
        keys = self._contents.rrset(cut, RdataType.DS)
        if self._signatures and keys is not None:
            self._add(self.message.authority, keys, cut)
        else:
            self._prove(cut)
        for record in servers:
            assert isinstance(record, dns.rdtypes.nsbase.NSBase)
            for rdtype in (RdataType.A, RdataType.AAAA):
                glue = self._contents.rrset(record.target, rdtype)
                if glue is not None:
                    self.message.additional.append(glue)

    def _deny(self, name: Name) -> None:
        soa = dns.rrset.from_rdata_list(self._contents.origin, self._contents.negative_ttl, list(self._contents.soa))
        self._add(self.message.authority, soa, soa.name)
        self._prove(name)
        if self.message.rcode() == dns.rcode.NXDOMAIN:
            encloser = name.parent()
            while not self._contents.exists(encloser):
                encloser = encloser.parent()
            self._prove(Name([b"*"]).concatenate(encloser))

    def _prove(self, name: Name) -> None:
        nsec = self._contents.covering(name) if self._signatures else None
        if nsec is not None and nsec not in self.message.authority:
            self._add(self.message.authority, nsec, nsec.name)

    def _add(self, section: list[dns.rrset.RRset], rrset: dns.rrset.RRset, source: Name) -> None:
        section.append(rrset)
        if self._signatures:
            signatures = self._contents.rrset(source, RdataType.RRSIG, covers=rrset.rdtype, owner=rrset.name)
            if signatures is not None:
                section.append(signatures)
