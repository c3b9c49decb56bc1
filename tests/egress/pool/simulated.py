"""Tunnels that are only told of, and a clock that moves when told to."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.egress.pool.board import Board
from proxy.egress.route import Route
from proxy.egress.tunnel import Tunnel
from proxy.egress.tunnels import make_tunnel
from proxy.errors import PrimaryError, TunnelError
from proxy.settings import Failover
from tests.egress.ring import Events, fresh_endpoint, tunnel


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


SILENCE = TunnelError("no answer", "no-answer")
REFUSED = TunnelError("it refused", "refused")
GONE = PrimaryError("the exit can't reach it", "primary-unreachable")


def tunnels(count: int) -> list[Tunnel]:
    """Tunnels a, b, c and on; nothing is opened."""
    return [make_tunnel(tunnel(name, "socks5://127.0.0.1:1")) for name in "abcdef"[:count]]


class Simulated:
    """A route with what it needs."""

    def __init__(
        self,
        ways: Sequence[Tunnel] | int,
        rules: Failover | None = None,
        *,
        kind: str = "ordered",
        clock: Clock | None = None,
        board: Board | None = None,
        primary: str = "p",
    ) -> None:
        self.clock = clock or Clock()
        self.events = Events()
        self.tunnels = tunnels(ways) if isinstance(ways, int) else list(ways)
        self.route = Route(
            primary,
            fresh_endpoint(),
            self.tunnels,
            self.events,
            self.clock,
            kind="scored" if kind == "scored" else "ordered",
            rules=rules,
            board=board,
        )

    def names(self) -> str:
        """The order over TCP now, by the names of the tunnels."""
        return "".join(each.counters.name for each in self.route.order("tcp"))

    def named(self, name: str) -> list[str]:
        """The tunnels that events of this name were about."""
        return [str(fields["tunnel"]) for fields in self.events.named(name)]
