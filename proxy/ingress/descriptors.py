"""File descriptors of a worker: each client takes one, and a process may have only so many (getrlimit(2), EMFILE).

When none is left, the kernel's refusals would look like failures of others: no backend could be asked how it is, and
new clients would be turned away without a count. So clients get what is left after everything else.
"""

from __future__ import annotations

import errno
import resource
from pathlib import Path

from proxy.settings import Backend, IngressSettings

_SPARE = 16
"""Descriptors for what is open for a moment only, and for connections that carry one transfer."""

_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Of descriptors, memory, or (the last) local ports."""


def is_shortage(error: OSError) -> bool:
    """Whether an error tells of this machine, not of the one that we wanted to reach."""
    return error.errno in _SHORTAGES


def count_open() -> int:
    """Descriptors that this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def affordable_clients(settings: IngressSettings, already_open: int) -> int:
    """TCP clients that a worker can have at once: those configured, or fewer if descriptors are few; at least one.

    `already_open` are the descriptors that it holds before the first client comes.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return settings.tcp.connections
    # One more for each backend: the socket of a health check.
    others = sum(_links(settings, backend) + 1 for backend in settings.backends) + _SPARE
    return max(1, min(settings.tcp.connections, allowed - already_open - others))


def _links(settings: IngressSettings, backend: Backend) -> int:
    """The most connections of a worker to a backend, but for those of transfers."""
    tcp = settings.tcp
    return tcp.backend_connections if backend.proxy_protocol.tcp == "off" else tcp.proxied_connections
