"""The store of salts: exact, for as long as their time stamps are good, bounded, and fair between users."""

from __future__ import annotations

import itertools
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.salts import CAPACITY, KEEP, SaltStore


def refused(store: SaltStore, salt: bytes, now: float, user: str = "", stamp: int | None = None) -> str:
    with pytest.raises(ProtocolError) as raised:
        store.add(salt, now, user=user, stamp=stamp)
    return raised.value.reason


def test_a_salt_is_refused_for_a_minute_and_the_second_that_stamps_are_cut_to() -> None:
    store = SaltStore()
    store.add(b"salt", 1000.0)
    assert refused(store, b"salt", 1000.0) == "replay"
    assert refused(store, b"salt", 1060.9) == "replay"
    store.add(b"salt", 1000.0 + KEEP * 4 / 3 + 0.1)


def test_a_full_store_refuses_until_the_oldest_have_aged() -> None:
    store = SaltStore(capacity=3)
    for number in range(3):
        store.add(bytes((number,)), 1000.0 + 21 * number)
    assert refused(store, b"new", 1043.0) == "salts-full"
    assert refused(store, b"\0", 1043.0) == "replay"
    store.add(b"new", 1000.0 + KEEP * 4 / 3 + 0.1)
    assert refused(store, b"\1", 1082.0) == "replay"
    assert len(store) == 3


def test_a_store_without_age_forgets_the_oldest_when_full() -> None:
    store = SaltStore(keep=None, capacity=6)
    for number in range(7):
        store.add(bytes((number,)), 1000.0 + 100 * number)
    assert len(store) == 5
    assert refused(store, b"\2", 10_000.0) == "replay"
    store.add(b"\0", 10_000.0)


def test_one_user_can_not_shut_the_others_out() -> None:
    store = SaltStore(capacity=100, users=4)
    for number in range(50):
        store.add(b"greedy%d" % number, 1000.0, user="greedy")
    assert refused(store, b"one more", 1000.0, user="greedy") == "salts-full"
    for number in range(25):
        store.add(b"modest%d" % number, 1000.0, user="modest")
    assert refused(store, b"one more", 1000.0, user="modest") == "salts-full"
    store.add(b"first", 1000.0, user="late")


def test_what_was_recorded_before_the_start_is_refused_in_words() -> None:
    store = SaltStore(since=1000.7)
    store.add(b"same second", 1001.0, stamp=1000)
    with pytest.raises(ProtocolError, match="from 5 s before this exit, or this key, came into use") as raised:
        store.add(b"before", 1001.0, stamp=995)
    assert raised.value.reason == "before-start"
    assert len(store) == 1


def test_a_flood_of_replays_adds_nothing() -> None:
    store = SaltStore()
    recorded = [os.urandom(32) for _ in range(100)]
    for salt in recorded:
        store.add(salt, 1000.0)
    assert {refused(store, salt, 1001.0) for salt in itertools.islice(itertools.cycle(recorded), 10_000)} == {"replay"}
    assert len(store) == 100


def test_a_full_store_is_as_large_as_it_says() -> None:
    store = SaltStore(capacity=CAPACITY // 8)
    tracemalloc.start()
    try:
        for number in range(CAPACITY // 8):
            store.add(os.urandom(32), 1000.0 + number * 60 / (CAPACITY // 8))
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert refused(store, b"new", 1060.0) == "salts-full"
    assert size < (22 << 20) // 8


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), max_size=60))
def test_known_for_a_minute_and_never_for_much_longer(steps: list[tuple[int, int]]) -> None:
    store, seen, now = SaltStore(), dict[int, float](), 0
    for salt, passed in steps:
        now += passed
        age = now - seen.get(salt, -1000.0)
        if age < KEEP:
            assert refused(store, bytes((salt,)), now) == "replay"
        elif age >= KEEP * 4 / 3:
            store.add(bytes((salt,)), now)
            seen[salt] = now
        assert len(store) <= 21
