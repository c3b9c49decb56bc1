"""The file itself: its bytes, its TOML, and where a syntax error stands."""

from __future__ import annotations

import errno
import os
import re
import select
import tomllib
from pathlib import Path

from gateway.config.problems import ConfigError, Problem

_MOST_BYTES = 16 << 20
_PATIENCE = 5
"""Seconds to wait for more of a file that is a pipe."""

_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)\Z")


def read_file(path: Path) -> bytes:
    """The bytes of a configuration file.

    Raises:
        ConfigError: it can't be read, or is larger than 16 MiB.
    """
    try:
        content = _read(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        found = f"a file that can't be read ({reason})"
        raise _one(str(path), None, found, "`zonegate init` writes a starter file") from None
    if len(content) > _MOST_BYTES:
        raise _one(str(path), None, "more than 16 MiB", "a configuration is smaller")
    return content


def _read(path: Path) -> bytes:
    """Read at most one byte more than may be. A pipe may be read, but one that nobody writes to holds nobody up."""
    content = bytearray()
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        ready = select.poll()
        ready.register(file, select.POLLIN)
        while len(content) <= _MOST_BYTES:
            chunk = file.read(_MOST_BYTES + 1 - len(content))
            if chunk is None:  # a pipe that somebody may still write to
                if not ready.poll(_PATIENCE * 1000):
                    raise TimeoutError(errno.ETIMEDOUT, f"nothing came for {_PATIENCE} seconds")
            elif not chunk:
                break
            else:
                content += chunk
    return bytes(content)


def parse(name: str, content: bytes) -> dict[str, object]:
    """The TOML tree of a file.

    Raises:
        ConfigError: not UTF-8, or not TOML, with the line.
    """
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _one(name, line, "bytes that are not UTF-8", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = _AT_LINE.search(str(error))
        line = int(place[1]) if place and place[1] else content.count(b"\n") + 1
        reason = _AT_LINE.sub("", str(error))
        raise _one(name, line, "text that is not TOML", reason) from None
    except RecursionError:
        raise _one(name, None, "arrays or tables nested too deep", "no setting is nested as deep") from None
    except ValueError:  # an integer of thousands of digits
        raise _one(name, None, "a number that is too long", "no setting is as large") from None


def _one(name: str, line: int | None, found: str, right: str) -> ConfigError:
    return ConfigError([Problem(file=name, line=line, key="", found=found, right=right)])
