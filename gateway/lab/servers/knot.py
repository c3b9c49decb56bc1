"""Knot DNS (CZ.NIC) as primary or secondary node. Written for 3.2 and later: knot.conf(5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from gateway.lab.servers.roles import Key, Primary, Role, Secondary, plain
from gateway.lab.servers.server import NameServer


class Knot(NameServer):
    """One knotd. As a node it asks for the SOA, then for IXFR."""

    software: ClassVar[str] = "Knot"
    program: ClassVar[str] = "knotd"

    def configuration(self) -> str:
        """The text of knot.conf."""
        parts = [self._server(), _section("key", map(_key, self.keys)), _section("remote", self._each(_remotes))]
        parts += [_section("acl", self._each(_acl)), _section("template", self._each(self._template))]
        parts.append(_section("zone", self._each(self._zones)))
        return "\n".join(part for part in parts if part)

    def argv(self, program: str, configuration: Path) -> list[str]:
        """Without -d it stays in the foreground."""
        return [program, "-c", str(configuration)]

    def _server(self) -> str:
        return f"""\
server:
    listen: {self.endpoint.address}@{self.endpoint.port}
    rundir: "{self.directory}"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    tcp-idle-timeout: 30
    automatic-acl: off
control:
    listen: "{self.directory}/knot.sock"
database:
    storage: "{self.directory}"
    journal-db-max-size: 64M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
log:
  - target: stderr
    any: info
"""

    def _each(self, part: Callable[[Role, int], str]) -> Iterator[str]:
        """A part of the file for each role; what it defines is told apart by the role's number."""
        return (part(role, number) for number, role in enumerate(self.roles))

    def _template(self, role: Role, number: int) -> str:
        # The journal takes the difference between the old and the new file: that is what IXFR is answered from.
        head = f"""\
  - id: role-{number}
    storage: "{self.directory}"
    journal-content: changes
    journal-max-usage: 4M
"""
        if isinstance(role, Primary):
            return head + "    zonefile-load: difference\n    zonefile-sync: -1\n"
        return head + (
            f"    refresh-min-interval: 2\n    refresh-max-interval: {max(2, role.refresh)}\n"
            f"    retry-min-interval: 1\n    retry-max-interval: {role.refresh}\n"
        )

    def _zones(self, role: Role, number: int) -> str:
        if isinstance(role, Secondary):
            more = f"    master: remote-{number}-0\n    acl: [transfers-{number}, notifies-{number}]\n"
        else:
            targets = ", ".join(f"remote-{number}-{index}" for index in range(len(role.notify)))
            more = f"    acl: transfers-{number}\n" + (f"    notify: [{targets}]\n" if targets else "")
        return "".join(
            f"  - domain: {plain(zone)}\n    template: role-{number}\n    file: {self.zone_file(zone).name}\n{more}"
            for zone in role.zones
        )


def _remotes(role: Role, number: int) -> str:
    targets = role.notify if isinstance(role, Primary) else (role.primary,)
    return "".join(
        f"  - id: remote-{number}-{index}\n    address: {target.address}@{target.port}\n{_signed(role)}"
        for index, target in enumerate(targets)
    )


def _acl(role: Role, number: int) -> str:
    rules = f"  - id: transfers-{number}\n    address: 127.0.0.0/8\n    action: transfer\n"
    if isinstance(role, Primary):
        return f"{rules}{_signed(role)}"
    return f"{rules}  - id: notifies-{number}\n    address: 127.0.0.0/8\n    action: notify\n{_signed(role)}"


def _signed(role: Role) -> str:
    return f"    key: {role.key.name}\n" if role.key else ""


def _key(key: Key) -> str:
    return f"  - id: {key.name}\n    algorithm: {key.algorithm}\n    secret: {key.secret}\n"


def _section(name: str, parts: Iterable[str]) -> str:
    text = "".join(parts)
    return f"{name}:\n{text}" if text else ""
