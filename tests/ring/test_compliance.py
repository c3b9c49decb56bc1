"""What a protocol-compliance tester asks: it must see no difference between the gateway and the node behind it.

The questions are those of ISC's DNS compliance tests (RFC 1035, RFC 3597, RFC 6891, RFC 7873): flags, opcodes, unknown
types, EDNS versions, flags and options, over UDP and TCP.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from proxy.values import Endpoint
from tests.ring.gateways import front_of, loopback, running
from tests.support.peers import require

ZONE = LabZone("compliance.example", hosts=3)
# So that a tester that asks everything at once meets the checks and not the budget.
BUDGET = "[filters.error_budget]\nprefix_rate = 1000\n"
NSID, SUBNET, EXPIRE, COOKIE, UNKNOWN = 3, 8, 9, 10, 100
Z_FLAG = 0x40


Option = tuple[int, bytes]


def asked(
    kind: str = "SOA",
    *,
    flags: int = 0,
    edns: int = -1,
    ednsflags: int = 0,
    payload: int = 1232,
    options: Sequence[Option] = (),
) -> bytes:
    """A query for the zone; `edns` is the version, -1 for none."""
    query = dns.message.make_query(ZONE.name, kind, id=0x1234)
    query.flags = dns.flags.Flag(flags)
    if edns >= 0:
        query.use_edns(
            edns,
            ednsflags,
            payload,
            options=[dns.edns.GenericOption(dns.edns.OptionType.make(code), data) for code, data in options],
        )
    return query.to_wire()


def header(opcode: int, flags: int = 0) -> bytes:
    """A message that is nothing but a header."""
    return struct.pack("!6H", 0x1234, opcode << 11 | flags, 0, 0, 0, 0)


DO = dns.flags.DO
SUBNET_DATA = b"\0\1\0\0"  # IPv4, a prefix of no length
MANY = [(NSID, b""), (SUBNET, SUBNET_DATA), (EXPIRE, b""), (COOKIE, b"12345678"), (UNKNOWN, b"x")]

QUESTIONS = {
    "dns": asked(),
    "aa": asked(flags=dns.flags.AA),
    "ad": asked(flags=dns.flags.AD),
    "cd": asked(flags=dns.flags.CD),
    "ra": asked(flags=dns.flags.RA),
    "rd": asked(flags=dns.flags.RD),
    "tc": asked(flags=dns.flags.TC),
    "zflag": asked(flags=Z_FLAG),
    "opcode": header(15),
    "opcodeflg": header(15, 0x05F0),
    "status": header(2),
    "type666": asked("TYPE666"),
    "type1000": asked("TYPE1000"),
    "nodata": asked("TXT"),
    "edns": asked(edns=0),
    "edns1": asked(edns=1),
    "edns100": asked(edns=100),
    "edns@512": asked("DNSKEY", edns=0, payload=512, ednsflags=DO),
    "ednsopt": asked(edns=0, options=[(UNKNOWN, b"")]),
    "edns1opt": asked(edns=1, options=[(UNKNOWN, b"")]),
    "do": asked(edns=0, ednsflags=DO),
    "edns1do": asked(edns=1, ednsflags=DO),
    "ednsflags": asked(edns=0, ednsflags=0x80),
    "edns1flags": asked(edns=1, ednsflags=0x80),
    "optlist": asked(edns=0, options=MANY),
    "ednsnsid": asked(edns=0, options=[(NSID, b"")]),
    "edns1nsid": asked(edns=1, options=[(NSID, b"")]),
    "ednscookie": asked(edns=0, options=[(COOKIE, b"12345678")]),
    "edns1cookie": asked(edns=1, options=[(COOKIE, b"12345678")]),
    "ednscookielen": asked(edns=0, options=[(COOKIE, b"1234567")]),
    "ednsexpire": asked(edns=0, options=[(EXPIRE, b"")]),
    "ednssubnet": asked(edns=0, options=[(SUBNET, SUBNET_DATA)]),
    "edns1subnet": asked(edns=1, options=[(SUBNET, SUBNET_DATA)]),
}

# What the servers themselves do not agree on. The gateway answers by itself, as the named RFC says.
OURS = {
    ("nsd", "opcode"): "NOTIMP over TCP too, where NSD is silent (RFC 1035 section 4.1.1)",
    ("nsd", "status"): "as opcode",
    ("nsd", "opcodeflg"): "as opcode; NSD repeats all flags, BIND none",
    ("knot", "opcodeflg"): "Knot repeats RD, BIND no flag",
    ("nsd", "edns1do"): "DO is repeated (RFC 3225 section 3)",
    ("knot", "edns1nsid"): "options of an unknown version are not read (RFC 6891 section 6.1.3)",
    ("nsd", "ednscookielen"): "FORMERR (RFC 7873 section 5.2.2)",
    ("knot", "ednscookielen"): "as NSD",
}


def ask(target: Endpoint, wire: bytes, transport: str) -> bytes | None:
    """The answer, or None: none came within a second, or the connection was closed."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(1)
        client.connect(target.sockaddr)
        try:
            if transport == "udp":
                client.send(wire)
                return client.recv(65535)
            client.sendall(len(wire).to_bytes(2) + wire)
            with client.makefile("rb") as stream:
                length = int.from_bytes(stream.read(2))
                return stream.read(length) or None
        except OSError:
            return None


def seen(message: bytes | None) -> object:
    """What a tester looks at: flags and codes, the question, EDNS, and how much was answered."""
    if message is None:
        return "nothing"
    found = dns.message.from_wire(message, ignore_trailing=True)
    return {
        "rcode": dns.rcode.to_text(found.rcode()),
        "opcode": found.opcode(),
        "flags": found.flags & ~0x780F,
        "question": [str(rrset) for rrset in found.question],
        "answers": [len(section) for section in (found.answer, found.authority)],
        "edns": found.edns,
        "ednsflags": found.ednsflags & 0xFFFF,
        "options": sorted(option.otype for option in found.options),
    }


@pytest.fixture(scope="module", params=[Nsd, Bind, Knot])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[NameServer, Endpoint]]:
    """A node, and where the gateway in front of it is asked."""
    software: type[NameServer] = request.param
    require(software.program)
    directory: Path = tmp_path_factory.mktemp(software.software)
    with software(Primary({ZONE.name: ZONE.text(1, "now")}), directory / "node") as node:
        clients = loopback()
        with running(directory, front_of(node, clients, ZONE.name, BUDGET), clients) as gateway:
            yield node, gateway.clients


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("what", QUESTIONS)
def test_a_tester_sees_no_difference(what: str, transport: str, pair: tuple[NameServer, Endpoint]) -> None:
    node, gateway = pair
    direct, through = (seen(ask(target, QUESTIONS[what], transport)) for target in (node.endpoint, gateway))
    if (type(node).__name__.lower(), what) in OURS:
        assert through != "nothing"
    else:
        assert through == direct
