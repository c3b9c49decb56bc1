"""The built-in server answers as NSD and Knot do: same code and sections for many names and types of two zones."""

from __future__ import annotations

from collections.abc import Iterator

import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.rdatatype import RdataType

from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone, new_signing_key
from tests.support.peers import require
from tests.support.zones import ask

PLAIN = LabZone("plain.example", hosts=3)
SIGNED = LabZone("signed.example", hosts=3, key=new_signing_key())

NAMES = [
    "",
    "www.",
    "ftp.",
    "mail.",
    "clock.",
    "host-2.",
    "nothing.",
    "a.b.nothing.",
    "below.www.",
    "_tcp.",
    "_sip._tcp.",
    "any.wild.",
    "more.than.one.wild.",
    "wild.",
    "*.wild.",
    "sub.",
    "deep.below.sub.",
    "ns.sub.",
]
TYPES = ["A", "AAAA", "MX", "TXT", "NS", "SOA", "CNAME", "SRV", "DNSKEY", "DS", "NSEC"]


@pytest.fixture(scope="module")
def ours(role: Primary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    with Builtin(role, tmp_path_factory.mktemp("ours")) as server:
        yield server


@pytest.fixture(scope="module")
def role() -> Primary:
    return Primary({zone.name: zone.text(1, "now") for zone in (PLAIN, SIGNED)})


@pytest.fixture(scope="module", params=[Nsd, Knot], ids=["NSD", "Knot"])
def theirs(
    role: Primary, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NameServer]:
    require(request.param.program)
    with request.param(role, tmp_path_factory.mktemp("theirs")) as server:
        yield server


def records(section: list[dns.rrset.RRset]) -> set[str]:
    # An RRSIG's own TTL is left out: where the negative TTL lowers that of the SOA, NSD and Knot differ about it.
    return {
        f"{rrset.name} {rrset.ttl if rrset.rdtype != RdataType.RRSIG else ''} {record}".lower()
        for rrset in section
        for record in rrset
    }


def without_servers(section: list[dns.rrset.RRset], answered: bool) -> list[dns.rrset.RRset]:
    """Without the zone's own NS, which a server may add to any answer (RFC 1034 4.3.2, 6.2.1)."""
    own = {RdataType.NS} if answered else set()
    return [rrset for rrset in section if rrset.rdtype not in own and rrset.covers not in own]


def shape(answer: dns.message.Message) -> tuple[str, int, set[str], set[str]]:
    """What must be equal: code, flags, answer and authority. The additional section is the server's own choice."""
    authority = without_servers(answer.authority, bool(answer.answer))
    return dns.rcode.to_text(answer.rcode()), int(answer.flags), records(answer.answer), records(authority)


@pytest.mark.parametrize("dnssec", [False, True], ids=["plain", "dnssec-ok"])
@pytest.mark.parametrize("zone", [PLAIN.name, SIGNED.name])
@pytest.mark.parametrize("name", NAMES)
def test_same_answer(ours: NameServer, theirs: NameServer, name: str, zone: str, dnssec: bool) -> None:
    for rdtype in TYPES:
        if rdtype == "NSEC" and (name.endswith(".wild.") or zone == PLAIN.name):
            continue  # NSD and Knot differ: NSEC at a name that a wildcard stands for, and at an unsigned alias
        answers = [ask(server.endpoint, name + zone, rdtype, tcp=True, dnssec=dnssec) for server in (ours, theirs)]
        mine, wanted = (shape(answer) for answer in answers)
        assert mine == wanted, f"{name}{zone} {rdtype}"


def test_a_foreign_name_is_refused(ours: NameServer, theirs: NameServer) -> None:
    for server in (ours, theirs):
        assert ask(server.endpoint, "elsewhere.test", "A").rcode() == dns.rcode.REFUSED
