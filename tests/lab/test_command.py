"""`zonegate lab` as people use it: it explains, runs, and ends by time or Ctrl-C with nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from gateway.lab.ring import loopback
from gateway.lab.servers.ports import free_port
from tests.support.peers import ChildProcess, require, until
from tests.support.zones import ask, serial


def lab(tmp_path: Path, *options: str) -> ChildProcess:
    argv = [sys.executable, "-m", "gateway.cli", "lab", *options]
    return ChildProcess(argv, tmp_path / "lab.log", env={"TMPDIR": str(tmp_path), "COLUMNS": "200"}, cwd=Path.cwd())


def ended(child: ChildProcess) -> bool:
    return not child.alive


@pytest.mark.parametrize("options", [[], ["--builtin"]], ids=["installed", "built-in"])
def test_it_runs_explains_and_ends(options: list[str], tmp_path: Path) -> None:
    if not options:
        require("nsd")
    with lab(tmp_path, "--seconds", "5", "--port", str(free_port()), *options) as child:
        until(lambda: ended(child), 60, "the lab to end")
    text = child.log.read_text()
    assert child.returncode == 0, text
    for words in (
        "The ring is closed",
        "dig @127.0.0.1 -p",
        "/metrics",
        "changed to serial 2; seen after",
        "tunnel carried",
    ):
        assert words in text
    assert re.search(r"clients \d+\.\d s", text), text
    assert "none lost" in text
    assert "never" not in text
    assert not list(tmp_path.glob("zonegate-lab-*"))


def test_ctrl_c_ends_everything_in_order(tmp_path: Path) -> None:
    port = free_port()
    with lab(tmp_path, "--builtin", "--keep", "--port", str(port)) as child:
        child.wait(lambda: "changed to serial 2" in child.tail(99), 60, "the first change")
        assert ask(loopback(port), "lab-a.example", tcp=True).answer
        group = children_of(child.pid)
        assert len(group) >= 5
        child.send(signal.SIGINT)
        until(lambda: ended(child), 30, "the lab to end")
    assert child.returncode == 0, child.tail(40)
    for pid in group:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert serial(loopback(port), "lab-a.example") is None
    (kept,) = tmp_path.glob("zonegate-lab-*")
    assert (kept / "gateway.toml").is_file()
    assert f"Kept: {kept}" in child.log.read_text()


def test_a_process_that_dies_ends_the_lab_with_its_log(tmp_path: Path) -> None:
    with lab(tmp_path, "--builtin", "--port", str(free_port())) as child:
        child.wait(lambda: "The ring is closed" in child.tail(99), 60, "the ring")
        primary = next(pid for pid in children_of(child.pid) if "primary" in command_line(pid))
        os.kill(primary, signal.SIGKILL)
        until(lambda: ended(child), 30, "the lab to end")
    assert child.returncode == 1
    assert "ended with status -9" in child.tail(40)


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_a_port_that_is_none_is_an_error(tmp_path: Path) -> None:
    with ChildProcess([sys.executable, "-m", "gateway.cli", "lab", "--port", "0"], tmp_path / "lab.log") as child:
        until(lambda: ended(child), 20, "the lab to end")
    assert child.returncode == 2
