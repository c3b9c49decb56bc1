"""The routes of a configuration, one a primary; what was learned of their tunnels outlives a reload."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.egress.pool.board import Board
from proxy.egress.route import Route
from proxy.egress.status import RouteStatus
from proxy.egress.tunnel import Tunnel
from proxy.settings import EgressSettings, Primary
from proxy.values import Emit


class Routes:
    """Makes routes, and remembers them for the next time."""

    def __init__(self, emit: Emit, clock: Callable[[], float]) -> None:
        self._emit = emit
        self._clock = clock
        self._board = Board()
        self._known: Mapping[str, Route] = {}

    def make(self, settings: EgressSettings, tunnels: Mapping[str, Tunnel]) -> dict[str, Route]:
        """A route for each primary, by its name. They count as the last ones after `keep`.

        Raises:
            ValueError: a primary names a tunnel that is not there.
        """
        return {each.name: self._make(each, tunnels) for each in settings.primaries}

    def keep(self, routes: Mapping[str, Route]) -> None:
        """These are in use from now on."""
        self._known = routes
        for route in routes.values():
            route.take_over()
        names = {way.name for route in routes.values() for way in route.ways}
        self._board.forget(names, set(routes))

    def named(self, primary: str) -> Route:
        """The one in use.

        Raises:
            KeyError: there is none.
        """
        return self._known[primary]

    def status(self) -> tuple[RouteStatus, ...]:
        """How those in use are."""
        return tuple(status for route in self._known.values() for status in route.status())

    def _make(self, primary: Primary, tunnels: Mapping[str, Tunnel]) -> Route:
        missing = [name for name in primary.tunnels if name not in tunnels]
        if missing:
            raise ValueError(f"primary {primary.name}: there is no tunnel {missing[0]!r}")
        before = self._known.get(primary.name)
        return Route(
            primary.name,
            primary.address,
            [tunnels[name] for name in primary.tunnels],
            self._emit,
            self._clock,
            kind=primary.choice,
            rules=primary.failover,
            board=self._board,
            before=before if before is not None and before.target == primary.address else None,
            datagrams=primary.tls is None,
        )
