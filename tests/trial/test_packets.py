"""From packets to DNS messages: link types, both families, what can't be read, and TCP."""

from __future__ import annotations

import itertools
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trial.packets import TCP, UDP, Packet, read_packet
from gateway.trial.streams import MOST, Streams
from tests.support.captures import (
    COOKED,
    COOKED_2,
    ETHERNET,
    IPV4,
    IPV6,
    LOOP,
    NULL,
    RAW,
    framed,
    ip,
    tcp,
    udp,
)

LINKS = (ETHERNET, RAW, NULL, LOOP, COOKED, COOKED_2)
PAIRS = {"192.0.2.1": "192.0.2.53", "2001:db8::1": "2001:db8::53"}
DATAGRAM = struct.pack("!HHHH", 40000, 53, 9, 0) + b"q"


@pytest.mark.parametrize("source", PAIRS)
@pytest.mark.parametrize(("link", "tags"), [*((link, 0) for link in LINKS), (ETHERNET, 1), (ETHERNET, 2)])
def test_a_datagram_behind_every_link_type(link: int, tags: int, source: str) -> None:
    data = framed(link, udp(b"query", source=source, local=PAIRS[source]), tags=tags)
    assert read_packet(link, data + b"padding") == Packet(UDP, source, 40000, PAIRS[source], 53, b"query")


def test_links_of_one_family() -> None:
    six = udp(b"q", source="2001:db8::1", local="2001:db8::53")
    assert isinstance(read_packet(IPV4, udp(b"q")), Packet)
    assert isinstance(read_packet(IPV6, six), Packet)


def test_headers_of_ipv6_are_walked() -> None:
    chain = bytes((60, 0)) + b"\0" * 6 + bytes((44, 1)) + b"\0" * 14 + bytes((17, 0)) + b"\0" * 6
    data = ip(17, DATAGRAM, "2001:db8::1", "2001:db8::53", extensions=chain)
    assert read_packet(RAW, data) == Packet(UDP, "2001:db8::1", 40000, "2001:db8::53", 53, b"q")
    fragment = chain[:-6] + struct.pack("!HI", 8, 0)
    assert read_packet(RAW, ip(17, DATAGRAM, "2001:db8::1", "2001:db8::53", extensions=fragment)) == "fragment"


@pytest.mark.parametrize(
    ("link", "data", "why"),
    [
        (ETHERNET, b"\2" * 12 + b"\x08\x06" + b"arp", "not IP"),
        (147, b"x", "link type 147"),
        (RAW, b"\x00", "not IP"),
        (RAW, b"", "cut short"),
        (RAW, ip(1, b"echo", "192.0.2.1", "192.0.2.53"), "neither UDP nor TCP"),
        (RAW, ip(17, DATAGRAM, "192.0.2.1", "192.0.2.53", fragment=0x2000), "fragment"),
        (RAW, ip(17, DATAGRAM, "192.0.2.1", "192.0.2.53", fragment=5), "fragment"),
        (RAW, udp(b"query")[:-1], "cut short"),
        (RAW, b"\x41" + udp(b"query")[1:], "damaged"),
        (RAW, ip(17, struct.pack("!HHHH", 1, 53, 99, 0), "192.0.2.1", "192.0.2.53"), "damaged"),
    ],
)
def test_what_is_not_read_has_a_reason(link: int, data: bytes, why: str) -> None:
    assert read_packet(link, data) == why


@given(st.sampled_from((*LINKS, IPV4, IPV6)), st.binary(max_size=120), st.sampled_from([b"", b"\x45", b"\x60"]))
def test_any_bytes(link: int, data: bytes, begin: bytes) -> None:
    told = read_packet(link, framed(link, begin + data) if begin else data)
    assert isinstance(told, str) or (told.protocol in (UDP, TCP) and len(told.payload) <= len(data))
    if isinstance(told, Packet):
        assert socket.inet_pton(socket.AF_INET6 if ":" in told.source else socket.AF_INET, told.source)


def segment(payload: bytes, sequence: int, flags: int = 0x18, port: int = 40000) -> Packet:
    told = read_packet(RAW, tcp(payload, sequence, flags, port=port))
    assert isinstance(told, Packet)
    return told


def prefixed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2) + message for message in messages)


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.lists(st.integers(1, 200), max_size=8),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 30),
)
def test_any_segments_give_the_messages(messages: list[bytes], cuts: list[int], start: int, again: int) -> None:
    data, streams = prefixed(*messages), Streams()
    found = list(streams.take(segment(b"", start, 2)))
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in itertools.pairwise(places):
        early = max(0, begin - again)  # a part of it came before
        found += streams.take(segment(data[early:end], start + 1 + early))
    assert found == messages
    assert streams.lost == 0


def test_a_gap_and_a_begun_connection_are_counted() -> None:
    streams = Streams()
    assert list(streams.take(segment(prefixed(b"early"), 5))) == []
    assert list(streams.take(segment(b"", 99, 2))) == []
    assert list(streams.take(segment(prefixed(b"one"), 100))) == [b"one"]
    assert list(streams.take(segment(prefixed(b"three"), 120))) == []
    assert list(streams.take(segment(prefixed(b"two"), 105))) == []
    assert streams.lost == 3


def test_connections_end_and_are_bounded() -> None:
    streams = Streams()
    assert list(streams.take(segment(prefixed(b"fast")[:3], 0, 2, port=1))) == []
    for port in range(2, MOST + 2):
        assert list(streams.take(segment(b"", 0, 2, port=port))) == []
    assert list(streams.take(segment(b"ast", 4, port=1))) == []
    assert list(streams.take(segment(prefixed(b"last"), 1, 0x19, port=2))) == [b"last"]
    assert list(streams.take(segment(prefixed(b"more"), 7, port=2))) == []
    assert streams.lost == 2
