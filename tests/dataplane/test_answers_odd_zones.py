"""Odd but legal zones of real primaries are never rejected, and are read as dnspython reads them.

Names of 255 bytes and 127 labels, pointers that chain label by label, any byte in a label, mixed case, unknown types,
records of 60 KiB, RRsets of hundreds, what lies below cuts, the root zone; serials that wrap.
"""

from __future__ import annotations

from pathlib import Path

import dns.exception
import dns.message
import dns.rrset
import dns.zone
import pytest

from dataplane import Verdict
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.roles import Key, Primary
from gateway.lab.servers.server import NameServer
from tests.dataplane import odd_zones
from tests.dataplane.test_answers_servers import digest, judged
from tests.support.peers import require_server, until
from tests.support.zones import PATIENCE, content

LAST = (1 << 32) - 1  # the serial before 0
KEY = Key.generate("guard-key")
CANT: dict[type[NameServer], set[str]] = {
    Bind: set(),
    Nsd: {"huge.example"},  # 4.6 sends empty messages for ever at a record that its buffer of 16 KiB can't hold
    Knot: {"old.example"},
    PowerDns: {"old.example"},
}


def asked(zone: str, kind: str, key: Key | None, held: int = 0) -> bytes:
    query = dns.message.make_query(zone, kind)
    if kind == "IXFR":
        query.authority = [dns.rrset.from_text(query.question[0].name, 0, "IN", "SOA", f". . {held} 0 0 0 0")]
    if key is not None:
        query.use_tsig(key.for_dnspython())
    return query.to_wire()


def seen(server: NameServer, zone: str, text: str, key: Key | None) -> bytes:
    """The digest of the zone as dnspython transfers it, or reads the file where the names are too deep for it."""
    try:
        return digest(content(server.endpoint, zone, key))
    except dns.exception.DNSException:
        assert zone == "deep.example"
        return digest(dns.zone.from_text(text, zone, relativize=False))


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "tsig"])
@pytest.mark.parametrize("software", [Bind, Nsd, Knot, PowerDns])
def test_odd_zones_pass(software: type[NameServer], key: Key | None, tmp_path: Path) -> None:
    require_server(software)
    texts = {zone: odd_zones.at(zone, LAST) for zone in odd_zones.BODIES if zone not in CANT[software]}
    tsig = "none" if key is None else "verified"
    with software(Primary(texts, key=key, rrset=1000), tmp_path) as server:

        def verdict(zone: str, kind: str, held: int = 0) -> Verdict:
            found = judged(server, asked(zone, kind, key, held), key)[1]
            assert (zone, found.reason, found.tsig) == (zone, "accepted", tsig), found.detail
            return found

        for zone, text in texts.items():
            whole = verdict(zone, "AXFR")
            assert (zone, whole.kind, whole.serial) == (zone, "axfr", LAST)
            assert whole.digest == seen(server, zone, text, key), zone
        for number, mname in ((0, "NS.Invalid."), (1, "ns.invalid.")):
            more = f'new-{number} TXT "{number}"\n'
            server.publish_all({zone: odd_zones.at(zone, number, mname, more) for zone in texts})
            for zone in texts:  # all of them: BIND takes no notice of a second change while it loads the first
                soa = asked(zone, "SOA", key)
                until(lambda: judged(server, soa, key)[1].serial == number, PATIENCE, f"{zone} at {number}")  # noqa: B023 - called in this turn of the loop
        for zone in texts:
            change = verdict(zone, "IXFR", LAST)
            assert (zone, change.serial, change.from_serial) == (zone, 1, LAST)
            assert change.kind in ("ixfr", "axfr-style")
            assert verdict(zone, "IXFR", 1).kind == "up-to-date"
            assert verdict(zone, "IXFR", LAST - 1000).kind in ("ixfr", "axfr-style")
