"""A real `zonegate run` in a process of its own, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.peers import free_port, until

START = 20.0
"""Seconds in which a gateway must be ready; it takes less than one where the CPUs aren't shared."""


class Running:
    """Starts `zonegate run` with a configuration; `{admin}` in it is the address of the admin API."""

    def __init__(self, directory: Path, text: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.admin = f"127.0.0.1:{free_port('tcp')}"
        self.file = directory / "zonegate.toml"
        self.log = directory / "log"
        self._environment = {**os.environ, **(environment or {})}
        self._arguments = arguments or ("run", "--config", str(self.file))
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.settimeout(START)
        name = f"zonegate-test-{uuid.uuid4().hex}"
        self._notify.bind(f"\0{name}")
        self._environment["NOTIFY_SOCKET"] = f"@{name}"
        self.write(text)

    def write(self, text: str) -> None:
        """Write the configuration file."""
        self.file.write_text(text.replace("{admin}", self.admin))
        self.file.chmod(0o600)

    def __enter__(self) -> Self:
        with self.log.open("w") as log:
            command = [sys.executable, "-P", "-c", "from gateway.cli import main; main()", *self._arguments]
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=self._environment)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._notify.close()

    def notified(self, part: str) -> list[str]:
        """Wait for a notification that holds `part`; all that came up to it."""
        came: list[str] = []
        while not came or part not in came[-1]:
            came.append(self._notify.recv(4096).decode())
        return came

    def notifications(self) -> list[str]:
        """What has come and was not waited for."""
        came: list[str] = []
        self._notify.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # that was all
            while True:
                came.append(self._notify.recv(4096).decode())
        self._notify.settimeout(START)
        return came

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end."""
        return self.process.wait(20)

    def get(self, path: str) -> httpx.Response:
        """Ask the admin API."""
        return httpx.get(f"http://{self.admin}{path}", timeout=10)

    def post(self, path: str) -> httpx.Response:
        """Ask the admin API."""
        return httpx.post(f"http://{self.admin}{path}", timeout=30)

    def state(self) -> dict[str, Any]:
        """The body of /status."""
        body: dict[str, Any] = self.get("/status").json()
        return body

    def process_state(self, name: str) -> dict[str, Any]:
        """One process of /status."""
        return next(process for process in self.state()["processes"] if process["name"] == name)

    def serving_again(self, name: str, old_pid: int) -> dict[str, Any]:
        """Wait until another process of this name serves."""

        def look() -> dict[str, Any] | None:
            found = self.process_state(name)
            return found if found["phase"] == "serving" and found["pid"] != old_pid else None

        found = until(look, what=f"{name} to serve again")
        assert found is not None
        return found

    def events(self) -> list[dict[str, Any]]:
        """The log so far, with `log.format = "json"`."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def event(self, name: str) -> dict[str, Any]:
        """Wait for an event in the log."""
        found = until(lambda: [event for event in self.events() if event["event"] == name], what=f"the event {name}")
        return found[-1]
