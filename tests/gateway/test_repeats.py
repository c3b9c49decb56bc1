"""Floods of events are limited, and nothing that was left out is lost to the count."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.repeats import BURST, EventLimiter, RepeatLimiter

steps = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2)), max_size=200)


@given(steps)
@settings(deadline=None)  # the CPUs are shared
def test_counts_add_up_and_the_rate_holds(events: list[tuple[str, float]]) -> None:
    limiter = RepeatLimiter(burst=5, rate=1.0)
    now = 0.0
    passed = {"a": 0, "b": 0}
    counted = {"a": 0, "b": 0}
    left_out = {"a": 0, "b": 0}
    for key, pause in events:
        now += pause
        count = limiter.passes(key, now)
        if count is None:
            left_out[key] += 1
        else:
            assert count == 1 + left_out[key]
            left_out[key] = 0
            passed[key] += 1
            counted[key] += count
        assert passed[key] <= 5 + now
    for key in "ab":
        assert counted[key] + left_out[key] == sum(1 for other, _ in events if other == key)


def test_memory_is_bounded() -> None:
    limiter = RepeatLimiter()
    for number in range(10_000):
        assert limiter.passes(number, 0.0) == 1
    assert len(limiter._buckets) <= 1024


def test_subjects_are_told_apart_and_all_together_are_bounded() -> None:
    limiter = EventLimiter()
    for _ in range(BURST):
        assert limiter.passes("backend.unhealthy", {"backend": "a", "detail": "x"}, 0.0) == 1
    assert limiter.passes("backend.unhealthy", {"backend": "a"}, 0.0) is None
    assert limiter.passes("backend.unhealthy", {"backend": "b"}, 0.0) == 1
    passed = sum(limiter.passes("x", {"backend": number}, 0.0) is not None for number in range(10_000))
    assert passed < 500
