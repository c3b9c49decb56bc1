"""NOTIFY between the processes: from the worker that accepted one to the transfer process that tells the backends.

    worker --Notify--> here: the last one of each zone --Notify, numbered--> transfer process --NotifyEnded--> forgotten

What the transfer process has not ended when it dies, its next life gets again: nothing that was accepted is lost. A
zone has one place here, so a storm takes no memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway import ipc
from gateway.supervisor.child import Child


class Notifying:
    """Keeps what was accepted until it has ended. `children` are all processes, of now and of later."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._open: dict[str, ipc.Notify] = {}
        self._zones: dict[int, str] = {}  # of the numbers of what is open
        self._last = 0

    def heard(self, child: Child, message: ipc.Notify | ipc.NotifyEnded | ipc.Ready) -> None:
        """Take what a process says."""
        match message:
            case ipc.Notify():
                self._last += 1
                zone = message.notice.zone
                if zone in self._open:
                    del self._zones[self._open[zone].number]
                self._zones[self._last] = zone
                self._open[zone] = kept = msgspec.structs.replace(message, number=self._last)
                for each in self._transfers():
                    each.send(kept)
            case ipc.NotifyEnded():
                if message.number in self._zones:
                    del self._open[self._zones.pop(message.number)]
            case ipc.Ready():
                if child.role.kind == "transfer":
                    for kept in self._open.values():
                        child.send(kept)

    def _transfers(self) -> list[Child]:
        # One that is starting gets all when it is ready.
        return [each for each in self._children if each.role.kind == "transfer" and each.is_serving]
