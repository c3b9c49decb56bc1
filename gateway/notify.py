"""Tell the service manager how it goes: sd_notify(3), datagrams of `KEY=value` lines to the socket in NOTIFY_SOCKET.

The address is a path, or an abstract name written with a leading `@`. Without the variable nothing is sent. A manager
that can't be reached never stops the gateway.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Sends the states of one process to its service manager."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """The gateway serves (again, after `reloading`)."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; systemd wants to know since when (CLOCK_MONOTONIC, Type=notify-reload)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """The gateway drains, or failed to start."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for people, shown by `systemctl status`."""
        self._send(f"STATUS={status}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),  # the manager is gone or has no such socket; serving DNS matters more
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.sendto(text.encode(), self._address)


def environment_notifier() -> Notifier:
    """The notifier of this process."""
    return Notifier(os.environ)
