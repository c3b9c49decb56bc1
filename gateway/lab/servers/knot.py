"""Knot DNS (CZ.NIC) as primary or secondary node. Written for 3.2 and later: knot.conf(5)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from gateway.lab.servers.roles import Key, Primary, Secondary, plain
from gateway.lab.servers.server import NameServer


class Knot(NameServer):
    """One knotd. As a node it asks for the SOA, then for IXFR."""

    software: ClassVar[str] = "Knot"
    program: ClassVar[str] = "knotd"

    def configuration(self) -> str:
        """The text of knot.conf."""
        parts = [self._server(), _key(self.role.key), self._remotes(), self._acl(), self._template()]
        parts.append("zone:\n" + "".join(self._zone(zone) for zone in self.role.zones))
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

    def _remotes(self) -> str:
        role = self.role
        targets = role.notify if isinstance(role, Primary) else (role.primary,)
        if not targets:
            return ""
        key = f"    key: {role.key.name}\n" if role.key else ""
        lines = [
            f"  - id: remote-{number}\n    address: {target.address}@{target.port}\n{key}"
            for number, target in enumerate(targets)
        ]
        return "remote:\n" + "".join(lines)

    def _acl(self) -> str:
        role = self.role
        key = f"    key: {role.key.name}\n" if role.key else ""
        rules = "  - id: transfers\n    address: 127.0.0.0/8\n    action: transfer\n"
        if isinstance(role, Primary):
            return f"acl:\n{rules}{key}"
        return f"acl:\n{rules}  - id: notifies\n    address: 127.0.0.0/8\n    action: notify\n{key}"

    def _template(self) -> str:
        # The journal takes the difference between the old and the new file: that is what IXFR is answered from.
        head = f"""\
template:
  - id: default
    storage: "{self.directory}"
    journal-content: changes
    journal-max-usage: 4M
"""
        if isinstance(self.role, Primary):
            return head + "    zonefile-load: difference\n    zonefile-sync: -1\n"
        return head + (
            f"    refresh-min-interval: 2\n    refresh-max-interval: {max(2, self.role.refresh)}\n"
            f"    retry-min-interval: 1\n    retry-max-interval: {self.role.refresh}\n"
        )

    def _zone(self, zone: str) -> str:
        role = self.role
        head = f"  - domain: {plain(zone)}\n    file: {self.zone_file(zone).name}\n"
        if isinstance(role, Secondary):
            return f"{head}    master: remote-0\n    acl: [transfers, notifies]\n"
        targets = ", ".join(f"remote-{number}" for number in range(len(role.notify)))
        return f"{head}    acl: transfers\n" + (f"    notify: [{targets}]\n" if targets else "")


def _key(key: Key | None) -> str:
    if key is None:
        return ""
    return f"key:\n  - id: {key.name}\n    algorithm: {key.algorithm}\n    secret: {key.secret}\n"
