"""The start of a process, as the kernel knows it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.wiring import started


def test_it_lies_before_what_python_can_see_and_behind_the_moment_of_its_making() -> None:
    code = "import time; now = time.time(); from gateway.wiring.started import process_started as f; print(f(), now)"
    before = time.time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    began, seen = map(float, done.stdout.split())
    assert before - 0.05 <= began <= seen + 0.05  # ticks of the kernel are hundredths


def test_it_is_the_same_whenever_it_is_asked() -> None:
    assert abs(started.process_started() - started.process_started()) < 0.05
    assert started.process_started() < time.time()


def test_without_proc_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", nothing)
    before = time.time()
    assert before <= started.process_started() <= time.time()
