"""dnsdist (PowerDNS) in front of a name server, with the settings that the figures name. Written for 1.7."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import BenchError
from bench.peers.programs import program
from bench.served import await_served
from gateway.lab.servers.ports import free_port
from gateway.lab.servers.process import ChildProcess
from proxy.values import Endpoint

LOOPBACK = ip_address("127.0.0.1")
VECTOR = 64  # messages of one recvmmsg or sendmmsg; dnsdist's default is 1


class Dnsdist:
    """One dnsdist. A context manager: entered, it answers for `zone`; left, it has ended.

    Attributes:
        endpoint: where it answers over UDP and TCP.
    """

    def __init__(
        self,
        directory: Path,
        backend: Endpoint,
        zone: str,
        limit: int | None = None,
        *,
        listen: IPv4Address | IPv6Address = LOOPBACK,
        rules: str = "",
    ) -> None:
        """`limit` is in queries a second of one address; more are dropped. Without it nothing is limited.
        `rules` are lines of Lua behind all others."""
        self.endpoint = Endpoint(listen, free_port(host=str(listen)))
        self._rules = rules
        self._statistics = Endpoint(LOOPBACK, free_port("tcp"))
        self._directory = directory
        self._backend = backend
        self._zone = zone
        self._limit = limit
        self._child: ChildProcess | None = None

    def configuration(self) -> str:
        """Its Lua file."""
        lines = [
            f'setLocal("{self.endpoint}")',
            f'newServer({{address="{self._backend}"}})',
            f"setUDPMultipleMessagesVectorSize({VECTOR})",
            'setACL({"127.0.0.0/8", "10.0.0.0/8"})',
            'setSecurityPollSuffix("")',  # else it asks the Internet for its own version's faults
            f'webserver("{self._statistics}")',
            'setWebserverConfig({acl="127.0.0.1/32", statsRequireAuthentication=false})',
        ]
        if self._limit is not None:
            lines.append(f"addAction(MaxQPSIPRule({self._limit}, 32, 64), DropAction())")
        return "\n".join([*lines, self._rules]) + "\n"

    @property
    def process(self) -> ChildProcess:
        """Its process.

        Raises:
            BenchError: it was not started.
        """
        if self._child is None:
            raise BenchError("dnsdist was not started")
        return self._child

    def dropped(self) -> int:
        """Queries that its rules have dropped so far.

        Raises:
            BenchError: it does not say.
        """
        try:
            with urllib.request.urlopen(f"http://{self._statistics}/jsonstat?command=stats", timeout=5) as answer:
                return int(json.load(answer)["rule-drop"])
        except (urllib.error.URLError, ValueError, KeyError) as error:
            raise BenchError(f"dnsdist does not tell its statistics: {error}") from error

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        configuration = self._directory / "dnsdist.conf"
        configuration.write_text(self.configuration())
        self._child = ChildProcess(
            [program("dnsdist"), "--supervised", "--disable-syslog", "-C", configuration],
            self._directory / "dnsdist.log",
        ).start()
        try:
            await_served(self._child, self.endpoint, self._zone)
        except BaseException:
            self._child.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()
