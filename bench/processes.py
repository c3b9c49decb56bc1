"""CPU time and memory of processes, from procfs (proc(5)).

CPU time is user plus system time of all threads of a process, fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms.
It is what a proxy costs, and it holds when the speed that the machine gives to others changes meanwhile.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.errors import BenchError

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")  # a second
_KIB = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)


def parse_stat(text: str) -> tuple[int, int]:
    """Parent's process ID, and CPU time in ticks, of the text of /proc/PID/stat.

    Raises:
        BenchError: the text is something else.
    """
    # Field 2 is the program's name in parentheses; it may hold spaces and parentheses of its own.
    fields = text.rpartition(")")[2].split()
    try:
        return int(fields[1]), int(fields[11]) + int(fields[12])
    except (IndexError, ValueError):
        raise BenchError(f"not the stat of a process: {text[:80]!r}") from None


def parse_memory(text: str) -> tuple[int, int]:
    """RSS and PSS in bytes, of the text of /proc/PID/smaps_rollup.

    Raises:
        BenchError: the text is something else.
    """
    found = {name: int(kib) * 1024 for name, kib in _KIB.findall(text)}
    try:
        return found["Rss"], found["Pss"]
    except KeyError as error:
        raise BenchError(f"no {error} in {text[:80]!r}") from None


def memory(pid: int) -> tuple[int, int]:
    """RSS and PSS of a process in bytes.

    Raises:
        BenchError: it has ended, or may not be looked at.
    """
    return parse_memory(_read(pid, "smaps_rollup"))


def children(pid: int) -> list[int]:
    """The processes that a process has started and that live."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent, _ = parse_stat(_read(int(entry.name), "stat"))
            except BenchError:  # it ended while we looked
                continue
            if parent == pid:
                found.append(int(entry.name))
    return sorted(found)


def family(pid: int) -> list[int]:
    """A process with all its descendants."""
    return [pid, *(member for child in children(pid) for member in family(child))]


class CpuMeter:
    """CPU time that a process and its descendants use from now on."""

    def __init__(self, pid: int) -> None:
        """
        Raises:
            BenchError: there is no such process.
        """
        self._root = pid
        self._family = family(pid)
        self._before = self._ticks()

    def used(self) -> float:
        """Seconds since the beginning.

        Raises:
            BenchError: a process ended or was started meanwhile, so the sum would not be true.
        """
        spent = self._ticks() - self._before
        if family(self._root) != self._family:
            raise BenchError("a process of the measured program ended or began during the measurement")
        return spent / TICKS

    def _ticks(self) -> int:
        return sum(parse_stat(_read(pid, "stat"))[1] for pid in self._family)


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text()
    except OSError as error:
        raise BenchError(f"process {pid}: {error.strerror}") from None
