"""Two network namespaces with a cable between them: the edge, where the gateway stands, and the world of the clients.

```
edge 10.66.0.1 ----- veth ----- 10.66.0.2 world      10.128.0.0/9 is local to the world: a flood can be from all of it
```
Nothing leaves them: neither has a way out. The process that measures moves into the edge itself, so that all it starts
is there too; what belongs to the world is started through `World.argv`. They end with the processes in them.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench.errors import BenchError

EDGE = ip_address("10.66.0.1")
WORLD = ip_address("10.66.0.2")
NEIGHBOURS = "10.66.0.0/24"
FLOOD_SOURCES = "10.128.0.0/9"
CLONE_NEWNET = 0x40000000  # linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class World:
    """The other namespace, by a process in it."""

    holder: int

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command, run in the world."""
        return ["nsenter", "--target", str(self.holder), "--net", *command]


@contextmanager
def edge_and_world() -> Iterator[World]:
    """Make both, and move this process into the edge until the block ends.

    Raises:
        BenchError: it takes root, or `unshare --map-root-user --net` around the bench; or iproute2 is missing.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        call("unshare", CLONE_NEWNET)
        # It waits for the end of its input, which comes at the latest with our own end.
        with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as holder:
            world = World(holder.pid)
            try:
                await_own_namespace(holder)
                _connect(world)
                yield world
            finally:
                assert holder.stdin is not None
                holder.stdin.close()
    finally:
        call("setns", home, CLONE_NEWNET)
        os.close(home)


def call(name: str, *arguments: int) -> None:
    """A call of libc about namespaces.

    Raises:
        BenchError: it was refused.
    """
    if getattr(_libc, name)(*arguments) != 0:
        error = os.strerror(ctypes.get_errno())
        raise BenchError(f"{name} of the network namespace: {error}; run it as root, or within `unshare -rn`")


def await_own_namespace(holder: subprocess.Popen[bytes]) -> None:
    """Until it has left our namespace: what is moved to it earlier would stay here."""
    ours = Path("/proc/self/ns/net").readlink()
    while holder.poll() is None:
        if Path(f"/proc/{holder.pid}/ns/net").readlink() != ours:
            return
        os.sched_yield()
    raise BenchError("no second network namespace can be made")


def _connect(world: World) -> None:
    for line in (
        "link set lo up",
        f"link add edge type veth peer name world netns {world.holder}",
        f"address add {EDGE}/24 dev edge",
        "link set edge up",
        f"route add {FLOOD_SOURCES} via {WORLD}",
    ):
        _ip(["ip", *line.split()])
    for line in (
        "link set lo up",
        f"address add {WORLD}/24 dev world",
        "link set world up",
        f"route add local {FLOOD_SOURCES} dev lo",
    ):
        _ip(world.argv(["ip", *line.split()]))


def _ip(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        raise BenchError(f"{command[0]}: {error.strerror}; iproute2 and util-linux are needed") from error
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
