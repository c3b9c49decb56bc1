"""Is a backend healthy? Judged by its answers to SOA queries for a served zone, and by what happens to real queries.

```
unknown --first result--> healthy <--rise good in a row / fall bad in a row--> unhealthy
```
An unknown backend gets queries (an optimist's start), but does not make the gateway ready.

A check that gets no answer at all says nothing of a backend that has answered a client's query since: an overloaded
node loses checks as it loses queries, and to send it nothing would lose all.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from proxy.ingress.probes import advice, check
from proxy.protocol.proxy_headers import way_of
from proxy.settings import Backend, Health

State = Literal["unknown", "healthy", "unhealthy"]

# A check may come this much earlier or later than its interval, so that many gateways do not ask in step.
JITTER = 0.2


@dataclass(slots=True)
class Judge:
    """The state of one backend. `good` and `bad` take a result and say whether the state has changed."""

    rise: int
    fall: int
    state: State = "unknown"
    streak: int = 0

    def good(self) -> bool:
        """An answer came as it should."""
        return self._count("healthy", self.rise)

    def bad(self) -> bool:
        """None came, or a wrong one."""
        return self._count("unhealthy", self.fall)

    def _count(self, state: State, needed: int) -> bool:
        if self.state == state:
            self.streak = 0
            return False
        self.streak = self.streak + 1 if self.state != "unknown" else needed
        if self.streak < needed:
            return False
        self.state, self.streak = state, 0
        return True


@dataclass(slots=True)
class _Watched:
    backend: Backend
    judge: Judge
    good_at: float = -math.inf  # when the last good check was answered, in seconds of the monotonic clock
    puzzling: bool = False  # it became unhealthy, and nobody has looked why
    task: asyncio.Task[None] | None = field(default=None)


class HealthMonitor:
    """Checks every backend of a worker and calls `changed(slot, healthy)` when one changes its state.

    When one becomes unhealthy, other PROXY headers are tried once; `advise(slot, remedy)` is told what would help.
    `answered(slot)` is when the newest client's query was sent that the backend has answered, in seconds of the
    monotonic clock.
    """

    def __init__(
        self,
        settings: Health,
        zone: str | None,
        changed: Callable[[int, bool], None],
        advise: Callable[[int, str], None] = lambda _slot, _remedy: None,
        answered: Callable[[int], float] = lambda _slot: -math.inf,
    ) -> None:
        self._settings = settings
        self._zone = zone
        self._changed = changed
        self._advise = advise
        self._answered = answered
        self._watched: dict[int, _Watched] = {}

    def watch(self, settings: Health, zone: str | None, backends: dict[int, Backend]) -> None:
        """Watch exactly these backends, by slot. One that is known at its address keeps its state."""
        self._settings, self._zone = settings, zone
        for slot in [
            s for s, w in self._watched.items() if s not in backends or backends[s].address != w.backend.address
        ]:
            self._stop(slot)
        for slot, backend in backends.items():
            known = self._watched.get(slot)
            if known is None:
                watched = _Watched(backend, Judge(settings.rise, settings.fall))
                watched.task = asyncio.create_task(self._run(slot, watched), name=f"health of {backend.name}")
                self._watched[slot] = watched
            else:
                known.backend = backend
                known.judge.rise, known.judge.fall = settings.rise, settings.fall

    def state(self, slot: int) -> State:
        """What is known of the backend in `slot`."""
        return self._watched[slot].judge.state

    def failed(self, slot: int) -> None:
        """A passive mark: real queries went unanswered, or a connection failed. Counts as a failed check, unless the
        backend has answered a check, or a client, since those queries were sent.
        """
        watched = self._watched.get(slot)
        if watched is None:
            return
        alive = max(watched.good_at, self._answered(slot))
        if time.monotonic() - alive < watched.backend.timeout:
            return
        if watched.judge.bad():
            watched.puzzling = True
            self._changed(slot, False)

    def stop(self) -> None:
        """Stop all checks."""
        for slot in list(self._watched):
            self._stop(slot)

    def _stop(self, slot: int) -> None:
        task = self._watched.pop(slot).task
        if task is not None:
            task.cancel()

    async def _run(self, slot: int, watched: _Watched) -> None:
        while True:
            backend = watched.backend
            began = time.monotonic()
            found = await check(backend.address, self._zone, self._settings.timeout, way_of(backend.proxy_protocol))
            good = found == "good"
            if good:
                watched.good_at = time.monotonic()
            telling = found is not None and not (found == "silent" and self._answered(slot) >= began)
            if telling and (watched.judge.good() if good else watched.judge.bad()):
                watched.puzzling = not good
                self._changed(slot, good)
            if watched.puzzling:
                watched.puzzling = False
                remedy = await advice(backend, self._zone, self._settings.timeout)
                if remedy is not None:
                    self._advise(slot, remedy)
            await asyncio.sleep(self._settings.interval * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  no secret
