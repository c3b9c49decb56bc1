"""Captures: what is written is read, whatever the format; and no bytes do anything but give packets or an error."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trial.capture import LATEST, RECORD_MOST, Capture, CaptureError, Frame
from tests.support.captures import ETHERNET, RAW, block, interface, packet, pcap, section

TIMES = st.integers(0, LATEST // 1000).map(lambda time: time * 1000)
FRAMES = st.lists(st.tuples(TIMES, st.binary(max_size=80)), max_size=6)
ORDERS = st.sampled_from("<>")


def read(content: bytes) -> list[Frame]:
    return list(Capture(io.BytesIO(content).read).frames())


def check(content: bytes) -> None:
    """Frames, or an error that says where."""
    capture = Capture(io.BytesIO(content).read)
    wrong: CaptureError | None = None
    frames: list[Frame] = []
    try:
        frames += capture.frames()
    except CaptureError as error:
        wrong = error
    assert all(len(frame.data) <= len(content) and 0 <= frame.time <= LATEST for frame in frames)
    assert wrong is None or (0 <= wrong.offset <= len(content) and f"byte {wrong.offset}" in str(wrong))


@given(FRAMES, ORDERS, st.booleans())
def test_classic(frames: list[tuple[int, bytes]], order: str, nanoseconds: bool) -> None:
    content = pcap(RAW, frames, order=order, nanoseconds=nanoseconds)
    assert read(content) == [Frame(time, RAW, data) for time, data in frames]


@given(FRAMES, ORDERS)
def test_blocks(frames: list[tuple[int, bytes]], order: str) -> None:
    blocks = [packet(0, time // 1000, data, order) for time, data in frames]
    content = section(order) + interface(RAW, order) + block(5, b"statistics", order) + b"".join(blocks)
    assert read(content) == [Frame(time, RAW, data) for time, data in frames]


def test_each_interface_has_its_link_type_and_unit() -> None:
    nano = struct.pack("<HHB3x", 9, 1, 9)
    binary = struct.pack("<HHB3x", 9, 1, 0x80 | 10) + struct.pack("<HHq", 14, 8, 100)
    content = section() + interface(ETHERNET, options=nano) + interface(RAW, options=binary + b"\0\0\0\0")
    content += packet(1, 512, b"a") + packet(0, 7, b"b") + block(3, struct.pack("<I", 1) + b"c")
    content += block(2, struct.pack("<HHIIII", 1, 0, 0, 1024, 1, 1) + b"d")
    content += section(">") + interface(RAW, ">") + packet(0, 9, b"e", ">")
    assert read(content) == [
        Frame(100_500_000_000, RAW, b"a"),
        Frame(7, ETHERNET, b"b"),
        Frame(0, ETHERNET, b"c"),
        Frame(101_000_000_000, RAW, b"d"),
        Frame(9000, RAW, b"e"),
    ]


@pytest.mark.parametrize(
    ("content", "offset", "text"),
    [
        (b"", 0, "an empty file"),
        (b"not a capture", 0, "tcpdump -w"),
        (pcap(RAW, [])[:9], 0, "ends within its header"),
        (pcap(RAW, []).replace(b"\2\0\4\0", b"\3\0\4\0"), 4, "version 3"),
        (pcap(RAW, [(0, b"a")]) + struct.pack("<IIII", 0, 0, RECORD_MOST + 1, 0), 41, "a packet of 262145 bytes"),
        (section() + struct.pack("<II", 6, 1 << 25), 28, "a block of 33554432 bytes"),
        (section() + struct.pack("<II", 6, 13), 28, "a block of 13 bytes"),
        (section() + packet(0, 0, b"a"), 28, "interface 0, which was not described"),
        (section() + interface(RAW) + packet(0, 0, b"a")[:-1] + b"\1", 48, "another length"),
        (section() + block(1, b"ab"), 28, "an interface that is too short"),
        (section() + interface(RAW) + block(6, b"ab"), 48, "a packet block that is too short"),
        (section() + interface(RAW) + block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), 48, "a packet of 99 bytes"),
        (block(0x0A0D0D0A, b"\0" * 16), 0, "mark of its byte order"),
    ],
)
def test_damage_is_an_error_with_its_place(content: bytes, offset: int, text: str) -> None:
    with pytest.raises(CaptureError, match=text) as caught:
        read(content)
    assert caught.value.offset == offset


@given(st.integers(24, 10**6), st.booleans())
def test_a_cut_file_gives_what_is_whole(cut: int, classic: bool) -> None:
    frames = [(1000, b"one"), (2000, b"three"), (3000, b"seventeen")]
    blocks = [packet(0, time // 1000, data) for time, data in frames]
    head = pcap(RAW, []) if classic else section() + interface(RAW)
    records = [pcap(RAW, [frame])[24:] for frame in frames] if classic else blocks
    content = head + b"".join(records)
    cut = len(head) + cut % (len(content) - len(head) + 1)
    ends = [len(head) + sum(map(len, records[:count])) for count in range(4)]
    whole = sum(end <= cut for end in ends) - 1
    capture = Capture(io.BytesIO(content[:cut]).read)
    assert [frame.data for frame in capture.frames()] == [data for _, data in frames[:whole]]
    assert capture.cut == (None if cut in ends else ends[whole])


@given(st.binary(max_size=300), st.sampled_from([b"", *(pcap(RAW, [], order=order) for order in "<>")]))
def test_any_bytes_as_classic(content: bytes, head: bytes) -> None:
    check(head + content)
    assert head == b"" or head[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4")


@given(st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=64)), max_size=5), st.binary(max_size=40), ORDERS)
def test_any_bytes_as_blocks(blocks: list[tuple[int, bytes]], rest: bytes, order: str) -> None:
    content = section(order) + interface(RAW, order) + b"".join(block(kind, body, order) for kind, body in blocks)
    check(content + rest)
    assert read(section(order)) == []
