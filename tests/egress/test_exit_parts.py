"""The small parts of the exit: the token bucket, the gate, and strangers by source."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.egress.bucket import Bucket
from proxy.egress.exit_strangers import Strangers, source_of
from proxy.egress.gate import Gate


def test_a_bucket_gives_a_burst_and_then_the_rate() -> None:
    bucket = Bucket(10, 5, 100.0)
    assert [bucket.take(1, 100.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(1, 100.0) == pytest.approx(0.1)
    assert bucket.take(1, 100.0) == pytest.approx(0.2)
    assert bucket.take(0, 100.2) == pytest.approx(0.0)
    bucket.give_back(3)
    assert bucket.take(3, 100.2) == pytest.approx(0.0)


def test_what_can_not_wait_takes_only_what_is_there() -> None:
    bucket = Bucket(10, 5, 0.0)
    assert bucket.take_now(100, 0.0)
    assert not bucket.take_now(1, 0.1)
    assert not bucket.take_now(5, 9.9)
    assert bucket.take_now(5, 10.1)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 50)), max_size=50))
def test_never_more_than_burst_and_rate_without_debt(steps: list[tuple[float, float]]) -> None:
    bucket, now, passed = Bucket(10, 20, 0.0), 0.0, 0.0
    for wait, amount in steps:
        now += wait
        if bucket.take_now(amount, now):
            passed += amount
        # One piece may be larger than the bucket, and takes all of it on credit.
        assert passed <= 20 + 10 * now + 50


class Transport:
    """What a gate uses of a transport."""

    def __init__(self) -> None:
        self.reading = True
        self.calls = 0

    def pause_reading(self) -> None:
        self.reading, self.calls = False, self.calls + 1

    def resume_reading(self) -> None:
        self.reading, self.calls = True, self.calls + 1

    def is_closing(self) -> bool:
        return False


def test_a_gate_is_open_when_nothing_speaks_against_it() -> None:
    transport, gate = Transport(), Gate()
    gate.hold("before")
    gate.attach(cast("asyncio.Transport", transport))
    assert not transport.reading
    gate.hold("rate")
    gate.hold("rate")
    gate.release("before")
    assert not transport.reading
    gate.release("rate")
    gate.release("rate")
    assert transport.reading
    assert transport.calls == 2


@pytest.mark.parametrize(
    ("sockaddr", "source"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%lo", 1, 0, 1), "fe80::/64"),
        (None, "?"),
    ],
)
def test_what_counts_as_one_source(sockaddr: tuple[object, ...] | None, source: str) -> None:
    assert source_of(sockaddr) == source


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_strangers_are_oldest_first_in_all_and_of_each(steps: list[tuple[bool, int]]) -> None:
    strangers, model = Strangers[int](), list[int]()
    for add, number in steps:
        if add and number not in model:
            strangers.add(number, str(number % 3))
            model.append(number)
        elif not add:
            strangers.discard(number)
            model = [each for each in model if each != number]
        assert list(strangers) == model
        assert len(strangers) == len(model)
        assert strangers.oldest() == (model[0] if model else None)
        for source in "012":
            theirs = [each for each in model if str(each % 3) == source]
            assert strangers.count(source) == len(theirs)
            assert strangers.oldest(source) == (theirs[0] if theirs else None)
