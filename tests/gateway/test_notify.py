"""sd_notify: what systemd would read."""

from __future__ import annotations

import socket
import time
import uuid
from pathlib import Path

import pytest

from gateway.notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_states_arrive_at_path_and_abstract_sockets(tmp_path: Path, abstract: bool) -> None:
    name = f"zonegate-{uuid.uuid4().hex}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(f"\0{name}" if abstract else name)
        notifier = Notifier({"NOTIFY_SOCKET": f"@{name}" if abstract else name})
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notifier.ready("serving")
        notifier.reloading()
        notifier.stopping("draining")
        notifier.status("fine")
        got = [dict(line.split("=", 1) for line in manager.recv(1000).decode().splitlines()) for _ in range(4)]
    assert got[0] == {"READY": "1", "STATUS": "serving"}
    assert got[1]["RELOADING"] == "1"
    assert before <= int(got[1]["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert got[2] == {"STOPPING": "1", "STATUS": "draining"}
    assert got[3] == {"STATUS": "fine"}


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}, {"NOTIFY_SOCKET": "x" * 200}])
def test_no_manager_is_no_error(environment: dict[str, str]) -> None:
    Notifier(environment).ready("serving")
