"""BIND, NSD and Knot DNS as judges: nothing is refused that all of them answer, and what is passed one of them answers.

A gateway stricter than every server would change what clients see; one as strict as some server does not.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import dns.message
import dns.rcode
import pytest

from dataplane import check_message
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from tests.support.peers import require

# BIND and NSD first: they answer nearly everything, and who drops costs a time-out.
SOFTWARE: list[type[NameServer]] = [Bind, Nsd, Knot]
ZONE = LabZone("plain.example", hosts=5)
NAME = b"\5plain\7example\0"
POINTER = b"\xc0\x0c"


def message(body: bytes, *, flags: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    """A header with these counts in front of `body`."""
    return struct.pack("!6H", 0x1234, flags, *counts) + body


def question(name: bytes = NAME, *, kind: int = 6, qclass: int = 1) -> bytes:
    return name + struct.pack("!HH", kind, qclass)


def record(kind: int, rdata: bytes, *, owner: bytes = POINTER, rclass: int = 1, ttl: int = 0) -> bytes:
    return owner + struct.pack("!HHIH", kind, rclass, ttl, len(rdata)) + rdata


def opt(options: bytes = b"", *, version: int = 0, owner: bytes = b"\0") -> bytes:
    return record(41, options, owner=owner, rclass=1232, ttl=version << 16)


def option(code: int, length: int) -> bytes:
    return struct.pack("!HH", code, length) + b"a" * length


SOA = record(6, b"\0\0" + struct.pack("!5I", 1, 2, 3, 4, 5))
A = record(1, b"\xc0\x00\x02\x01")
TSIG_DATA = b"\x0bhmac-sha256\0" + bytes(6) + b"\1\x2c\0\0\x12\x34\0\0\0\0"
TSIG = record(250, TSIG_DATA, owner=b"\1k\0", rclass=255)

ASKED = {
    "SOA": message(question()),
    "TC": message(question(), flags=0x0200),
    "AA, RD, RA, Z, AD and CD": message(question(), flags=0x05F0),
    "an RCODE": message(question(), flags=1),
    **{f"opcode {code}": message(question(), flags=code << 11) for code in (1, 2, 3, 6, 7, 15)},
    "two questions": message(question() * 2, counts=(2, 0, 0, 0)),
    "no question": message(b"", counts=(0, 0, 0, 0)),
    "no question, OPT": message(opt(), counts=(0, 0, 0, 1)),
    "no question, a cookie": message(opt(option(10, 8)), counts=(0, 0, 0, 1)),
    "an answer": message(question() + SOA, counts=(1, 1, 0, 0)),
    "authority": message(question() + SOA, counts=(1, 0, 1, 0)),
    "IXFR": message(question(kind=251) + SOA, counts=(1, 0, 1, 0)),
    "IXFR with two SOA": message(question(kind=251) + SOA * 2, counts=(1, 0, 2, 0)),
    **{f"{n} additional": message(question() + A * n, counts=(1, 0, 0, n)) for n in (1, 2, 3)},
    "OPT": message(question() + opt(), counts=(1, 0, 0, 1)),
    "two OPT": message(question() + opt() * 2, counts=(1, 0, 0, 2)),
    "OPT with an owner": message(question() + opt(owner=b"\1a\0"), counts=(1, 0, 0, 1)),
    "OPT as an answer": message(question() + opt(), counts=(1, 1, 0, 0)),
    "TSIG of class IN": message(question() + record(250, TSIG_DATA, owner=b"\1k\0"), counts=(1, 0, 0, 1)),
    "TSIG before OPT": message(question() + TSIG + opt(), counts=(1, 0, 0, 2)),
    "label type 01": message(question(b"\x41a\0")),
    "a compressed name": message(question(b"\1a\xc0\x0c")),
    "a name of 257 bytes": message(question(b"\1a" * 128 + b"\0")),
    "half a name": message(b"\5ab"),
    "half a question": message(NAME + b"\0"),
    **{f"type {kind}": message(question(kind=kind)) for kind in (0, 41, 128, 249, 250, 252, 253, 254, 255, 65535)},
    **{f"class {qclass}": message(question(qclass=qclass)) for qclass in (0, 4, 254, 255)},
    "EDNS version 1": message(question() + opt(version=1), counts=(1, 0, 0, 1)),
    "EDNS version 1 with other options": message(question() + opt(b"\1", version=1), counts=(1, 0, 0, 1)),
    "a byte behind the options": message(question() + opt(option(3, 0) + b"\1"), counts=(1, 0, 0, 1)),
    "an option past OPT": message(question() + opt(b"\0\3\0\7"), counts=(1, 0, 0, 1)),
    **{
        f"a cookie of {length}": message(question() + opt(option(10, length)), counts=(1, 0, 0, 1))
        for length in (0, 7, 8, 9, 15, 16, 24, 40, 41)
    },
    "two cookies": message(question() + opt(option(10, 8) + option(10, 3)), counts=(1, 0, 0, 1)),
    "TCP keepalive": message(question() + opt(option(11, 0)), counts=(1, 0, 0, 1)),
    "an unknown option": message(question() + opt(option(65001, 99)), counts=(1, 0, 0, 1)),
    "a byte too many": message(question() + b"\0"),
    "a pointer forwards": message(question() + record(1, b"", owner=b"\xc0\xff"), counts=(1, 0, 0, 1)),
    "a record that is not there": message(question(), counts=(1, 0, 0, 1)),
    "UPDATE of type A": message(question(kind=1), flags=5 << 11),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NameServer]]:
    """One primary of each software, all with the same zone."""
    with ExitStack() as running:
        primaries: list[NameServer] = []
        for software in SOFTWARE:
            require(software.program)
            primary = software(
                Primary({ZONE.name: ZONE.text(1, "change 1")}), tmp_path_factory.mktemp(software.software)
            )
            primaries.append(running.enter_context(primary))
        yield primaries


def answers_well(server: NameServer, wire: bytes) -> bool:
    """Whether the server gives an answer that is no error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect(server.endpoint.sockaddr)
        client.send(wire)
        try:
            answer = client.recv(65535)
        except TimeoutError:
            return False
    # Read by hand: an answer to a message this odd may be one that dnspython refuses.
    extended = b"\0\0\x29" in answer and dns.message.from_wire(answer, ignore_trailing=True).rcode() > 15
    return answer[3] & 0xF == dns.rcode.NOERROR and not extended


@pytest.mark.parametrize("what", ASKED)
def test_nothing_is_refused_that_every_server_answers(what: str, servers: list[NameServer]) -> None:
    wire = ASKED[what]
    reading, reason, _ = check_message(wire, "udp")
    if reading is None:
        assert not all(answers_well(server, wire) for server in servers), reason
    else:
        assert any(answers_well(server, wire) for server in servers), "a server answers what is passed"
