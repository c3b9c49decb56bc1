"""Datagram paths that serve one query at a time, and those that wait for the next.

A path is used again, since every new one costs the exit a session for a minute, and a SOCKS server a connection.
But for a minute only: an exit forgets a session that is older, and the port from which the exit asks should not
become known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from proxy.egress.tunnel import Datagrams, Tunnel

AGE = 60.0  # seconds
SPARE = 32  # per tunnel


@dataclass(eq=False, frozen=True, slots=True)
class Path:
    """A path through `tunnel`, opened at `born`."""

    tunnel: Tunnel
    datagrams: Datagrams
    born: float

    def close(self) -> None:
        """Give it up."""
        self.datagrams.close()


class SparePaths:
    """Paths without a query, by tunnel."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paths: defaultdict[Tunnel, list[Path]] = defaultdict(list)
        self._closed = False

    def take(self, tunnel: Tunnel) -> Path | None:
        """The path that was given last, if it is young enough; those that are not are closed."""
        paths = self._paths[tunnel]
        while paths:
            path = paths.pop()
            if self._clock() - path.born < AGE:
                return path
            path.close()
        return None

    def give(self, path: Path) -> None:
        """Keep a path for the next query, or close it."""
        paths = self._paths[path.tunnel]
        while paths and self._clock() - paths[0].born >= AGE:
            paths.pop(0).close()
        if not self._closed and len(paths) < SPARE and self._clock() - path.born < AGE:
            paths.append(path)
        else:
            path.close()

    def close(self) -> None:
        """Close all, and what is given from now on."""
        self._closed = True
        for paths in self._paths.values():
            for path in paths:
                path.close()
        self._paths.clear()
