"""A name server in a directory of its own, on loopback: the part that all of them share.

    start -> ready (it answers over UDP) -> publish a changed zone (file, then SIGHUP) … -> stop

Nothing needs root, nothing is written outside the directory, and it runs in the foreground, its output in `server.log`.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from gateway.lab.servers.ports import free_port, is_free
from gateway.lab.servers.probe import Probe
from gateway.lab.servers.process import ChildError, ChildProcess, find_binary
from gateway.lab.servers.roles import Key, Primary, Role, Secondary, ServerTls, plain
from proxy.values import Endpoint

LOOPBACK = "127.0.0.1"


class NameServer(ABC):
    """One name server. A context manager, plain or async: entered, it is ready; left, it has ended.

    Attributes:
        roles: what it does, zones by zones.
        directory: its configuration, zones and log.
        endpoint: where it answers over UDP and TCP.
    """

    software: ClassVar[str]  # as people write it: "NSD"
    program: ClassVar[str]  # the binary

    def __init__(self, role: Role | Sequence[Role], directory: Path, port: int | None = None) -> None:
        """`port` is free on loopback for UDP and TCP; chosen unless given.

        Raises:
            ValueError: no role, a zone in two of them, or two of them with TLS in different ways.
        """
        self.roles: tuple[Role, ...] = (role,) if isinstance(role, Primary | Secondary) else tuple(role)
        zones = [plain(zone) for each in self.roles for zone in each.zones]
        if not zones or len(zones) != len(set(zones)):
            raise ValueError(f"{self.software} needs zones, and each once: {zones}")
        if len({each.tls for each in self._primary_roles() if each.tls}) > 1:
            raise ValueError(f"{self.software} has one door for TLS")
        self.directory = directory
        self.endpoint = Endpoint(ip_address(LOOPBACK), port or free_port())
        self._child: ChildProcess | None = None

    @classmethod
    def missing(cls) -> str | None:
        """What it would need and this machine lacks; None if it can be started."""
        return None if find_binary(cls.program) else cls.program

    @classmethod
    def installed(cls) -> bool:
        """Whether it can be started on this machine."""
        return cls.missing() is None

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of its roles, each once."""
        return tuple(dict.fromkeys(role.key for role in self.roles if role.key))

    @property
    def tls(self) -> ServerTls | None:
        """Its door for TLS."""
        return next((role.tls for role in self._primary_roles() if role.tls), None)

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
        self.publish_all({zone: text})

    def publish_all(self, texts: Mapping[str, str]) -> None:
        """`publish` several zones at once.

        Raises:
            ValueError, ChildError: as `publish`.
        """
        served = {zone for role in self._primary_roles() for zone in role.zones}
        if others := texts.keys() - served:
            raise ValueError(f"{self.software} at {self.endpoint} is not a primary of {', '.join(sorted(others))}")
        for zone, text in texts.items():
            self._write_zone(zone, text)
        self._take(texts)

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

    def _primary_roles(self) -> Iterator[Primary]:
        return (role for role in self.roles if isinstance(role, Primary))

    def _take(self, _zones: Iterable[str]) -> None:
        """Make the server read the files of these zones, which have changed."""
        self.process.send(signal.SIGHUP)

    def _prepare(self) -> Path:
        """Write what it needs into its directory; its configuration is returned."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for role in self._primary_roles():
            for zone, text in role.zones.items():
                self._write_zone(zone, text)
        configuration = self.directory / "server.conf"
        configuration.touch(mode=0o600)  # it may hold a key
        configuration.write_text(self.configuration())
        return configuration

    def _launch(self) -> Probe:
        program = find_binary(self.program)
        if program is None or (missing := self.missing()):
            raise ChildError(f"{self.software} is not installed: {missing if program else self.program} is missing")
        # Whoever holds the port would answer in its place and make it look ready.
        if not is_free(self.endpoint.port, "both", str(self.endpoint.address)):
            raise ChildError(f"{self.software} can't have {self.endpoint}: it is in use")
        configuration = self._prepare()
        self._child = ChildProcess(
            self.argv(program, configuration),
            self.directory / "server.log",
            name=f"{self.software} at {self.endpoint}",
            env=self.environment(),
            cwd=self.directory,
        ).start()
        return Probe(self.endpoint, next(iter(self.roles[0].zones)))

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
