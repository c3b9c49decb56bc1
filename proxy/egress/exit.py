"""The exit: the far end of Shadowsocks tunnels, TCP and UDP. It opens what its `allow` names, and resolves no names."""

from __future__ import annotations

import asyncio
import socket

from proxy.egress.counters import ExitCounters
from proxy.egress.crowd import Crowd
from proxy.egress.exit_datagrams import ExitDatagrams
from proxy.egress.exit_plan import ExitPlan
from proxy.egress.exit_stream import ExitStream
from proxy.egress.sockets import BACKLOG
from proxy.egress.sparse import SparseEmitter
from proxy.egress.status import ExitStatus
from proxy.errors import ProxyError
from proxy.values import Emit


class ExitServer:
    """Serves its sockets from `start` to `close`, and owns them."""

    def __init__(self, plan: ExitPlan, emit: Emit) -> None:
        self.plan = plan
        self._counters = ExitCounters()
        self._emit = SparseEmitter(emit, asyncio.get_running_loop().time)
        self._streams: Crowd[ExitStream] = Crowd()
        self._unproven: Crowd[ExitStream] = Crowd()  # those that have not yet shown that they know the key
        self._server: asyncio.Server | None = None
        self._datagrams: ExitDatagrams | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Begin to serve."""
        self._datagrams = ExitDatagrams(udp, self.plan, self._counters, self._reject)
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=tcp, backlog=BACKLOG)

    def reload(self, plan: ExitPlan) -> None:
        """New streams follow this plan; what is open goes on as it began."""
        self.plan = plan
        if self._datagrams is not None:
            self._datagrams.reload(plan)

    def stop_accepting(self) -> None:
        """No new TCP connections; those that were no clients yet are closed."""
        if self._server is not None:
            self._server.close()
        for stream in self._unproven:
            stream.reset()

    def retire(self) -> None:
        """Nothing new, on neither transport; open streams go on to their end."""
        self.stop_accepting()
        if self._datagrams is not None:
            self._datagrams.close()

    @property
    def busy(self) -> bool:
        """Whether a stream is open."""
        return bool(len(self._streams))

    async def drained(self) -> None:
        """Return when no stream is open."""
        await self._streams.empty()

    def close(self) -> None:
        """Stop at once."""
        self.stop_accepting()
        for stream in self._streams:
            stream.reset()
        if self._datagrams is not None:
            self._datagrams.close()

    def status(self) -> ExitStatus:
        """The numbers now."""
        return self._counters.status(str(self.plan.settings.listen))

    def _accept(self) -> asyncio.Protocol:
        return ExitStream(self.plan, self._counters, self)

    def _reject(self, client: str, error: ProxyError) -> None:
        self._counters.rejects[error.reason] += 1
        self._emit("exit.rejected", error.reason, {"client": client, "reason": error.reason, "error": str(error)})

    # What the connections report; see `exit_stream.Host`.

    def admit(self, stream: ExitStream) -> bool:
        """Make room, if need be, by the oldest connection that has not shown the key."""
        if len(self._streams) >= self.plan.settings.connections:
            self._counters.rejects["too-many-connections"] += 1
            oldest = next(iter(self._unproven), None)
            if oldest is None:
                return False
            oldest.reset()
            self._leave(oldest)
        self._streams.add(stream)
        self._unproven.add(stream)
        self._counters.streams_open = len(self._streams)
        self._counters.streams_total += 1
        return True

    def proven(self, stream: ExitStream) -> None:
        """It has shown that it knows the key."""
        self._unproven.discard(stream)

    def rejected(self, stream: ExitStream, error: ProxyError) -> None:
        """It was not served."""
        self._reject(stream.client, error)

    def closed(self, stream: ExitStream) -> None:
        """It is over."""
        self._leave(stream)

    def _leave(self, stream: ExitStream) -> None:
        self._streams.discard(stream)
        self._unproven.discard(stream)
        self._counters.streams_open = len(self._streams)
