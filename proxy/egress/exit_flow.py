"""The exit's UDP socket towards one target, for one session of a client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from proxy.egress.udp_path import UdpPath
from proxy.errors import TunnelError
from proxy.values import Endpoint

QUEUE = 64  # datagrams that wait for the socket; it takes them at once, unless it is still being opened


class ExitFlow:
    """A connected socket with a random port: the kernel lets only the target's datagrams in."""

    def __init__(self, target: Endpoint, answer: Callable[[Endpoint, bytes], None], faults: Counter[str]) -> None:
        """Open it in the background. `answer` gets what the target sends; `faults` counts, by reason."""
        self._target = target
        self._answer = answer
        self._faults = faults
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self._task = asyncio.create_task(self._run())

    def send(self, payload: bytes) -> None:
        """Send a datagram to the target."""
        try:
            self._queue.put_nowait(payload)
        except asyncio.QueueFull:
            self._faults["target-queue-full"] += 1

    @property
    def closed(self) -> bool:
        """Whether the socket is gone, or could not be opened."""
        return self._task.done()

    def close(self) -> None:
        """Close the socket."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            path = await UdpPath.open(*self._target.sockaddr)
        except TunnelError as error:
            self._fault(error)
            return
        sender = asyncio.create_task(self._send_queued(path))
        try:
            while True:
                try:
                    payload = await path.receive()
                except TunnelError as error:
                    if error.reason == "closed":
                        return
                    self._fault(error)
                else:
                    self._answer(self._target, payload)
        finally:
            sender.cancel()
            path.close()

    async def _send_queued(self, path: UdpPath) -> None:
        while True:
            payload = await self._queue.get()
            for _ in range(2):
                try:
                    await path.send(payload)
                except TunnelError as error:
                    # Mostly ICMP about an earlier datagram: the socket is as good as before, but this one was not sent.
                    self._fault(error)
                else:
                    break

    def _fault(self, error: TunnelError) -> None:
        self._faults[f"target-{error.reason}"] += 1
