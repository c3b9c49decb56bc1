"""Two network namespaces for one test: it stands in the one, and opens sockets in the other as well."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.namespaces import CLONE_NEWNET, World, edge_and_world

_libc = ctypes.CDLL(None, use_errno=True)


def require_root() -> None:
    """Without root the test is skipped, or fails where peers are required."""
    if os.geteuid() != 0:
        reason = "network namespaces take root"
        if os.environ.get("ZONEGATE_REQUIRE_PEERS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@contextmanager
def two_namespaces() -> Iterator[World]:
    """Edge and world, with the test in the edge; skipped without root, or a failure where peers are required."""
    require_root()
    with edge_and_world() as world:
        yield world


@contextmanager
def inside(world: World) -> Iterator[None]:
    """The test in the world; what it opens there stays there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{world.holder}/ns/net", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(there)
        os.close(home)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def ip(line: str) -> None:
    """Run `ip` in the edge."""
    subprocess.run(["ip", *line.split()], check=True, capture_output=True, timeout=10)
