"""CPU time and memory, read from procfs: fixed texts, and processes of our own."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.processes import TICKS, CpuMeter, children, family, memory, parse_memory, parse_stat
from tests.support.peers import ChildProcess, until

STAT = "26779 (dns) dist :) S 26774 26779 26779 0 -1 4194304 7091 0 13 0 18 52 3 4 20 0 21 0 216484 1235030016 9907\n"
ROLLUP = """\
55d0c8a00000-7ffd2b3fe000 ---p 00000000 00:00 0                          [rollup]
Rss:               33900 kB
Pss:               20700 kB
Pss_Dirty:         15000 kB
"""
PARENT = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"
SPIN = """\
import signal, time
while time.process_time() < 0.4: pass
print("spent", flush=True)
signal.pause()
"""


def test_a_stat_is_read_behind_the_last_parenthesis() -> None:
    assert parse_stat(STAT) == (26774, 18 + 52)  # not what children have used: 3 and 4


@pytest.mark.parametrize("text", ["", "1 (x)", "1 (x) S 2 3", STAT.replace(" 18 ", " many ")])
def test_another_text_is_no_stat(text: str) -> None:
    with pytest.raises(BenchError, match="stat"):
        parse_stat(text)


def test_memory_is_read_in_bytes() -> None:
    assert parse_memory(ROLLUP) == (33_900 * 1024, 20_700 * 1024)
    with pytest.raises(BenchError, match="Pss"):
        parse_memory(ROLLUP.replace("Pss:", "Pes:"))


def test_memory_of_this_process_is_plausible() -> None:
    rss, pss = memory(os.getpid())
    assert 1 << 20 < pss <= rss


def test_the_meter_counts_a_process_with_its_children(tmp_path: Path) -> None:
    with ChildProcess([sys.executable, "-c", PARENT, SPIN], tmp_path / "log") as child:
        grandchild = until(lambda: children(child.pid), what="a child of the child")[0]
        assert family(child.pid) == [child.pid, grandchild]
        meter = CpuMeter(child.pid)
        child.wait(lambda: "spent" in child.tail())
        assert 0.1 < meter.used() < 1.0
        os.kill(grandchild, 9)
        until(lambda: not child.alive, what="its parent to end as well")
    with pytest.raises(BenchError, match="process"):
        meter.used()


def test_the_meter_agrees_with_the_clock_of_this_process() -> None:
    meter, begin = CpuMeter(os.getpid()), time.process_time()
    while time.process_time() < begin + 0.2:
        pass
    assert meter.used() == pytest.approx(time.process_time() - begin, abs=5 / TICKS)
