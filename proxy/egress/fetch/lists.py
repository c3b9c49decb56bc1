"""The sources of lists that come from elsewhere: fetched in time, again and again, through their tunnels.

A failure is told with its reason, the next try comes later each time, and what was fetched last stays. Each is tried
through its tunnels in their order; never without one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filters.settings import FilterList
from proxy.egress.fetch.body import Body, FetchError
from proxy.egress.fetch.pipe import TunnelPipe
from proxy.egress.fetch.transfer import transfer
from proxy.egress.fetch.web import fetch_url
from proxy.egress.primary import PrimaryServer
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.settings import Primary, TsigKey
from proxy.values import Emit

PATIENCE = 600.0
"""Seconds for one try, with all that comes."""
FIRST_RETRY = 10.0
"""Seconds to the first try again; each one more doubles them, up to `refresh`."""
_MOST_DOUBLINGS = 16
"""More are longer than any `refresh`; a source may be gone for good, and its failures without number."""


class ListFetcher:
    """Runs on the loop from `configure` to `stop`. `ways` and `primary` give what has a name, as it is then: a name
    among tunnels may stand for those of a server list."""

    def __init__(
        self,
        *,
        folder: Path,
        base: Path,
        ways: Callable[[str], Sequence[Tunnel]],
        primary: Callable[[str], PrimaryServer],
        emit: Emit,
    ) -> None:
        self._folder = folder
        self._base = base
        self._ways = ways
        self._primary = primary
        self._emit = emit
        self._primaries: Mapping[str, Primary] = {}
        self._keys: Mapping[str, TsigKey] = {}
        self._tasks: dict[FilterList, asyncio.Task[None]] = {}

    def configure(
        self, lists: Sequence[FilterList], primaries: Sequence[Primary], keys: Sequence[TsigKey] = ()
    ) -> None:
        """Fetch these from now on. One that stays as it is keeps its time."""
        self._keys = {key.name: key for key in keys}
        self._primaries = {primary.name: primary for primary in primaries}
        for known in self._tasks.keys() - set(lists):
            self._tasks.pop(known).cancel()
        for settings in lists:
            if settings not in self._tasks:
                self._tasks[settings] = asyncio.create_task(self._keep(settings), name=f"list {settings.name}")

    def stop(self) -> None:
        """Fetch nothing more."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _keep(self, settings: FilterList) -> None:
        failures = 0
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    if await self._fetch(settings):
                        self._emit("list.fetched", {"list": settings.name})
                failures = 0
            except Exception as error:  # whatever comes of what a source sends: it is tried again all the same
                failures += 1
                text = f"not there within {PATIENCE:g} s" if isinstance(error, TimeoutError) else words(error)
                self._emit("list.failed", {"list": settings.name, "source": source(settings), "error": text})
            wait = pause(failures, settings.refresh)
            # Not all at once, when many gateways were started together.
            await asyncio.sleep(wait * random.uniform(0.9, 1.0))  # noqa: S311 - no secret

    async def _fetch(self, settings: FilterList) -> bool:
        """Through the first tunnel that leads there."""
        names = settings.tunnels if settings.url is not None else self._primaries[str(settings.primary)].tunnels
        tunnels = [tunnel for name in names for tunnel in self._ways(name)]
        if not tunnels:
            raise FetchError(f"no way to it: {', '.join(names)} holds no tunnel yet")
        for tunnel in tunnels[:-1]:
            try:
                return await self._through(tunnel, settings)
            except (ProxyError, OSError) as error:
                fields = {"list": settings.name, "tunnel": tunnel.counters.name, "error": str(error)}
                self._emit("list.tunnel-failed", fields)
        return await self._through(tunnels[-1], settings)

    async def _through(self, tunnel: Tunnel, settings: FilterList) -> bool:
        body = Body(self._folder, settings.name, settings.max_bytes)
        if settings.url is not None:
            ca = self._base / settings.ca if settings.ca is not None else None
            return await fetch_url(tunnel, settings.url, str(settings.address), ca, body, PATIENCE)
        pipe = TunnelPipe()
        try:
            await self._primary(str(settings.primary)).open_stream(tunnel, pipe)
            key = self._keys.get(self._primaries[str(settings.primary)].tsig_key or "")
            return await transfer(pipe, str(settings.zone), source(settings), body, key)
        finally:
            pipe.close()


def source(settings: FilterList) -> str:
    """Where a list comes from, for people."""
    return settings.url or f"{settings.zone} of {settings.primary}"


def pause(failures: int, refresh: float) -> float:
    """Seconds to the next try after so many failures in a row; none is news looked for in time."""
    return min(FIRST_RETRY * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), refresh) if failures else refresh


def words(error: Exception) -> str:
    """What an error says; one that nobody foresaw says what it is, too."""
    foreseen = isinstance(error, ProxyError | FetchError | OSError)
    return str(error) if foreseen and str(error) else f"{type(error).__name__}: {error}"
