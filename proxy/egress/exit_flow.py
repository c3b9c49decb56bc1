"""The exit's UDP socket towards one target, for one session of a client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from proxy.egress.connecting import UdpPath
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

    def close(self) -> None:
        """Close the socket."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            path = await UdpPath.open(*self._target.sockaddr)
        except TunnelError as error:
            self._faults[f"target-{error.reason}"] += 1
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._send_queued(path))
                both.create_task(self._receive(path))
        finally:
            path.close()

    async def _send_queued(self, path: UdpPath) -> None:
        while True:
            payload = await self._queue.get()
            try:
                await path.send(payload)
            except TunnelError as error:
                # An ICMP error about an earlier datagram; the socket is as good as before.
                self._faults[f"target-{error.reason}"] += 1

    async def _receive(self, path: UdpPath) -> None:
        while True:
            try:
                payload = await path.receive()
            except TunnelError as error:
                self._faults[f"target-{error.reason}"] += 1
            else:
                self._answer(self._target, payload)
