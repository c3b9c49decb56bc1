"""Transfers of real primaries, judged as they come: what BIND, NSD and Knot DNS send passes.

dnspython is the oracle of what was in it.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from pathlib import Path

import blake3
import dns.exception
import dns.message
import dns.name
import dns.rrset
import dns.zone
import pytest

from dataplane import Answers, GuardLimits, TsigKeys, Verdict
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Key, Primary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone, new_signing_key
from tests.support.peers import require, until
from tests.support.zones import PATIENCE, content

NAME = "guarded.example"
PLAIN = LabZone(NAME, hosts=3_000)
SIGNED = LabZone(NAME, hosts=100, key=new_signing_key())


def keys_of(key: Key | None) -> TsigKeys | None:
    if key is None:
        return None
    name = dns.name.from_text(key.name).to_digestable()
    return TsigKeys([(name, key.algorithm, base64.b64decode(key.secret))])


def asked(kind: str, key: Key | None, held: int = 0) -> bytes:
    """A query; an IXFR by someone who holds the zone at a serial."""
    query = dns.message.make_query(NAME, kind)
    if kind == "IXFR":
        query.authority = [dns.rrset.from_text(f"{NAME}.", 0, "IN", "SOA", f". . {held} 0 0 0 0")]
    if key is not None:
        query.use_tsig(key.for_dnspython())
    return query.to_wire()


def judged(server: NameServer, query: bytes, key: Key | None) -> tuple[bytes, Verdict]:
    """The answer over TCP as it passed, and the verdict."""
    answers = Answers(limits=GuardLimits(names=1 << 20), keys=keys_of(key))
    answers.expect(query, time.time())
    passed = b""
    with socket.create_connection(server.endpoint.sockaddr, timeout=5) as connection:
        connection.sendall(len(query).to_bytes(2) + query)
        while True:
            data = connection.recv(10_000)
            pieces = answers.feed(data, time.time()) if data else answers.finish()
            passed += b"".join(piece.data for piece in pieces)
            if verdicts := [piece.verdict for piece in pieces if piece.verdict is not None]:
                return passed, verdicts[0]


def eventually(server: NameServer, query: bytes, key: Key | None) -> Verdict:
    """The verdict on the answer that leads to serial 2. NSD's old and new processes both answer for a moment, and the
    old one resets connections when it ends.
    """

    def found() -> Verdict | None:
        with contextlib.suppress(ConnectionError):
            _, verdict = judged(server, query, key)
            return verdict if verdict.serial == 2 else None
        return None

    verdict = until(found, PATIENCE, "serial 2")
    assert verdict is not None
    return verdict


def digest(zone: dns.zone.Zone) -> bytes:
    """The sum of the hashes of all records in canonical form, as the guard has it."""
    total = 0
    for name, ttl, rdata in zone.iterate_rdatas():
        data = rdata.to_digestable(zone.origin)
        fixed = rdata.rdtype.to_bytes(2) + rdata.rdclass.to_bytes(2) + ttl.to_bytes(4) + len(data).to_bytes(2)
        canonical = name.to_digestable(zone.origin) + fixed + data
        total += int.from_bytes(blake3.blake3(canonical + bytes(-len(canonical) % 64)).digest(), "little")
    return (total % (1 << 256)).to_bytes(32, "little")


def seen(server: NameServer, key: Key | None) -> bytes | None:
    """The digest of the zone as dnspython transfers it; None while the server's processes change."""
    with contextlib.suppress(ConnectionError, EOFError, dns.exception.DNSException):
        return digest(content(server.endpoint, NAME, key))
    return None


@pytest.mark.parametrize("key", [None, Key.generate("guard-key")], ids=["plain", "tsig"])
@pytest.mark.parametrize("zone", [PLAIN, SIGNED], ids=["hosts", "dnssec"])
@pytest.mark.parametrize("software", [Bind, Nsd, Knot])
def test_what_servers_send_passes(software: type[NameServer], zone: LabZone, key: Key | None, tmp_path: Path) -> None:
    require(software.program)
    tsig = "none" if key is None else "verified"
    with software(Primary({NAME: zone.text(1, "before")}, key=key), tmp_path) as server:
        passed, old = judged(server, asked("AXFR", key), key)
        assert (old.reason, old.kind, old.serial, old.tsig, old.size) == ("accepted", "axfr", 1, tsig, len(passed))
        assert old.digest == digest(content(server.endpoint, NAME, key))
        for length in (*range(0, len(passed), max(1, len(passed) // 200)), len(passed) - 1):
            answers = Answers(limits=GuardLimits())
            answers.expect(passed[2:4] + asked("AXFR", None)[2:], 0)
            pieces = [*answers.feed(passed[:length], 0), *answers.finish()]
            assert [piece.verdict.reason for piece in pieces if piece.verdict] == ["cut"]
        server.publish(NAME, zone.text(2, "after"))
        new = eventually(server, asked("IXFR", key, 1), key)
        assert (new.reason, new.serial, new.from_serial, new.tsig) == ("accepted", 2, 1, tsig)
        after = old.digest if new.kind == "ixfr" else bytes(32)
        whole = eventually(server, asked("AXFR", key), key)
        until(lambda: whole.digest == seen(server, key), PATIENCE, "the zone as dnspython reads it")
        # NSD 4.6 adds records that the zone at hand already has (MX, TXT and CAA of the apex here), so what it sends is
        # not the difference of the two zones.
        assert new.digest_after(after) == whole.digest or (software is Nsd and new.kind == "ixfr")
        assert new.kind == "ixfr" or software is Nsd
        _, same = judged(server, asked("IXFR", key, 2), key)
        assert (same.reason, same.kind, same.serial) == ("accepted", "up-to-date", 2)
        _, soa = judged(server, asked("SOA", key), key)
        assert (soa.reason, soa.kind, soa.serial, soa.tsig) == ("accepted", "soa", 2, tsig)


def test_a_wrong_secret_and_a_refusal_are_told_apart(tmp_path: Path) -> None:
    require(Bind.program)
    key = Key.generate("guard-key")
    other = Key(key.name, Key.generate("x").secret)
    with Bind(Primary({NAME: PLAIN.text(1, "x")}, key=key), tmp_path) as server:
        _, unsigned = judged(server, asked("AXFR", None), None)
        assert (unsigned.reason, unsigned.kind, unsigned.rcode) == ("accepted", "error", 5)
        _, wrong = judged(server, asked("AXFR", other), other)
        assert (wrong.kind, wrong.rcode, wrong.tsig) == ("error", 9, "badsig")
        _, ours = judged(server, asked("AXFR", key), other)
        assert ours.reason == "tsig-mac"
        _, unknown = judged(server, asked("AXFR", key), None)
        assert (unknown.reason, unknown.tsig) == ("accepted", "unverified")


def test_a_mac_that_is_cut_as_bind_cuts_it_holds(tmp_path: Path) -> None:
    """RFC 8945 section 5.2.2.1; and the key's name is written in other letters than it is known by."""
    require(Bind.program)
    key = Key.generate("guard-key", "hmac-sha256-128")
    whole = Key(key.name, key.secret)
    with Bind(Primary({NAME: PLAIN.text(1, "x")}, key=key), tmp_path) as server:
        query = asked("AXFR", Key("Guard-KEY", key.secret))
        fixed, mac, rest = query[: -6 - 32 - 2], query[-6 - 32 : -6], query[-6:]
        at = len(query) - 61 - 2  # RDLENGTH
        cut = fixed[:at] + (61 - 16).to_bytes(2) + fixed[at + 2 :] + (16).to_bytes(2) + mac[:16] + rest
        _, verdict = judged(server, cut, whole)
        assert (verdict.reason, verdict.kind, verdict.tsig) == ("accepted", "axfr", "verified")
        _, short = judged(
            server, fixed[:at] + (61 - 24).to_bytes(2) + fixed[at + 2 :] + (8).to_bytes(2) + mac[:8] + rest, whole
        )
        assert (short.kind, short.rcode) == ("error", 1)
