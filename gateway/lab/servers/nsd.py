"""NSD (NLnet Labs) as primary or secondary node. Written for 4.6 and later: nsd.conf(5)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from gateway.lab.servers.roles import Key, Primary, Secondary, ServerTls, plain
from gateway.lab.servers.server import NameServer


class Nsd(NameServer):
    """One NSD. As a node it asks for changes with IXFR over TCP alone; it sends no SOA queries."""

    software: ClassVar[str] = "NSD"
    program: ClassVar[str] = "nsd"

    def configuration(self) -> str:
        """The text of nsd.conf."""
        parts = [self._server(), *map(_key, self.keys)]
        parts += [self._zone(zone, role) for role in self.roles for zone in role.zones]
        return "\n".join(part for part in parts if part)

    def argv(self, program: str, configuration: Path) -> list[str]:
        """-d keeps it in the foreground with its log on stderr."""
        return [program, "-d", "-c", str(configuration)]

    def _server(self) -> str:
        # Behind a proxy all queries come from one address, which NSD's own rate limit would take for a flood.
        # An empty user name leaves the user as it is: as root it would want to become "nsd", which can't write here.
        return f"""\
server:
    ip-address: {self.endpoint.address}@{self.endpoint.port}
{_tls(self.tls)}    username: ""
    chroot: ""
    pidfile: ""
    database: ""
    zonesdir: "{self.directory}"
    zonelistfile: "{self.directory}/zone.list"
    xfrdfile: "{self.directory}/xfrd.state"
    xfrdir: "{self.directory}"
    server-count: 1
    tcp-count: 500
    tcp-timeout: 30
    verbosity: 1
    refuse-any: no
    rrl-ratelimit: 0
remote-control:
    control-enable: no
"""

    def _zone(self, zone: str, role: Primary | Secondary) -> str:
        key = role.key.name if role.key else "NOKEY"
        head = f"zone:\n    name: {plain(zone)}\n    zonefile: {self.zone_file(zone).name}\n"
        transfers = f"    provide-xfr: 127.0.0.0/8 {key if isinstance(role, Primary) else 'NOKEY'}\n"
        if isinstance(role, Primary):
            notify = [f"    notify: {target.address}@{target.port} {key}\n" for target in role.notify]
            return head + transfers + "".join(notify) + "    store-ixfr: yes\n    create-ixfr: yes\n"
        source = role.primary
        return (
            head
            + transfers
            + f"    request-xfr: {source.address}@{source.port} {key}\n"
            + f"    allow-notify: 127.0.0.0/8 {key}\n"
            + f"    min-refresh-time: 1\n    max-refresh-time: {role.refresh}\n"
            + f"    min-retry-time: 1\n    max-retry-time: {role.refresh}\n"
        )


def _tls(tls: ServerTls | None) -> str:
    """NSD of 4.6 asks clients for no certificate."""
    if tls is None:
        return ""
    return (
        f"    ip-address: {tls.endpoint.address}@{tls.endpoint.port}\n    tls-port: {tls.endpoint.port}\n"
        f'    tls-service-pem: "{tls.certificate}"\n    tls-service-key: "{tls.key}"\n'
    )


def _key(key: Key) -> str:
    return f'key:\n    name: {key.name}\n    algorithm: {key.algorithm}\n    secret: "{key.secret}"\n'
