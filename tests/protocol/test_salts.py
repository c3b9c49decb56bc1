"""The store of salts: exact, for as long as their time stamps are good, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.salts import SaltStore


def refused(store: SaltStore, salt: bytes, now: float) -> str:
    with pytest.raises(ProtocolError) as raised:
        store.add(salt, now)
    return raised.value.reason


def test_a_salt_is_refused_for_a_minute_and_the_second_that_stamps_are_cut_to() -> None:
    store = SaltStore()
    store.add(b"salt", 1000.0)
    assert refused(store, b"salt", 1000.0) == "replay"
    assert refused(store, b"salt", 1060.9) == "replay"
    store.add(b"salt", 1061.0)


def test_a_full_store_refuses_until_the_oldest_has_aged() -> None:
    store = SaltStore(capacity=3)
    for number in range(3):
        store.add(bytes((number,)), 1000.0 + number)
    assert refused(store, b"new", 1003.0) == "salts-full"
    assert refused(store, b"\0", 1003.0) == "replay"
    store.add(b"new", 1061.0)
    assert refused(store, b"\1", 1061.0) == "replay"
    assert len(store) == 3


def test_a_store_without_age_forgets_the_oldest_when_full() -> None:
    store = SaltStore(keep=None, capacity=3)
    for number in range(4):
        store.add(bytes((number,)), 1000.0 + 100 * number)
    assert len(store) == 3
    assert refused(store, b"\1", 10_000.0) == "replay"
    store.add(b"\0", 10_000.0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), max_size=60))
def test_like_a_plain_list_of_times(steps: list[tuple[int, int]]) -> None:
    store, seen, now = SaltStore(), dict[int, float](), 0
    for salt, passed in steps:
        now += passed
        known = salt in seen and now - seen[salt] < 61.0
        if known:
            assert refused(store, bytes((salt,)), now) == "replay"
        else:
            store.add(bytes((salt,)), now)
            seen[salt] = now
