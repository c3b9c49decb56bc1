"""The way to one primary: its tunnels in order of preference, those that failed lately last.

A tunnel that failed rests for ten seconds, for this primary and this transport only: a TCP connect that fails says
little about UDP, and a primary that is silent says little about the tunnel. A resting tunnel is still tried when
all others have failed. There is no way besides the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.values import Emit, Endpoint

REST = 10.0  # seconds

Transport = Literal["udp", "tcp"]


class Route:
    """Tunnels to `target`, the primary called `primary`."""

    def __init__(
        self, primary: str, target: Endpoint, tunnels: Sequence[Tunnel], emit: Emit, clock: Callable[[], float]
    ) -> None:
        self.primary = primary
        self.target = target
        self._tunnels = tuple(tunnels)
        self._emit = emit
        self._clock = clock
        self._resting: dict[tuple[str, Transport], float] = {}

    def order(self, transport: Transport) -> list[Tunnel]:
        """All tunnels, in the order in which to try them now."""
        now = self._clock()
        return sorted(self._tunnels, key=lambda tunnel: self._resting.get((tunnel.counters.name, transport), 0.0) > now)

    def failed(self, tunnel: Tunnel, transport: Transport, error: ProxyError) -> None:
        """It did not lead to an answer. Said once: the event comes again only after it worked."""
        name = tunnel.counters.name
        tunnel.counters.failed(error)
        first = (name, transport) not in self._resting
        self._resting[name, transport] = self._clock() + REST
        if first:
            self._emit("tunnel.failed", {**self._fields(name, transport), "reason": error.reason, "error": str(error)})

    def worked(self, tunnel: Tunnel, transport: Transport) -> None:
        """An answer came through it."""
        if self._resting.pop((tunnel.counters.name, transport), None) is not None:
            self._emit("tunnel.recovered", self._fields(tunnel.counters.name, transport))

    def _fields(self, tunnel: str, transport: Transport) -> dict[str, object]:
        return {"tunnel": tunnel, "primary": self.primary, "transport": transport}
