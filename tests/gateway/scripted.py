"""A process under a supervisor that behaves as its name says: run as a script with the arguments of `gateway.wiring`.

It waits with `Event.wait` where a real process would work.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Any

import uvloop

from gateway import ipc
from gateway.wiring.process import Process
from proxy.values import Emit


class Scripted:
    """The service; `name` is what it does."""

    def __init__(self, name: str, emit: Emit) -> None:
        self.name = name
        self.emit = emit
        self.reloads = 0

    async def start(self) -> None:
        if self.name == "fails-to-start":
            raise OSError("no such luck")
        if self.name == "never-ready":
            await asyncio.Event().wait()

    async def reload(self, message: ipc.Reload) -> None:
        if self.name == "refuses-reload":
            raise ValueError("not to my taste")
        if self.name == "never-answers":
            await asyncio.Event().wait()
        self.reloads += 1
        for item in message.sockets:
            with socket.socket(fileno=item.descriptor) as handed:
                handed.send(b"handed over")

    async def drain(self, grace: float) -> None:
        if self.name == "never-drains":
            await asyncio.Event().wait()

    def block(self, blocks: ipc.Blocks) -> None:
        self.emit("scripted.blocks", {"serial": blocks.serial})

    def notify(self, message: ipc.Notify) -> None:
        """None comes."""

    def samples(self) -> ipc.Samples | None:
        return ipc.Samples(blocks=7, hits=[(1, 2)], batches=[]) if self.name == "samples" else None

    def status(self) -> dict[str, Any]:
        if self.name == "fails-later":
            raise RuntimeError("fell over")
        if self.name == "goes-silent":
            signal.pause()  # holds up the loop, as a process that hangs does
        self.emit("scripted.said", {"what": self.name})
        return {"reloads": self.reloads}


def main() -> int:
    talking, handing, name = sys.argv[1:]
    if name == "talks-nonsense":
        with socket.socket(fileno=int(talking)) as channel:
            channel.sendall(b"\xff" * 100)
            signal.pause()

    async def run() -> int:
        process = Process(lambda _start, emit, _tell: Scripted(name, emit))
        return await process.run(socket.socket(fileno=int(talking)), socket.socket(fileno=int(handing)))

    return uvloop.run(run())


if __name__ == "__main__":
    sys.exit(main())
