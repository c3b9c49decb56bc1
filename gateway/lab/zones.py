"""The zones of the lab: ordinary ones with the usual record types, a larger one, and a signed one (RFC 4034, RFC 8080).

Each has a record `clock.<zone> TXT` with the moment of its last change, so that a change can be seen with dig.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.dnssec
import dns.zone
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dns.dnssectypes import Algorithm

ZONE_KEY_AND_ENTRY_POINT = 257  # DNSKEY flags (RFC 4034 2.1.1): this one key signs everything
DAY = 86400  # seconds

HEAD = """\
$TTL 60
@ SOA ns1 hostmaster {serial} 1 1 86400 30
@ NS ns1
@ NS ns2
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
ns2 A 198.51.100.53
@ MX 10 mail
@ TXT "v=spf1 mx -all"
@ CAA 0 issue "ca.example"
mail A 192.0.2.25
www A 192.0.2.80
www AAAA 2001:db8::80
ftp CNAME www
_sip._tcp SRV 0 5 5060 sip
sip A 192.0.2.60
*.wild TXT "any name below wild"
sub NS ns.sub
ns.sub A 192.0.2.99
clock TXT "{moment}"
"""


@dataclass(frozen=True, slots=True)
class LabZone:
    """A zone that can be written out at any serial."""

    name: str
    hosts: int = 0  # so many names host-N besides the usual ones
    more: str = ""  # further lines of its file
    key: Ed25519PrivateKey | None = field(default=None, repr=False)  # signs it

    def text(self, serial: int, moment: str) -> str:
        """The zone in master-file format at `serial`; `moment` is what `clock` says, a text of at most 255 bytes."""
        hosts = "".join(f"host-{number} A {ip_address((10 << 24) + number)}\n" for number in range(self.hosts))
        zone = dns.zone.from_text(
            HEAD.format(serial=serial, moment=moment) + hosts + self.more, self.name, relativize=False
        )
        if self.key is not None:
            public = dns.dnssec.make_dnskey(self.key.public_key(), Algorithm.ED25519, ZONE_KEY_AND_ENTRY_POINT)
            # From the last midnight on: what did not change keeps its signature, so that IXFR has little to carry.
            midnight = int(time.time()) // DAY * DAY
            dns.dnssec.sign_zone(zone, keys=[(self.key, public)], inception=midnight, expiration=midnight + 14 * DAY)
        return zone.to_text(relativize=False)


def new_signing_key() -> Ed25519PrivateKey:
    """A key for a signed zone."""
    return Ed25519PrivateKey.generate()
