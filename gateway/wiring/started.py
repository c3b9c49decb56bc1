"""When this process began, from the kernel (proc(5)): earlier than anything that Python can note itself.

/proc/self/stat   pid (comm) state … starttime, field 22, in clock ticks since boot
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_START_TIME = 19  # of the fields behind the name, which may hold blanks and parentheses


def process_started() -> float:
    """Unix time in seconds, to a hundredth; now, where there is no /proc."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return time.time()
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - started)
