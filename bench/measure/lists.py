"""A list of a million names: seconds to build it, and the memory that this takes, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.errors import BenchError
from bench.figures import Figure, Run, middle

ENTRIES = 1_000_000
SECONDS, MEGABYTES = 2.0, 100.0  # targets
MB = 1e6


def measure(run: Run) -> list[Figure]:
    """Both against their targets.

    Raises:
        BenchError: the list could not be built.
    """
    source = run.directory / "names.txt"
    with source.open("w") as out:
        out.writelines(f"host-{number:010d}.example.com\n" for number in range(ENTRIES))
    taken: list[float] = []
    grown: list[float] = []
    for turn in range(run.pairs):
        argv = [sys.executable, "-m", __name__, str(source), str(run.directory / "names.list")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise BenchError(f"the list could not be built: {done.stderr.strip()[-300:]}")
        seconds, growth = map(float, done.stdout.split())
        taken.append(seconds)
        grown.append(growth / MB)
        run.say(f"{turn + 1}/{run.pairs}: {seconds:.2f} s, {growth / MB:.0f} MB")
    return [
        middle("lists: building one million names", taken, "s", SECONDS, "read, built, written, synced and mapped"),
        middle(
            "lists: memory while building", grown, "MB", MEGABYTES, "growth of the peak RSS, the mapped list included"
        ),
    ]


def build(source: Path, into: Path) -> tuple[float, int]:
    """Seconds and bytes of peak RSS that building and opening the list takes."""
    from dataplane import List
    from filters.lists import reading
    from filters.settings import FilterList

    how = reading(FilterList(name="names", file=str(source), subdomains=True, action="drop"))
    # Forgets the peak until now (proc_pid_clear_refs(5)); that of getrusage would be our parent's.
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    began = time.perf_counter()
    List.build(source, into, how, 0)
    List.open(into)
    return time.perf_counter() - began, peak() - before


def peak() -> int:
    """The most resident memory in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    print(*build(Path(sys.argv[1]), Path(sys.argv[2])))
