"""A zone at one serial, with the four questions that an answer is made of (RFC 1034 4.3.2, RFC 4592).

Is there a zone cut above this name? Does the name exist? Which wildcard stands for it? Which NSEC proves that?
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import dns.name
import dns.node
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rrset
import dns.zone
from dns.name import Name
from dns.rdatatype import RdataType

WILDCARD = dns.name.Name([b"*"])


class Contents:
    """A zone at one serial, with absolute names; nobody changes it any more."""

    def __init__(self, zone: dns.zone.Zone) -> None:
        """Raises ValueError: the zone has no SOA at its apex."""
        if zone.origin is None:
            raise ValueError("a zone without a name")
        self.origin: Name = zone.origin
        self._nodes: dict[Name, dns.node.Node] = dict(zone.nodes.items())
        self._names = sorted(self._nodes)  # canonical order (RFC 4034 6.1)
        soa = self.rrset(self.origin, RdataType.SOA)
        if soa is None:
            raise ValueError(f"{self.origin} has no SOA")
        self.soa: dns.rrset.RRset = soa
        self.signed = self.rrset(self.origin, RdataType.DNSKEY) is not None

    @property
    def serial(self) -> int:
        """The serial of its SOA."""
        record = self.soa[0]
        assert isinstance(record, dns.rdtypes.ANY.SOA.SOA)
        return record.serial

    @property
    def negative_ttl(self) -> int:
        """How long "it does not exist" may be kept (RFC 2308 5)."""
        record = self.soa[0]
        assert isinstance(record, dns.rdtypes.ANY.SOA.SOA)
        return min(record.minimum, self.soa.ttl)

    def rrset(
        self, name: Name, rdtype: RdataType, covers: RdataType = RdataType.NONE, owner: Name | None = None
    ) -> dns.rrset.RRset | None:
        """The records of one type at `name`; `owner` replaces their name, for what a wildcard stands for."""
        node = self._nodes.get(name)
        rdataset = node.get_rdataset(dns.rdataclass.IN, rdtype, covers) if node else None
        return dns.rrset.from_rdata_list(owner or name, rdataset.ttl, list(rdataset)) if rdataset else None

    def types(self, name: Name) -> list[RdataType]:
        """The types at `name`, signatures left out."""
        node = self._nodes.get(name)
        return [rdataset.rdtype for rdataset in node if rdataset.rdtype != RdataType.RRSIG] if node else []

    def exists(self, name: Name) -> bool:
        """Whether the name is in the zone; it is, too, when only something below it is (an empty non-terminal)."""
        if name in self._nodes:
            return True
        at = bisect_left(self._names, name)
        return at < len(self._names) and self._names[at].is_subdomain(name)

    def cut(self, name: Name) -> Name | None:
        """The highest delegation at or above `name`, below the apex."""
        for depth in range(len(self.origin) + 1, len(name) + 1):
            above = name.split(depth)[1]
            if self.rrset(above, RdataType.NS) is not None:
                return above
        return None

    def source(self, name: Name) -> Name | None:
        """Where the records for `name` lie: at the name itself, or at the wildcard next to its closest encloser."""
        if self.exists(name):
            return name
        encloser = name.parent()
        while not self.exists(encloser):
            encloser = encloser.parent()
        wildcard = WILDCARD.concatenate(encloser)
        return wildcard if wildcard in self._nodes else None

    def covering(self, name: Name) -> dns.rrset.RRset | None:
        """The NSEC record at `name`, or at the last name before it that has one."""
        for at in range(bisect_right(self._names, name) - 1, -1, -1):
            nsec = self.rrset(self._names[at], RdataType.NSEC)
            if nsec is not None:
                return nsec
        return None

    def records(self) -> list[dns.rrset.RRset]:
        """Everything but the SOA, for transfers."""
        return [
            dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))
            for name in self._names
            for rdataset in self._nodes[name]
            if rdataset.rdtype != RdataType.SOA
        ]
