"""Programs that run side by side until the end of a section, and a server behind all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from proxy.values import Endpoint
from tests.egress.scripted_primary import ScriptedPrimary
from tests.interop.exchange import answer
from tests.support.peers import ChildProcess

BOTH = ("tcp", "udp")
_LISTEN = "0A"  # include/net/tcp_states.h


class Stage:
    """What is started here ends with `stage`."""

    def __init__(self, directory: Path, ending: AsyncExitStack, target: Endpoint) -> None:
        self.directory = directory
        self.ending = ending
        self.target = target
        self._started: list[tuple[ChildProcess, set[int], tuple[str, ...]]] = []

    def start(self, child: ChildProcess, *places: Endpoint, transports: tuple[str, ...] = BOTH) -> None:
        """Start a program that will listen there."""
        self.ending.enter_context(child)
        self._started.append((child, {place.port for place in places}, transports))

    async def ready(self) -> None:
        """Return when all that was started listens.

        Raises:
            ChildError: one ended, or the time is up.
        """
        for child, ports, transports in self._started:

            def listens(ports: set[int] = ports, transports: tuple[str, ...] = transports) -> bool:
                return all(ports <= _listening(transport) for transport in transports)

            await child.await_(listens, 30.0, "it to listen")
        self._started.clear()


@asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    """An empty stage, with the server behind it."""
    async with ScriptedPrimary(lambda query: [answer(query)]) as primary, AsyncExitStack() as ending:
        yield Stage(directory, ending, primary.endpoint)


def _listening(transport: str) -> set[int]:
    """The ports where someone listens, over IPv4. The kernel is asked: connecting would already be someone to serve."""
    ports = set()
    for line in Path(f"/proc/net/{transport}").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if transport == "udp" or state == _LISTEN:
            ports.add(int(local.rpartition(":")[2], 16))
    return ports
