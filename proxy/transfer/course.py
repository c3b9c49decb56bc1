"""The course of one backend behind one zone: told, asked whether it has followed, told again, until it has.

```
      +--------------------- a newer NOTIFY: begin anew, not before GAP ----------------------+
      v                                                                                       |
told (NOTIFY) -> its answer -> asked for its serial after 5 ms, 10 ms, … -- followed --> done |
      ^                                     | not within the delay                            |
      +------- 0.5, 1, 2, 5, 15, 60 s … ----+----- for so long that it is given up -----------+
```
Each backend has its own task and its own bound of questions, so one that is dead holds up nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import dns.name
import dns.rcode

from proxy.protocol.tsig import KeyRing
from proxy.settings import Backend
from proxy.transfer.asking import ask_serial, tell
from proxy.transfer.rounds import DELAYS, Round
from proxy.transfer.status import Follower
from proxy.values import Emit

GAP = 0.1
"""Seconds between two NOTIFY messages to one backend for one zone: a storm of them is one every so often."""

FIRST_LOOK, LAST_LOOK = 0.005, 1.0
"""Seconds between two questions for the serial: doubled from the first to the last."""

PATIENCE = 1.0
"""Seconds for an answer of a backend."""

JITTER = 0.2

AT_ONCE = 64
"""Questions to one backend at a time; more zones wait for their turn."""

REMEDIES = {
    "REFUSED": "allow NOTIFY there from the address that it sees: ours, or with a PROXY header the primary's",
    "NOTAUTH": "the zone is not configured there, NOTIFY must be signed by a key that it knows, or (Knot DNS) no acl "
    "allows NOTIFY from the address that it sees",
    "NOTIMP": "it is no secondary of the zone: configure it there with a primary",
    "SERVFAIL": "its log says why; the zone may be configured there without a primary",
}


@dataclass(slots=True)
class Node:
    """A backend as all zones see it."""

    settings: Backend
    follower: Follower
    places: asyncio.Semaphore


class Course:
    """One backend behind one zone. `follow` runs until the round that is then the last is done or given up."""

    def __init__(
        self,
        zone: dns.name.Name,
        node: Node,
        emit: Emit,
        *,
        keys: Callable[[], KeyRing],
        doubts: Callable[[], None],
        give_up_after: Callable[[], float],
    ) -> None:
        """`doubts` is called when a target seems out of reach: the primary will know."""
        self._zone = zone
        self._node = node
        self._emit = emit
        self._keys = keys
        self._doubts = doubts
        self._give_up_after = give_up_after
        self._serial: int | None = None
        self._round: Round | None = None
        self._news = asyncio.Event()
        self._told = float("-inf")
        self._refusal = ""

    @property
    def backend(self) -> str:
        """The name of the backend."""
        return self._node.settings.name

    def begin(self, newest: Round) -> None:
        """Follow this round from now on."""
        self._round = newest
        self._news.set()

    def look(self) -> None:
        """The target of the round may have changed: see whether it is reached."""
        self._news.set()

    async def follow(self) -> None:
        """Tell and ask until the newest round is done or given up."""
        self._node.follower.pending += 1
        try:
            while True:
                current = self._round
                assert current is not None
                await self._follow(current)
                if self._round is current:
                    return
        finally:
            self._node.follower.pending -= 1

    async def _follow(self, current: Round) -> None:
        loop = asyncio.get_running_loop()
        before = self._serial
        if before is None or current.is_done(before, None):
            before = await self._ask()
            if current.is_done(before, None):
                return None  # it had it already: nothing to tell, and nothing to measure
        end = loop.time() + self._give_up_after()
        attempt = 0
        while loop.time() < end:
            await asyncio.sleep(self._told + GAP - loop.time())
            if self._round is not current:
                return None
            await self._send(current, attempt)
            delay = DELAYS[min(attempt, len(DELAYS) - 1)] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret
            if await self._watch(current, before, min(loop.time() + delay, end)):
                return self._followed(current, loop.time())
            if self._round is not current:
                return None
            attempt += 1
            if attempt == 2:
                self._doubts()
            if attempt == len(DELAYS) and current.target is None:
                break  # nobody says what there is to reach
        return self._give_up(current)

    def _give_up(self, current: Round) -> None:
        self._node.follower.gave_up += 1
        fields = {"zone": self._zone.to_text(omit_final_dot=True), "backend": self.backend}
        self._emit("notify.gave-up", {**fields, "serial": self._serial, "wanted": current.target})

    async def _send(self, current: Round, attempt: int) -> None:
        loop = asyncio.get_running_loop()
        follower = self._node.follower
        follower.sent += 1
        follower.retries += attempt > 0
        self._told = loop.time()
        async with self._node.places:
            answer = await tell(self._node.settings, current.message(attempt, self._keys()), PATIENCE / 2, current.ends)
        if answer is None:
            return
        code = dns.rcode.to_text(answer.rcode())
        if code == "NOERROR":
            self._refusal = ""
            return
        follower.refused[code] += 1
        if self._refusal != code:
            self._refusal = code
            remedy = REMEDIES.get(code, "its log says why")
            fields = {
                "zone": self._zone.to_text(omit_final_dot=True),
                "backend": self.backend,
                "rcode": code,
                "remedy": remedy,
            }
            self._emit("notify.node-refused", fields)

    async def _watch(self, current: Round, before: int | None, until: float) -> bool:
        """Whether the backend has followed by `until`; also False when there is a newer round."""
        loop = asyncio.get_running_loop()
        pause = FIRST_LOOK
        while True:
            self._news.clear()
            serial = await self._ask()
            if current.is_done(serial, before):
                return True
            if self._round is not current:
                return False
            rest = until - loop.time()
            if rest <= 0:
                return False
            try:
                async with asyncio.timeout(min(pause, rest)):
                    await self._news.wait()
            except TimeoutError:  # nothing new: time to look again
                pause = min(2 * pause, LAST_LOOK)

    async def _ask(self) -> int | None:
        async with self._node.places:
            serial = await ask_serial(self._node.settings, self._zone, PATIENCE)
        if serial is not None:
            self._serial = serial
        return serial

    def _followed(self, current: Round, now: float) -> None:
        lag = max(0.0, now - current.notice.at)
        self._node.follower.followed(lag)
        fields = {
            "zone": self._zone.to_text(omit_final_dot=True),
            "backend": self.backend,
            "serial": self._serial,
            "lag": round(lag, 4),
        }
        self._emit("node.synced", fields)
