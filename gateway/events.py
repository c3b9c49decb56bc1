"""Events: things that happened and are worth keeping, from this process and from the others.

Each goes to the log and is counted. The level comes from the last word of the name: `tunnel.failed` is a warning. What
ends the gateway itself is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.settings import LogSettings

if TYPE_CHECKING:
    from gateway.logs import Logger

_WARNINGS = {
    "accept-paused",
    "clients-cut",
    "crashed",
    "descriptors-few",
    "drain-incomplete",
    "error",
    "exit-mismatch",
    "exited",
    "failed",
    "gave-up",
    "hung",
    "keys-revoked",
    "lines-skipped",
    "load-failed",
    "node-refused",
    "no-descriptors",
    "not-applicable",
    "overdue",
    "primary-refused",
    "proxy-protocol-mismatch",
    "receive-buffer-small",
    "refused",
    "rejected",
    "restart-needed",
    "save-failed",
    "scheduling-refused",
    "signature-refused",
    "tcp-overload-begins",
    "tls-failed",
    "tunnel-failed",
    "unhealthy",
    "unreachable",
    "warning",
}
_RENAMED = {"traceback": "exception"}
"""Structlog writes `exception` as the lines that it has."""

_NAMES = 256
_OTHER = "other"


class EventSink:
    """Takes events; `counts` has how often each came since the start."""

    def __init__(self, settings: LogSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._logger: Logger | None = None

    def configure(self, settings: LogSettings) -> None:
        """Write by other settings from now on."""
        self._settings, self._logger = settings, None

    @property
    def logger(self) -> Logger:
        """The log, set up when the first event comes: by then the processes are on their way."""
        if self._logger is None:
            from gateway.logs import configure

            self._logger = configure(self._settings)
        return self._logger

    def emit(self, name: str, fields: Mapping[str, object], count: int = 1) -> None:
        """Take one event that stands for `count` equal ones. Names are the program's own, yet bounded all the same."""
        known = name if name in self.counts or len(self.counts) < _NAMES else _OTHER
        self.counts[known] += count
        extra = {"count": count} if count > 1 else {}
        given = {
            _RENAMED.get(key, key): value for key, value in fields.items() if key not in {"event", "level", "count"}
        }
        write = self.logger.warning if name.rpartition(".")[2] in _WARNINGS else self.logger.info
        if name == "gateway.failed":
            write = self.logger.error
        write(name, **given, **extra)
