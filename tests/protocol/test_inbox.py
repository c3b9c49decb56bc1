"""The inbox: any chunking gives the same parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.inbox import Inbox
from tests.protocol.strategies import cut, marks


@given(marks, st.binary(max_size=200), st.lists(st.integers(0, 40), max_size=20))
def test_parts_do_not_depend_on_the_cuts(places: list[float], stream: bytes, sizes: list[int]) -> None:
    wanted, at = [], 0
    for size in sizes:
        if at + size > len(stream):
            break
        wanted.append(stream[at : at + size])
        at += size
    inbox, got, waiting = Inbox(), [], list(sizes)
    for piece in cut(stream, places):
        inbox.add(piece)
        while waiting and (part := inbox.take(waiting[0])) is not None:
            got.append(bytes(part))
            del waiting[0], part
        inbox.settle()
    assert got == wanted
    assert len(inbox) == len(stream) - at
