"""A set of open things that can be waited for to become empty, for draining."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Crowd(Generic[T]):
    """What is open now, oldest first."""

    def __init__(self) -> None:
        self._members: dict[T, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, member: T) -> None:
        """One more."""
        self._members[member] = None
        self._empty.clear()

    def discard(self, member: T) -> None:
        """One less, if it was there."""
        self._members.pop(member, None)
        if not self._members:
            self._empty.set()

    async def empty(self) -> None:
        """Return when nothing is open."""
        await self._empty.wait()

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._members))

    def __len__(self) -> int:
        return len(self._members)
