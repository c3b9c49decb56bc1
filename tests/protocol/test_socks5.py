"""The SOCKS5 client: every way through its states, and out of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import PrimaryError, ProtocolError, ProxyError, SetupError, TunnelError
from proxy.protocol.address import Target, encode_address
from proxy.protocol.socks5 import Command, Ready, Send, Socks5Client
from proxy.protocol.socks5_datagrams import unwrap_datagram, wrap_datagram
from proxy.protocol.tunnel_urls import Socks5Address, TunnelHost
from proxy.values import Endpoint
from tests.protocol.strategies import cut, marks, targets

HOST = TunnelHost("proxy.example", 1080)
TARGET = Endpoint.parse("192.0.2.7:53")
REQUEST = bytes.fromhex("05 01 00 01 c0000207 0035")
BOUND = bytes.fromhex("05 00 00 01 7f000001 1234")


def new_client(user: bytes | None = None, password: bytes = b"") -> Socks5Client:
    return Socks5Client(Socks5Address(HOST, user, password), Command.CONNECT, TARGET)


@given(marks, st.booleans(), targets, st.binary(max_size=10))
def test_the_whole_way_however_it_is_cut(places: list[float], secret: bool, bound: Target, rest: bytes) -> None:
    client = new_client(b"user", b"secret") if secret else new_client()
    assert client.start() == (b"\5\2\0\2" if secret else b"\5\1\0")
    hello = b"\5\2\1\0" if secret else b"\5\0"
    wire = hello + b"\5\0\0" + encode_address(bound) + rest
    events = [event for piece in cut(wire, places) for event in client.feed(piece)]
    sent = [Send(b"\1\4user\6secret")] if secret else []
    assert events[:-1] == [*sent, Send(REQUEST)]
    assert isinstance(events[-1], Ready)
    assert events[-1].bound == bound
    assert rest.startswith(events[-1].rest)


def test_what_comes_behind_the_reply_is_handed_on() -> None:
    assert new_client().feed(b"\5\0" + BOUND + b"rest") == [
        Send(REQUEST),
        Ready(Endpoint.parse("127.0.0.1:4660"), b"rest"),
    ]


def test_an_association_says_that_its_address_is_not_known() -> None:
    client = Socks5Client(Socks5Address(HOST), Command.UDP_ASSOCIATE)
    assert client.feed(b"\5\0") == [Send(bytes.fromhex("05 03 00 01 00000000 0000"))]


def test_a_server_may_waive_the_password() -> None:
    assert new_client(b"user", b"secret").feed(b"\5\0") == [Send(REQUEST)]


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        (1, TunnelError, "tunnel-refused"),
        (2, SetupError, "not-allowed"),
        (3, PrimaryError, "primary-unreachable"),
        (4, PrimaryError, "primary-unreachable"),
        (5, PrimaryError, "primary-refused"),
        (6, PrimaryError, "primary-unreachable"),
        (7, TunnelError, "command-not-supported"),
        (8, TunnelError, "address-not-supported"),
        (9, ProtocolError, "malformed"),
        (255, ProtocolError, "malformed"),
    ],
)
def test_a_refusal_says_whose_fault_it_is(reply: int, error: type[ProxyError], reason: str) -> None:
    client = new_client()
    client.feed(b"\5\0")
    with pytest.raises(error) as raised:
        client.feed(bytes((5, reply)))
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("user", "wire", "reason"),
    [
        (None, b"\5\xff", "authentication"),
        (b"user", b"\5\xff", "authentication"),
        (b"user", b"\5\2\1\1", "authentication"),
        (None, b"\5\2", "malformed"),
        (b"user", b"\5\1", "malformed"),
        (None, b"\4", "malformed"),
        (None, b"HTTP/1.1 400 Bad Request", "malformed"),
        (b"user", b"\5\2\5\0", "malformed"),
        (None, b"\5\0\4", "malformed"),
        (None, b"\5\0\5\0\0\x09", "bad-address"),
    ],
)
def test_what_is_no_socks5_or_not_for_us(user: bytes | None, wire: bytes, reason: str) -> None:
    with pytest.raises(ProxyError) as raised:
        new_client(user, b"hunter2").feed(wire)
    assert raised.value.reason == reason
    assert "hunter2" not in str(raised.value)


@given(st.binary(max_size=40), st.booleans())
def test_hostile_bytes_raise_only_our_errors(data: bytes, secret: bool) -> None:
    client = new_client(b"user", b"secret") if secret else new_client()
    try:
        events = client.feed(data)
    except ProxyError:
        return
    assert all(isinstance(event, Send | Ready) for event in events)


@given(targets, st.binary(max_size=100))
def test_datagrams_round_trip(target: Target, payload: bytes) -> None:
    assert unwrap_datagram(wrap_datagram(target, payload)) == (target, payload)


@given(st.binary(max_size=40))
def test_hostile_datagrams_raise_only_protocol_errors(data: bytes) -> None:
    try:
        source, payload = unwrap_datagram(data)
    except ProtocolError:
        return
    assert wrap_datagram(source, payload)[3:] == data[3:]


def test_fragments_are_dropped() -> None:
    datagram = wrap_datagram(TARGET, b"query")
    for fragment in (1, 127, 128, 255):
        with pytest.raises(ProtocolError) as raised:
            unwrap_datagram(datagram[:2] + bytes((fragment,)) + datagram[3:])
        assert raised.value.reason == "fragment"
