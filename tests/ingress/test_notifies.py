"""NOTIFY at the door of a whole worker: what it hands on, and what the primary gets, over UDP and TCP."""

from __future__ import annotations

import ipaddress

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rrset
import dns.tsig
import pytest

from proxy.ingress.notifies import NotifyDesk, notify_rows
from proxy.protocol.notify import Notice
from proxy.settings import NotifySettings, Primary, TsigKey, Zone, ZoneNotify
from proxy.values import Endpoint, Network, Secret

SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ISEhIQ=="  # noqa: S105 - of a test
PRIMARY, ELSEWHERE, OURS = (ipaddress.ip_address(text) for text in ("203.0.113.5", "198.51.100.9", "192.0.2.53"))
SETTINGS = NotifySettings(
    zones=(
        Zone(name="Example.com", primaries=("p",)),
        Zone(name="other.example", notify=ZoneNotify(from_=(Network.parse("203.0.113.0/24"),), keys=("second",))),
    ),
    primaries=(Primary(name="p", address=Endpoint.parse("203.0.113.5:53"), tunnels=("t",), tsig_key="first"),),
    tsig_keys=tuple(TsigKey(name=name, secret=Secret(SECRET)) for name in ("first", "second")),
)


class Desk:
    """A desk, what it handed on, and what it told."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.events: list[str] = []
        self.open = True
        self.desk = NotifyDesk(
            SETTINGS, self._take, lambda name, _fields: self.events.append(name), monotonic=lambda: 5.0
        )

    def _take(self, notice: Notice) -> bool:
        if self.open:
            self.notices.append(notice)
        return self.open

    def ask(self, wire: bytes, source: ipaddress.IPv4Address | ipaddress.IPv6Address = PRIMARY) -> bytes | None:
        return self.desk.judge(wire, (source, 40000), (OURS, 53), "udp")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def notify(zone: str = "example.com", key: str | None = None) -> dns.message.Message:
    message = dns.message.make_query(zone, "SOA")
    message.set_opcode(dns.opcode.NOTIFY)
    message.answer.append(dns.rrset.from_text(f"{zone}.", 0, "IN", "SOA", "ns. h. 9 1 1 1 1"))
    if key is not None:
        message.use_tsig(dns.tsig.Key(key, SECRET, "hmac-sha256"))
    return message


def test_an_accepted_one_is_handed_on_and_answered(desk: Desk) -> None:
    wire = notify("EXAMPLE.com").to_wire()
    answer = desk.ask(wire)
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.NOERROR
    expected = Notice(
        zone="example.com.",
        serial=9,
        client=("203.0.113.5", 40000),
        asked=("192.0.2.53", 53),
        transport="udp",
        key=None,
        message=wire,
        at=5.0,
    )
    assert desk.notices == [expected]
    assert desk.desk.accepted == 1


def test_a_key_is_good_for_its_zones_only(desk: Desk) -> None:
    assert desk.ask(notify("example.com", "first").to_wire(), ELSEWHERE) is not None
    assert [notice.key for notice in desk.notices] == ["first."]
    refused = desk.ask(notify("other.example", "first").to_wire(), ELSEWHERE)
    assert refused is not None
    assert dns.message.from_wire(refused, keyring=False).rcode() == dns.rcode.REFUSED
    assert len(desk.notices) == 1
    assert desk.desk.refused == {"not-allowed": 1}
    assert desk.ask(notify("other.example", "first").to_wire()) is not None
    assert len(desk.notices) == 2, "the address of a sender is enough"


def test_a_wrong_signature_from_a_known_address_is_refused(desk: Desk) -> None:
    wire = bytearray(notify("example.com", "first").to_wire())
    wire[-20] ^= 1
    answer = desk.ask(bytes(wire))
    assert answer is not None
    assert dns.message.from_wire(answer, keyring=False).rcode() == dns.rcode.NOTAUTH
    assert (desk.notices, desk.desk.refused, desk.events) == ([], {"badsig": 1}, ["notify.signature-refused"])


def test_who_can_not_be_heard_gets_no_answer(desk: Desk) -> None:
    desk.open = False
    assert desk.ask(notify().to_wire()) is None
    assert desk.desk.refused == {"not-handed-on": 1}


def test_the_rows_for_the_data_plane_have_names_in_wire_form() -> None:
    assert notify_rows(SETTINGS) == [
        (b"\x07example\x03com\x00", [("203.0.113.5", 32)], [b"\x05first\x00"]),
        (b"\x05other\x07example\x00", [("203.0.113.0", 24)], [b"\x06second\x00"]),
    ]
