"""NOTIFY and its signature: what is read, what holds, and what is answered, against dnspython and its own signing."""

from __future__ import annotations

import contextlib

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rrset
import dns.tsig
import pytest
from dns.rdtypes.ANY.TSIG import TSIG
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.notify import answer, check, is_reached, read_notify
from proxy.protocol.tsig import KeyRing, TsigError
from proxy.settings import TsigKey
from proxy.values import Secret

SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ISEhIQ=="  # noqa: S105 - of a test
KEYS = KeyRing([TsigKey(name="Customer-A", secret=Secret(SECRET)), TsigKey(name="other", secret=Secret(SECRET))])


def notify(zone: str = "example.com", serial: int | None = 7, *, edns: bool = False) -> dns.message.Message:
    """A NOTIFY as BIND sends it."""
    message = dns.message.make_query(zone, "SOA", use_edns=edns)
    message.set_opcode(dns.opcode.NOTIFY)
    message.flags = (message.flags & ~dns.flags.RD) | dns.flags.AA
    if serial is not None:
        message.answer.append(dns.rrset.from_text(f"{zone}.", 0, "IN", "SOA", f"ns.{zone}. h.{zone}. {serial} 1 1 1 1"))
    return message


def signed(message: dns.message.Message, key: str = "customer-a", secret: str = SECRET) -> tuple[bytes, int, bytes]:
    """The wire, when it was signed, and its MAC."""
    message.use_tsig(dns.tsig.Key(key, secret, "hmac-sha256"))
    wire = message.to_wire()
    record = message.tsig[0] if message.tsig is not None else None
    assert isinstance(record, TSIG)
    return wire, record.time_signed, record.mac


@pytest.mark.parametrize("serial", [None, 0, 7, 4294967295])
@pytest.mark.parametrize("edns", [False, True])
def test_a_notify_is_read_and_answered_as_rfc_1996_says(serial: int | None, edns: bool) -> None:
    asked = notify(serial=serial, edns=edns)
    incoming = read_notify(asked.to_wire(), KEYS)
    assert (incoming.zone.to_text(), incoming.serial, incoming.signature) == ("example.com.", serial, None)
    got = dns.message.from_wire(answer(incoming, 0))
    assert (got.id, got.question, got.opcode(), got.rcode()) == (asked.id, asked.question, dns.opcode.NOTIFY, 0)
    assert got.flags & (dns.flags.QR | dns.flags.AA) == dns.flags.QR | dns.flags.AA
    assert not got.answer
    assert (got.edns >= 0) == edns


def test_a_signature_that_holds_is_answered_with_one_that_the_primary_can_check() -> None:
    wire, now, mac = signed(notify())
    incoming = read_notify(wire, KEYS)
    check(incoming, wire, now)
    key = dns.tsig.Key("customer-a", SECRET, "hmac-sha256")
    got = dns.message.from_wire(answer(incoming, now), keyring=key, request_mac=mac)
    assert got.had_tsig
    assert got.rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [("nobody", SECRET, dns.rcode.BADKEY), ("customer-a", "d3Jvbmc=", dns.rcode.BADSIG)],
)
def test_a_wrong_key_or_mac_is_told_without_a_signature(key: str, secret: str, code: dns.rcode.Rcode) -> None:
    wire, now, _ = signed(notify(), key, secret)
    incoming = read_notify(wire, KEYS)
    with pytest.raises(TsigError) as raised:
        check(incoming, wire, now)
    assert raised.value.code == code
    assert SECRET not in str(raised.value)
    got = dns.message.from_wire(answer(incoming, now, raised.value), keyring=False)
    assert got.rcode() == dns.rcode.NOTAUTH
    record = got.tsig[0] if got.tsig is not None else None
    assert isinstance(record, TSIG)
    assert (record.error, record.mac) == (code, b"")


@pytest.mark.parametrize("off", [-301, 301, 100000])
def test_a_wrong_time_is_told_with_ours_and_signed(off: int) -> None:
    wire, signed_at, mac = signed(notify())
    incoming = read_notify(wire, KEYS)
    now = signed_at + off
    with pytest.raises(TsigError, match=f"{abs(off)} s") as raised:
        check(incoming, wire, now)
    got = dns.message.from_wire(answer(incoming, now, raised.value), keyring=False)
    record = got.tsig[0] if got.tsig is not None else None
    assert isinstance(record, TSIG)
    assert (got.rcode(), record.error, record.time_signed) == (dns.rcode.NOTAUTH, dns.rcode.BADTIME, signed_at)
    assert int.from_bytes(record.other) == now
    key = dns.tsig.Key("customer-a", SECRET, "hmac-sha256")
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(answer(incoming, now, raised.value), keyring=key, request_mac=mac)


@given(st.integers(0, 1000), st.integers(1, 255))
def test_no_changed_byte_passes_as_signed(place: int, change: int) -> None:
    wire, now, _ = signed(notify())
    signature = read_notify(wire, KEYS).signature
    assert signature is not None
    place = 2 + place % (signature.start - 2)  # the ID is covered as the original one, which the record holds
    changed = wire[:place] + bytes([wire[place] ^ change]) + wire[place + 1 :]
    with pytest.raises((ProtocolError, TsigError)):
        _checked(changed, now)


def _checked(wire: bytes, now: int) -> None:
    incoming = read_notify(wire, KEYS)
    assert incoming.signature is not None or len(wire) < 12, "the record is still there"
    check(incoming, wire, now)


def test_a_key_does_not_show_its_secret() -> None:
    incoming = read_notify(signed(notify())[0], KEYS)
    assert SECRET not in repr(incoming)
    assert SECRET not in repr(KEYS)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_a_protocol_error(data: bytes) -> None:
    for wire in (data, notify().to_wire() + data, signed(notify())[0][: len(data)] + data):
        with contextlib.suppress(ProtocolError):  # what can't be read has this error and no other
            incoming = read_notify(wire, KEYS)
            assert dns.message.from_wire(answer(incoming, 0), keyring=False).id == int.from_bytes(wire[:2])


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1))
def test_serials_follow_rfc_1982(target: int, ahead: int) -> None:
    assert is_reached((target + ahead) % 2**32, target)
    assert ahead == 0 or not is_reached(target, (target + ahead) % 2**32)
