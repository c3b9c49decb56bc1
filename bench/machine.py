"""Where the figures were taken, in general terms."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_RELEASE = re.compile(r"^\d+\.\d+")


def describe() -> str:
    """Cores, processor, kernel and Python in a few words; no names of hosts."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores ({processor(_cpuinfo())}), {platform.system()} {kernel(platform.release())}, "
        f"Python {platform.python_version()}"
    )


def processor(cpuinfo: str) -> str:
    """The processor's name in the text of /proc/cpuinfo, or "unknown"."""
    found = _MODEL.search(cpuinfo)
    return found.group(1).strip() if found else "unknown"


def kernel(release: str) -> str:
    """The first two numbers of a kernel's release: the rest names whoever has built it."""
    found = _RELEASE.match(release)
    return found.group() if found else release


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:  # no procfs: the name is for readers only
        return ""
