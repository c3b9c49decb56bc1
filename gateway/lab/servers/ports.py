"""Free ports on loopback, for servers that want their port in a configuration file."""

from __future__ import annotations

import errno
import random
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

Kind = Literal["udp", "tcp", "both"]

LOWEST = 10_000  # below lie the ports that services of a machine usually hold
ATTEMPTS = 1000
_TYPES = {"udp": [socket.SOCK_DGRAM], "tcp": [socket.SOCK_STREAM], "both": [socket.SOCK_DGRAM, socket.SOCK_STREAM]}
_taken: set[int] = set()  # handed out by this process; a server may need a while before it binds what it was given


def free_port(kind: Kind = "both", host: str = "127.0.0.1") -> int:
    """A port that nothing holds on `host`, for the transports of `kind`. No port is given twice by one process.

    The kernel is asked for each candidate. Candidates lie below its range for outgoing sockets: a port from that
    range could go to any query sent between this call and the moment when the server binds it.

    Raises:
        OSError: EADDRINUSE when no port was free, or what the kernel says about `host`.
    """
    for _ in range(ATTEMPTS):
        port = random.randrange(LOWEST, max(_first_outgoing_port(), LOWEST + 10_000))  # noqa: S311 - not a secret
        if port not in _taken and is_free(port, kind, host):
            _taken.add(port)
            return port
    raise OSError(errno.EADDRINUSE, f"no free port on {host} after {ATTEMPTS} attempts")


def is_free(port: int, kind: Kind = "both", host: str = "127.0.0.1") -> bool:
    """Whether `port` can be bound on `host` right now for the transports of `kind`.

    Raises:
        OSError: anything but "in use" and "not permitted", such as an address that is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as probes:
        for type_ in _TYPES[kind]:
            probe = probes.enter_context(socket.socket(family, type_))
            if type_ == socket.SOCK_STREAM:  # connections that linger after a server's end do not hold its port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
                raise
    return True


def _first_outgoing_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):  # no procfs here, or an unreadable one: the default of Linux
        return 32_768
