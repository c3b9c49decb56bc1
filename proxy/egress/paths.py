"""Datagram paths that serve one query at a time, and those that wait for the next.

A path is used again, since every new one costs the exit a session for a minute, and a SOCKS server a connection.
But for a minute only: an exit forgets a session that is older, and the port from which the exit asks should not
become known.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from proxy.egress.tunnel import Datagrams, Tunnel

AGE = 60.0  # seconds
SPARE = 32  # per tunnel

Q = TypeVar("Q")


class Path(Generic[Q]):
    """A path through `tunnel`, and the query of type Q that it serves now."""

    def __init__(self, tunnel: Tunnel, datagrams: Datagrams, born: float) -> None:
        self.tunnel = tunnel
        self.born = born
        self.serves: Q | None = None
        self._datagrams = datagrams
        self._reader: asyncio.Task[None] | None = None

    def read(self, reader: Callable[[Path[Q]], Coroutine[Any, Any, None]]) -> None:
        """Start the task that reads from it."""
        self._reader = asyncio.create_task(reader(self))

    async def send(self, payload: bytes) -> None:
        """See `Datagrams.send`."""
        await self._datagrams.send(payload)

    async def receive(self) -> bytes:
        """See `Datagrams.receive`."""
        return await self._datagrams.receive()

    def close(self) -> None:
        """Give it up, and stop its reader, unless that is who calls."""
        self.serves = None
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        self._datagrams.close()


class SparePaths(Generic[Q]):
    """Paths without a query, by tunnel."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paths: defaultdict[Tunnel, list[Path[Q]]] = defaultdict(list)

    def take(self, tunnel: Tunnel) -> Path[Q] | None:
        """The path that was given last, if it is young enough; those that are not are closed."""
        paths = self._paths[tunnel]
        while paths:
            path = paths.pop()
            if self._clock() - path.born < AGE:
                return path
            path.close()
        return None

    def give(self, path: Path[Q]) -> None:
        """Keep a path for the next query, or close it."""
        path.serves = None
        paths = self._paths[path.tunnel]
        while paths and self._clock() - paths[0].born >= AGE:
            paths.pop(0).close()
        if len(paths) < SPARE and self._clock() - path.born < AGE:
            paths.append(path)
        else:
            path.close()

    def discard(self, path: Path[Q]) -> None:
        """It is of no use any more."""
        paths = self._paths[path.tunnel]
        if path in paths:
            paths.remove(path)
        path.close()

    def clear(self) -> None:
        """Close all."""
        for paths in self._paths.values():
            for path in paths:
                path.close()
        self._paths.clear()
