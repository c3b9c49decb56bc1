"""A name server in a directory of its own, on loopback: the part that NSD, BIND, Knot and the built-in one share.

    start -> ready (it answers over UDP) -> publish a changed zone (file, then SIGHUP) … -> stop

Nothing needs root, nothing is written outside the directory, and it runs in the foreground, its output in `server.log`.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from gateway.lab.servers.ports import free_port, is_free
from gateway.lab.servers.probe import Probe
from gateway.lab.servers.process import ChildError, ChildProcess, find_binary
from gateway.lab.servers.roles import Primary, Role, plain
from proxy.values import Endpoint

LOOPBACK = "127.0.0.1"


class NameServer(ABC):
    """One name server. A context manager, plain or async: entered, it is ready; left, it has ended.

    Attributes:
        role: what it does.
        directory: its configuration, zones and log.
        endpoint: where it answers over UDP and TCP.
    """

    software: ClassVar[str]  # as people write it: "NSD"
    program: ClassVar[str]  # the binary

    def __init__(self, role: Role, directory: Path, port: int | None = None) -> None:
        """`port` is free on loopback for UDP and TCP; chosen unless given."""
        self.role = role
        self.directory = directory
        self.endpoint = Endpoint(ip_address(LOOPBACK), port or free_port())
        self._child: ChildProcess | None = None

    @classmethod
    def installed(cls) -> bool:
        """Whether its program is on this machine."""
        return find_binary(cls.program) is not None

    @property
    def process(self) -> ChildProcess:
        """Its process.

        Raises:
            ChildError: it was not started.
        """
        if self._child is None:
            raise ChildError(f"{self.software} in {self.directory} was not started")
        return self._child

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            ChildError: it is not installed, ended, or did not answer in time; with the end of its log.
        """
        with self._launch() as probe, self._stopped_on_error():
            self.process.wait(probe, what=f"an answer from {self.endpoint}")
        return self

    async def astart(self) -> Self:
        """`start` for the event loop.

        Raises:
            ChildError: as `start`.
        """
        with self._launch() as probe, self._stopped_on_error():
            await self.process.await_(probe, what=f"an answer from {self.endpoint}")
        return self

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()

    def publish(self, zone: str, text: str) -> None:
        """Change a zone: write its file and tell the server, which serves and announces the change soon after.

        Raises:
            ValueError: it is no primary of this zone.
            ChildError: it was not started.
        """
        if not isinstance(self.role, Primary) or zone not in self.role.zones:
            raise ValueError(f"{self.software} at {self.endpoint} is not a primary of {zone}")
        self._write_zone(zone, text)
        self.process.send(signal.SIGHUP)

    @abstractmethod
    def configuration(self) -> str:
        """The text of its configuration file."""

    @abstractmethod
    def argv(self, program: str, configuration: Path) -> list[str]:
        """The command that runs it in the foreground."""

    def environment(self) -> dict[str, str]:
        """What is added to the environment of its process."""
        return {}

    def zone_file(self, zone: str) -> Path:
        """Where the text of a zone lies."""
        return self.directory / f"{'root' if plain(zone) == '.' else plain(zone)}.zone"

    def _launch(self) -> Probe:
        program = find_binary(self.program)
        if program is None:
            raise ChildError(f"{self.software} ({self.program}) is not installed")
        # Whoever holds the port would answer in its place and make it look ready.
        if not is_free(self.endpoint.port, "both", str(self.endpoint.address)):
            raise ChildError(f"{self.software} can't have {self.endpoint}: it is in use")
        self.directory.mkdir(parents=True, exist_ok=True)
        if isinstance(self.role, Primary):
            for zone, text in self.role.zones.items():
                self._write_zone(zone, text)
        configuration = self.directory / "server.conf"
        configuration.touch(mode=0o600)  # it may hold a key
        configuration.write_text(self.configuration())
        self._child = ChildProcess(
            self.argv(program, configuration),
            self.directory / "server.log",
            name=f"{self.software} at {self.endpoint}",
            env=self.environment(),
            cwd=self.directory,
        ).start()
        return Probe(self.endpoint, next(iter(self.role.zones)))

    def _write_zone(self, zone: str, text: str) -> None:
        # Renamed into place: a server that reads at this moment sees the old zone or the new one, never a half.
        draft = self.zone_file(zone).with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.zone_file(zone))

    @contextmanager
    def _stopped_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await self.astart()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
