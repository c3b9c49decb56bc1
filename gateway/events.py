"""Events: things that happened and are worth keeping, from this process and from the others.

Each goes to the log and is counted. The level comes from the last word of the name: `tunnel.failed` is a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gateway.logs import Logger

_WARNINGS = {
    "crashed",
    "drain-incomplete",
    "error",
    "exited",
    "failed",
    "hung",
    "refused",
    "rejected",
    "restart-needed",
    "unhealthy",
}
_RENAMED = {"traceback": "exception"}
"""Structlog writes `exception` as the lines that it has."""

_NAMES = 256
_OTHER = "other"


class EventSink:
    """Takes events; `counts` has how often each came since the start."""

    def __init__(self, logger: Logger) -> None:
        self.logger = logger
        self.counts: Counter[str] = Counter()

    def emit(self, name: str, fields: Mapping[str, object], count: int = 1) -> None:
        """Take one event that stands for `count` equal ones. Names are the program's own, yet bounded all the same."""
        known = name if name in self.counts or len(self.counts) < _NAMES else _OTHER
        self.counts[known] += count
        extra = {"count": count} if count > 1 else {}
        given = {
            _RENAMED.get(key, key): value for key, value in fields.items() if key not in {"event", "level", "count"}
        }
        write = self.logger.warning if name.rpartition(".")[2] in _WARNINGS else self.logger.info
        write(name, **given, **extra)
