"""The helpers of the tests are themselves tested: a wait that never fails would make every test pass."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.support.peers import ChildError, ChildProcess, WaitError, auntil, free_port, is_free, require, until


def test_until_returns_what_the_condition_returned() -> None:
    answers = iter([None, 0, "", "there"])
    assert until(lambda: next(answers)) == "there"


def test_until_says_what_was_waited_for() -> None:
    with pytest.raises(WaitError, match=r"waited 0 s for the zone"):
        until(lambda: False, 0, "the zone")


async def test_auntil_lets_other_tasks_run_and_takes_async_conditions() -> None:
    done = asyncio.Event()

    async def is_set() -> bool:
        return done.is_set()

    asyncio.get_running_loop().call_soon(done.set)
    assert await auntil(is_set)
    assert await auntil(done.is_set)
    with pytest.raises(WaitError, match="the moon"):
        await auntil(lambda: None, 0, "the moon")


def test_a_free_port_is_free_and_given_once() -> None:
    port = free_port()
    assert port != free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", port))
        assert not is_free(port)
        assert is_free(port, "tcp")


def test_a_child_is_stopped_by_term(tmp_path: Path) -> None:
    script = "import signal, sys; signal.signal(15, lambda *a: sys.exit(7)); print('up', flush=True); signal.pause()"
    child = ChildProcess([sys.executable, "-c", script], tmp_path / "child.log").start()
    child.wait(lambda: "up" in child.tail())
    assert child.alive
    assert child.stop() == 7
    assert not child.alive


def test_a_child_deaf_to_term_is_killed(tmp_path: Path) -> None:
    script = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
    with ChildProcess([sys.executable, "-c", script], tmp_path / "child.log") as child:
        child.wait(lambda: "up" in child.tail())
        assert child.stop(timeout=0.1) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_dies_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    child = ChildProcess(
        [sys.executable, "-c", "import sys; sys.exit('no such zone')"], tmp_path / "child.log", name="ns"
    )
    with child, pytest.raises(ChildError, match=r"(?s)ns ended with status 1.*no such zone"):
        child.wait(lambda: False)


def test_a_child_started_by_a_thread_outlives_the_thread(tmp_path: Path) -> None:
    child = ChildProcess(
        [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"], tmp_path / "log"
    )
    starter = threading.Thread(target=child.start)
    starter.start()
    starter.join()
    with pytest.raises(ChildError, match="up"):
        child.wait(lambda: False, timeout=0.5)
    assert child.alive
    assert child.stop() == -signal.SIGTERM


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    require("setpriv")
    script = (
        "import sys; from pathlib import Path; from gateway.lab.servers.process import ChildProcess; import signal\n"
        "child = ChildProcess([sys.executable, '-c', 'import signal; signal.pause()'], Path(sys.argv[1])).start()\n"
        "print('pid', child.pid, flush=True); signal.pause()"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "grandchild.log")]
    with ChildProcess(argv, tmp_path / "child.log", env={"PYTHONPATH": str(Path.cwd())}) as child:
        child.wait(lambda: "pid" in child.tail())
        grandchild = int(child.tail().split()[1])
        child.send(signal.SIGKILL)
        until(lambda: not running(grandchild), what="the grandchild to end")


def running(pid: int) -> bool:
    """Whether a process is there and no zombie: outside of init, nobody may be there to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"(?s)nowhere"):
        ChildProcess([tmp_path / "nowhere"], tmp_path / "log").start().wait(lambda: False)


def test_a_missing_peer_fails_where_peers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONEGATE_REQUIRE_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="make peers"):
        require("zonegate-no-such-peer")
    monkeypatch.delenv("ZONEGATE_REQUIRE_PEERS")
    with pytest.raises(pytest.skip.Exception, match="make peers"):
        require("zonegate-no-such-peer")


def test_peers_are_found_in_their_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "zonegate-some-peer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("ZONEGATE_PEERS", str(tmp_path))
    assert require("zonegate-some-peer") == str(program)
