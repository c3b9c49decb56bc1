"""What the tests of the codecs draw from: targets, payloads, and ways to cut bytes into pieces."""

from __future__ import annotations

from hypothesis import strategies as st

from proxy.protocol.address import NamedTarget
from proxy.values import Endpoint

endpoints = st.builds(Endpoint, st.ip_addresses(), st.integers(0, 65535))
named_targets = st.builds(NamedTarget, st.binary(min_size=1, max_size=255), st.integers(0, 65535))
targets = endpoints | named_targets

# Around the limits of a chunk: 0x3FFF in 2017, 0xFFFF in 2022.
sizes = st.integers(0, 200) | st.sampled_from((0x3FFE, 0x3FFF, 0x4000, 0x7FFE, 0xFFFE, 0xFFFF, 0x10000, 150_000))
payloads = st.binary(max_size=300) | sizes.map(lambda size: (bytes(range(256)) * 600)[:size])

# Places in bytes that are random themselves (salts, padding): as parts of their length, so that a run can be repeated.
places = st.floats(0, 1, exclude_max=True)
marks = st.lists(places, max_size=12).map(sorted)


def cut(data: bytes, marks: list[float]) -> list[bytes]:
    """`data` in pieces, some of them empty."""
    ends = [int(mark * len(data)) for mark in marks]
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def changed(data: bytes, place: float, difference: int) -> bytes:
    """`data` with one byte changed."""
    copy = bytearray(data)
    copy[int(place * len(data))] ^= difference
    return bytes(copy)
