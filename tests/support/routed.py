"""Four network namespaces in a row, for a gateway that stands in the way: the test is in the gateway's.

    node ───────────── gateway ────────────── exit ─────────────── primary
    192.0.2.10        192.0.2.1  198.51.100.1   .2   198.51.100.129   .130, and 203.0.113.5
    2001:db8:1::10    2001:db8:1::1   2001:db8:2::1   ::2   2001:db8:3::1   ::2, and 2001:db8:5::5

Gateway and exit forward packets and every route is there, so a node does reach its primary directly unless something
keeps it from that: a test that says "never directly" can fail.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench.namespaces import CLONE_NEWNET, World, await_own_namespace, call
from tests.support.namespaces import require_root
from tests.support.peers import require

NODE = {4: ip_address("192.0.2.10"), 6: ip_address("2001:db8:1::10")}
EXIT = {4: ip_address("198.51.100.2"), 6: ip_address("2001:db8:2::2")}
EXIT_SEEN = {4: ip_address("198.51.100.129"), 6: ip_address("2001:db8:3::1")}  # by the primary
PRIMARY = {4: ip_address("203.0.113.5"), 6: ip_address("2001:db8:5::5")}
NOT_PRIMARY = {4: ip_address("203.0.113.6"), 6: ip_address("2001:db8:5::6")}


@dataclass(frozen=True, slots=True)
class Row:
    """The other three; the test is in the gateway's."""

    node: World
    exit: World
    primary: World


@contextmanager
def in_the_way() -> Iterator[Row]:
    """Make all four, and move the test into the gateway's until the block ends; skipped without root, or a failure
    where peers are required."""
    require_root()
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        call("unshare", CLONE_NEWNET)
        with ExitStack() as stack:
            row = Row(*(stack.enter_context(_world()) for _ in range(3)))
            _connect(row)
            yield row
    finally:
        call("setns", home, CLONE_NEWNET)
        os.close(home)


@contextmanager
def _world() -> Iterator[World]:
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        try:
            await_own_namespace(holder)
            yield World(holder.pid)
        finally:
            holder.stdin.close()


def run(*command: str | Path, world: World | None = None) -> str:
    """Run a command in a namespace, the gateway's unless another is named; its output."""
    argv = [str(word) for word in command]
    done = subprocess.run(world.argv(argv) if world else argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


def _connect(row: Row) -> None:
    require("ip")
    run("ip", "link", "add", "nodes", "type", "veth", "peer", "name", "gate", "netns", str(row.node.holder))
    run("ip", "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", str(row.exit.holder))
    far = ("ip", "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", str(row.primary.holder))
    run(*far, world=row.exit)
    _set_up(
        None, {"lo": (), "nodes": ("192.0.2.1/24", "2001:db8:1::1/64"), "out": ("198.51.100.1/25", "2001:db8:2::1/64")}
    )
    _set_up(row.node, {"lo": (), "gate": ("192.0.2.10/24", "2001:db8:1::10/64")})
    _set_up(
        row.exit,
        {"lo": (), "in": ("198.51.100.2/25", "2001:db8:2::2/64"), "out": ("198.51.100.129/25", "2001:db8:3::1/64")},
    )
    addresses = ("203.0.113.5/32", "203.0.113.6/32", "2001:db8:5::5/128", "2001:db8:5::6/128")
    _set_up(row.primary, {"lo": addresses, "in": ("198.51.100.130/25", "2001:db8:3::2/64")})
    for world, four, six in (
        (row.node, "192.0.2.1", "2001:db8:1::1"),
        (None, "198.51.100.2", "2001:db8:2::2"),
        (row.primary, "198.51.100.129", "2001:db8:3::1"),
    ):
        run("ip", "route", "add", "default", "via", four, world=world)
        run("ip", "route", "add", "default", "via", six, world=world)
    for prefix, via in (
        ("203.0.113.0/24", "198.51.100.130"),
        ("2001:db8:5::/64", "2001:db8:3::2"),
        ("192.0.2.0/24", "198.51.100.1"),
        ("2001:db8:1::/64", "2001:db8:2::1"),
    ):
        run("ip", "route", "add", prefix, "via", via, world=row.exit)


def _set_up(world: World | None, links: dict[str, tuple[str, ...]]) -> None:
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        run("sh", "-c", f"echo 1 > /proc/sys/net/{name}", world=world)
    for link, addresses in links.items():
        run("ip", "link", "set", "dev", link, "up", world=world)
        for address in addresses:
            more = ("nodad",) if ":" in address else ()
            run("ip", "address", "add", address, "dev", link, *more, world=world)


def counters() -> dict[str, int]:
    """Packets that each named counter of the shipped rules has seen."""
    listed = json.loads(run("nft", "--json", "list", "counters", "table", "inet", "zonegate"))["nftables"]
    return {each["counter"]["name"]: each["counter"]["packets"] for each in listed if "counter" in each}
