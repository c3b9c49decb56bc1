"""DNS messages in TCP streams (RFC 1035 §4.2.2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.dns_frames import FrameReader, frame
from tests.protocol.strategies import cut, marks

messages = st.lists(st.binary(max_size=60), max_size=8)


@given(messages, marks, st.binary(max_size=1))
def test_messages_do_not_depend_on_the_cuts(wanted: list[bytes], places: list[float], begun: bytes) -> None:
    reader = FrameReader()
    wire = b"".join(map(frame, wanted)) + begun
    assert [message for piece in cut(wire, places) for message in reader.feed(piece)] == wanted
