"""Which tunnels lately carried an answer of which primary: the proof that a tunnel works when a primary does not.

All routes of a process write here and look here.
"""

from __future__ import annotations

from collections import defaultdict

from proxy.egress.pool.way import Transport


class Board:
    """The last answer by tunnel, transport and primary."""

    def __init__(self) -> None:
        self._answers: defaultdict[tuple[str, Transport], dict[str, float]] = defaultdict(dict)

    def worked(self, tunnel: str, transport: Transport, primary: str, now: float) -> None:
        """An answer of this primary came through this tunnel."""
        self._answers[tunnel, transport][primary] = now

    def works_elsewhere(self, tunnel: str, transport: Transport, primary: str, since: float) -> bool:
        """Whether an answer of another primary came through it since then."""
        found = self._answers.get((tunnel, transport), {})
        return any(when >= since for other, when in found.items() if other != primary)

    def forget(self, tunnels: set[str], primaries: set[str]) -> None:
        """Keep what is about these only."""
        for key in list(self._answers):
            if key[0] not in tunnels:
                del self._answers[key]
                continue
            for primary in self._answers[key].keys() - primaries:
                del self._answers[key][primary]
