"""The rate limits as the data plane takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from filters.settings.limits import RateLimit
from filters.values import Network, PrefixLength

# The largest rate and burst that the data plane takes.
MOST = 100_000_000

# Prefix lengths and factors of Knot DNS (modules/rrl): a network may ask more than a host, but not as much as all its
# hosts together.
KNOT_V4 = tuple(map(PrefixLength.parse, ("/32", "/24 x32", "/20 x256", "/18 x768")))
KNOT_V6 = tuple(map(PrefixLength.parse, ("/128", "/64 x2", "/56 x3", "/48 x4", "/32 x64")))


def limit_names(limits: Sequence[RateLimit]) -> list[str]:
    """What each limit is called in the metrics: its name, or else its place in the list."""
    return [limit.name if limit.name is not None else str(index) for index, limit in enumerate(limits)]


def limit_rows(limits: Sequence[RateLimit], slots: Mapping[str, int]) -> list[dict[str, object]]:
    """A row for each limit. `slots` gives their counters by name; one that is not named there has that of its place."""
    return [
        _row(limit, slots.get(name, index))
        for index, (limit, name) in enumerate(zip(limits, limit_names(limits), strict=True))
    ]


def _row(limit: RateLimit, slot: int) -> dict[str, object]:
    v4, v6 = _lengths(limit)
    return {
        "key": [limit.key] if isinstance(limit.key, str) else list(limit.key),
        "prefixes_v4": v4,
        "prefixes_v6": v6,
        "rate": limit.rate,
        "burst": limit.burst if limit.burst is not None else min(2 * limit.rate, MOST),
        "unit": limit.unit,
        "algorithm": limit.algorithm,
        "action": limit.action,
        "observe": limit.observe,
        "slip": limit.slip,
        "exempt": prefix_rows(limit.exempt),
        "slot": slot,
    }


def _lengths(limit: RateLimit) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    scaled = limit.scale == "knot"
    v4 = limit.prefixes_v4 or (KNOT_V4 if scaled else (PrefixLength(limit.prefix_v4),))
    v6 = limit.prefixes_v6 or (KNOT_V6 if scaled else (PrefixLength(limit.prefix_v6),))
    return [(length.bits, length.factor) for length in v4], [(length.bits, length.factor) for length in v6]


def prefix_rows(networks: Sequence[Network]) -> list[tuple[str, int]]:
    """Address and bits of each prefix."""
    return [(str(network.prefix.network_address), network.prefix.prefixlen) for network in networks]


def limit_words(limit: RateLimit) -> str:
    """A limit in a few words, for people."""
    key = limit.key if isinstance(limit.key, str) else " and ".join(limit.key)
    unit = "" if limit.unit == "packets" else " bytes"
    return f"{limit.rate}{unit} a second by {key}"
