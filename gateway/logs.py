"""Structured logs on standard error: for people, or one JSON object a line.

What comes from outside can't write on the terminal: characters that can't be printed are escaped. Equal messages are
limited, so that a flood can't fill a disk. Tracebacks show no local variables, since a secret may be among them.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from gateway.repeats import EventLimiter
from gateway.settings import LogSettings

Logger = structlog.typing.FilteringBoundLogger

_LONGEST = 16_384


def configure(settings: LogSettings) -> Logger:
    """Set logging up for this process, as often as the settings change, and give the logger."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(default=str)
    if settings.format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _Limit(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    logger = cast("Logger", structlog.get_logger())
    logging.basicConfig(handlers=[_Forward(logger)], level=logging.WARNING, force=True)
    return logger


class _Unfailing:
    """Standard error, which may be a full disk or a pipe that nobody reads any more: the gateway serves on."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, text: str) -> None:
        """Write if it can be."""
        with contextlib.suppress(OSError, ValueError):  # there is no other place to say so; events are counted anyway
            self._output.write(text)

    def flush(self) -> None:
        """Flush if it can be."""
        with contextlib.suppress(OSError, ValueError):  # as above
            self._output.flush()


class _Limit:
    """Drops messages that repeat too fast; the next one says how many there were."""

    def __init__(self) -> None:
        self._limiter = EventLimiter()

    def __call__(self, _logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        count = self._limiter.passes(str(entry.get("event")), entry, time.monotonic())
        if count is None:
            raise structlog.DropEvent
        if count > 1:
            entry["left_out"] = count - 1
        return entry


def _escape(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in entry.items():
        if isinstance(value, str):
            kept = "\n" if name == "exception" else ""
            entry[name] = "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in value[:_LONGEST])
    return entry


class _Forward(logging.Handler):
    """What libraries say through `logging` goes the same way as our own."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        self._logger.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info)
