"""The zones that are asked for and transferred. They are the same in every run."""

from __future__ import annotations

import random
from ipaddress import ip_address
from pathlib import Path
from string import ascii_lowercase

ZONE = "bench.example"
HEAD = """\
$TTL 3600
@ SOA ns1 hostmaster 1 7200 3600 1209600 300
@ NS ns1
@ NS ns.example.net.
ns1 A 127.0.0.1
"""
SEED = 53


def names(count: int) -> list[str]:
    """So many different first labels, of 3 to 15 letters as real ones are.

    Their lengths differ on purpose: queries of equal length could all leave in one UDP_SEGMENT message, which would
    flatter us.
    """
    pick = random.Random(SEED)  # noqa: S311 - not a secret; the same names in every run
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(pick.choices(ascii_lowercase, k=pick.randint(3, 15)))] = None
    return list(found)


def small_zone(count: int = 10_000) -> str:
    """The zone that clients ask for, in master-file format: `count` names with an address each."""
    return HEAD + "".join(f"{name} A {ip_address((10 << 24) + number)}\n" for number, name in enumerate(names(count)))


def query_file(path: Path, count: int = 10_000, length: int | None = None) -> Path:
    """A query for each name of `small_zone`, or those of one length, as dnsperf reads them; returns `path`."""
    path.write_text("".join(f"{name}.{ZONE} A\n" for name in names(count) if length in (None, len(name))))
    return path


def large_zone(hosts: int = 1_000_000) -> str:
    """The zone that is transferred: `hosts` addresses and four records more; 24 bytes a record on the wire."""
    return HEAD + "".join(
        f"h{number:06d} A 10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n" for number in range(hosts)
    )


def last_host(hosts: int = 1_000_000) -> str:
    """The last name of `large_zone`."""
    return f"h{hosts - 1:06d}.{ZONE}"
