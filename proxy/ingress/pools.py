"""Pools of backends: names in the settings, numbers in the data plane. Pool 0 is the default one."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.settings import Backend

DEFAULT = "default"

# The data plane keeps the pools of a backend as the bits of a 32-bit number.
MOST_POOLS = 31


def pool_names(backends: Iterable[Backend]) -> tuple[str, ...]:
    """The named pools besides the default one; that of index n has the number n + 1. At most `MOST_POOLS`."""
    return tuple(sorted({name for backend in backends for name in backend.pools} - {DEFAULT}))


def pool_bits(backend: Backend, names: tuple[str, ...]) -> int:
    """Bit n is set: the backend is in pool n."""
    if not backend.pools:
        return 1
    return sum(1 << (0 if name == DEFAULT else names.index(name) + 1) for name in set(backend.pools))
