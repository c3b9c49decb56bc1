"""Programs of the peers: where they are, and which version they have."""

from __future__ import annotations

import re
import subprocess

from bench.errors import BenchError
from gateway.lab.servers.process import find_binary

# How each is asked for its version. Some print it to standard error, some end with a status of 1.
VERSION_FLAGS = {
    "dnsdist": "--version",
    "dnsperf": "-h",
    "nsd": "-v",
    "named": "-v",
    "knotd": "--version",
    "ss-server": "-h",
    "ssserver": "--version",
}
_VERSION = re.compile(r"(?<![\d.])\d+\.\d+(?:\.\d+)?(?![\d.])")  # two or three numbers; four are an address


def program(name: str) -> str:
    """Its path.

    Raises:
        BenchError: it is not installed.
    """
    path = find_binary(name)
    if path is None:
        raise BenchError(f"{name} is not installed; `make peers` installs it")
    return path


def version_in(text: str) -> str:
    """The first version number in what a program says, or "unknown"."""
    found = _VERSION.search(text)
    return found.group() if found else "unknown"


def versions() -> dict[str, str]:
    """The versions of the peers that are installed."""
    found = {}
    for name, flag in VERSION_FLAGS.items():
        path = find_binary(name)
        if path is not None:
            said = subprocess.run([path, flag], capture_output=True, text=True, timeout=10, check=False)
            found[name] = version_in(said.stdout + said.stderr)
    return found
