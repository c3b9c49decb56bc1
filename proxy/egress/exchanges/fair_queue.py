"""A queue in which nobody waits behind somebody else's thousand: nodes take turns, and so do the zones of each node.

    node A: zone 1 [q q q]   zone 2 [q]      taken: A1 B7 A2 B7 A1 A1
    node B: zone 7 [q q]

Pure: no clock, no loop. Each step costs the same, however much waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

_Zones = dict[Hashable, deque[T]]


class FairQueue(Generic[T]):
    """What waits, by node and zone; dicts are the rings, their first key is whose turn it is."""

    def __init__(self) -> None:
        self._nodes: dict[Hashable, _Zones[T]] = {}
        self._size = 0

    def push(self, node: Hashable, zone: Hashable, item: T) -> None:
        """One more, behind all that this node has for this zone."""
        self._nodes.setdefault(node, {}).setdefault(zone, deque()).append(item)
        self._size += 1

    def pop(self) -> T:
        """Whose turn it is.

        Raises:
            IndexError: nothing waits.
        """
        if not self._size:
            raise IndexError("nothing waits")
        node = next(iter(self._nodes))
        zones = self._nodes.pop(node)
        zone = next(iter(zones))
        items = zones.pop(zone)
        item = items.popleft()
        if items:
            zones[zone] = items
        if zones:
            self._nodes[node] = zones
        self._size -= 1
        return item

    def remove(self, node: Hashable, zone: Hashable, item: T) -> bool:
        """It waits no more. False: it did not wait."""
        items = self._nodes.get(node, {}).get(zone)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._nodes[node][zone]
            if not self._nodes[node]:
                del self._nodes[node]
        self._size -= 1
        return True

    def __len__(self) -> int:
        return self._size
