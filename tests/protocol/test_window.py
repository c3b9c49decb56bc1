"""The sliding window: each packet ID once, none from far behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.window import SIZE, PacketWindow

ids = st.integers(0, 40) | st.integers(SIZE - 20, SIZE + 20) | st.integers(0, 2**64 - 1)


@given(st.lists(ids, max_size=60))
def test_like_a_set_of_all_ids(packets: list[int]) -> None:
    window, seen = PacketWindow(), set[int]()
    for packet in packets:
        fresh = packet not in seen and packet > max(seen, default=-1) - SIZE
        assert window.fresh(packet) == fresh
        if fresh:
            window.mark(packet)
            seen.add(packet)
        assert not window.fresh(packet)


def test_looking_does_not_move_the_window() -> None:
    window = PacketWindow()
    assert window.fresh(2**64 - 1)
    assert window.fresh(0)
    window.mark(0)
    assert window.fresh(1)
