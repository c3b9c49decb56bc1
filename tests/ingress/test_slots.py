"""A backend keeps its place in the counters as long as it is configured."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from proxy.ingress.slots import SLOTS, Slots
from proxy.settings import Backend
from proxy.values import Endpoint


def backends(names: Sequence[str]) -> list[Backend]:
    return [Backend(name=name, address=Endpoint.parse("127.0.0.1:53")) for name in names]


def test_a_slot_is_kept_and_a_new_one_is_fresh() -> None:
    slots = Slots()
    assert slots.assign(backends(["a", "b"])) == {"a": 0, "b": 1}
    assert slots.assign(backends(["c", "b"])) == {"b": 1, "c": 2}
    assert slots.assign(backends(["b", "a"])) == {"b": 1, "a": 3}


@given(st.lists(st.sets(st.integers(0, 200).map(str), max_size=SLOTS), max_size=30))
def test_slots_are_distinct_in_range_and_stable(reloads: list[set[str]]) -> None:
    slots = Slots()
    before: dict[str, int] = {}
    for names in reloads:
        after = dict(slots.assign(backends(sorted(names))))
        assert after.keys() == names
        assert len(set(after.values())) == len(after)
        assert all(0 <= slot < SLOTS for slot in after.values())
        assert all(after[name] == slot for name, slot in before.items() if name in names)
        before = after
