"""What the kernel says of a process: CPU time and resident memory (proc_pid_stat(5))."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def usage(pid: int) -> tuple[float, int] | None:
    """CPU seconds and resident bytes of a process; None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold spaces and parentheses; what follows the last one doesn't.
    values = stat.rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / _TICK, int(values[21]) * _PAGE
