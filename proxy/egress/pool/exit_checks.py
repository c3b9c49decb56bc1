"""Asks through each tunnel from which address it is seen, and compares with what the configuration declares.

Primaries let exits in by address. An exit that moved is found here, and not by the first transfer that is refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.egress.pool.asking import ask_stream
from proxy.egress.pool.whoami import read_whoami, whoami_query
from proxy.egress.status import ExitAddressStatus
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.settings import Tunnel as TunnelSettings
from proxy.values import Emit, IPAddress

AT_ONCE = 16  # questions in flight: one server may be asked about hundreds of tunnels
SPREAD = 0.1  # of a pause, at random, so that they do not all fall due together
PATIENCE = 10.0  # seconds for an answer
AGAIN = 60.0  # seconds after none; the interval of the settings where that is shorter


@dataclass(eq=False, slots=True)
class Check:
    """What is known of one tunnel."""

    settings: TunnelSettings
    tunnel: Tunnel
    seen: tuple[IPAddress, ...] = ()
    error: str | None = None
    task: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """See `ExitAddressStatus`."""
        if self.settings.whoami is None:
            return "off"
        if not self.seen:
            return "failed" if self.error is not None else "pending"
        if not self.settings.exit_addresses:
            return "learned"
        return "mismatch" if self.strange else "verified"

    @property
    def strange(self) -> tuple[IPAddress, ...]:
        """Addresses that the configuration does not declare."""
        return tuple(each for each in self.seen if not any(each in net for net in self.settings.exit_addresses))

    def status(self) -> ExitAddressStatus:
        """How it is now."""
        return ExitAddressStatus(
            tunnel=self.settings.name,
            declared=tuple(map(str, self.settings.exit_addresses)),
            seen=tuple(map(str, self.seen)),
            state=self.state,
            error=self.error,
        )


async def ask_whoami(settings: TunnelSettings, tunnel: Tunnel) -> tuple[IPAddress, ...]:
    """From which addresses this tunnel is seen; none where no server is configured that could say.

    Raises:
        ProxyError: no answer, or one without an address.
    """
    whoami = settings.whoami
    if whoami is None:
        return ()
    answer = await ask_stream(
        lambda protocol, first: tunnel.open_stream(whoami.address, protocol, first), whoami_query(whoami), PATIENCE
    )
    return read_whoami(answer)


class ExitChecks:
    """Runs from the first `configure` to `stop`."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._checks: dict[str, Check] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def configure(self, tunnels: Iterable[tuple[TunnelSettings, Tunnel]]) -> None:
        """Check these from now on; what is known of those that stay is kept."""
        before, self._checks = self._checks, {}
        for settings, tunnel in tunnels:
            known = before.get(settings.name)
            if known is not None and known.tunnel is tunnel:
                self._checks[settings.name] = before.pop(settings.name)
                continue
            check = self._checks[settings.name] = Check(settings, tunnel)
            if settings.whoami is not None:
                check.task = asyncio.create_task(self._run(check, settings.whoami.interval), name="whoami")
        for gone in before.values():
            if gone.task is not None:
                gone.task.cancel()

    async def stop(self) -> None:
        """End."""
        tasks = [check.task for check in self._checks.values() if check.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> tuple[ExitAddressStatus, ...]:
        """How it is now, for each tunnel."""
        return tuple(check.status() for check in self._checks.values())

    async def _run(self, check: Check, interval: float) -> None:
        while True:
            async with self._gate:
                await self._check(check)
            pause = interval if check.error is None else min(AGAIN, interval)
            await asyncio.sleep(pause * random.uniform(1 - SPREAD, 1))  # noqa: S311 - nothing to guess

    async def _check(self, check: Check) -> None:
        before, was = check.seen, check.state
        try:
            check.seen, check.error = await ask_whoami(check.settings, check.tunnel), None
        except ProxyError as error:
            check.error = str(error)
            return
        fields = {"tunnel": check.settings.name, "seen": [str(each) for each in check.seen]}
        if check.state == "mismatch" and (was != "mismatch" or before != check.seen):
            declared = [str(each) for each in check.settings.exit_addresses]
            remedy = (
                "primaries that let in the declared addresses only refuse it: correct exit_addresses and their lists"
            )
            self._emit("tunnel.exit-mismatch", {**fields, "declared": declared, "remedy": remedy})
        elif check.seen != before:
            self._emit("tunnel.exit-address", {**fields, "state": check.state})
