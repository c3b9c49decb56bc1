"""BIND 9 (ISC) as primary or secondary node. Written for 9.18 and later: the BIND 9 Administrator Reference Manual."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from gateway.lab.servers.roles import Key, Primary, Secondary, ServerTls, plain
from gateway.lab.servers.server import NameServer

APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


class Bind(NameServer):
    """One named. As a node it asks for the SOA over UDP, then for IXFR over TCP."""

    software: ClassVar[str] = "BIND"
    program: ClassVar[str] = "named"

    def configuration(self) -> str:
        """The text of named.conf."""
        parts = [_tls(self.tls), self._options(self.tls), *map(_key, self.keys)]
        parts += [self._zone(zone, role) for role in self.roles for zone in role.zones]
        return "\n".join(part for part in parts if part)

    def argv(self, program: str, configuration: Path) -> list[str]:
        """-g keeps it in the foreground with its log on stderr."""
        if APPARMOR.is_file() and APPARMOR.read_text().strip() == "Y":
            # Distributions confine /usr/sbin/named to the files of the system's own name server, but no copy of it.
            program = shutil.copy(program, f"{self.directory}/named")
        return [program, "-g", "-n", "1", "-c", str(configuration)]

    def _options(self, tls: ServerTls | None) -> str:
        door = f"    listen-on port {tls.endpoint.port} tls xot {{ {tls.endpoint.address}; }};\n" if tls else ""
        return f"""\
options {{
    directory "{self.directory}";
    listen-on port {self.endpoint.port} {{ {self.endpoint.address}; }};
{door}    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    allow-query {{ any; }};
    notify no;
    ixfr-from-differences yes;
    max-journal-size 1m;
    tcp-clients 500;
    serial-query-rate 100;
    startup-notify-rate 100;
    notify-rate 100;
    notify-delay 0;
    querylog no;
}};
controls {{ }};
"""

    def _zone(self, zone: str, role: Primary | Secondary) -> str:
        key = f" key {role.key.name}" if role.key else ""
        head = f'zone "{plain(zone)}" {{\n    file "{self.zone_file(zone).name}";\n'
        if role.rrset > 100:  # of itself; only releases from July 2024 on have that bound, and the word for it
            head += f"    max-records-per-type {role.rrset};\n"
        if isinstance(role, Primary):
            allow = f"key {role.key.name}" if role.key else "127.0.0.0/8"
            targets = " ".join(f"{target.address} port {target.port}{key};" for target in role.notify)
            notify = f"    notify explicit;\n    also-notify {{ {targets} }};\n" if role.notify else ""
            over = f" port {role.tls.endpoint.port} transport tls" if role.tls else ""
            return f"{head}    type primary;\n    allow-transfer{over} {{ {allow}; }};\n{notify}}};\n"
        source = role.primary
        return (
            f"{head}    type secondary;\n    masterfile-format text;\n    allow-transfer {{ 127.0.0.0/8; }};\n"
            f"    primaries {{ {source.address} port {source.port}{key}; }};\n"
            f"    allow-notify {{ 127.0.0.0/8; }};\n"
            f"    min-refresh-time 1;\n    max-refresh-time {role.refresh};\n"
            f"    min-retry-time 1;\n    max-retry-time {role.refresh};\n}};\n"
        )


def _tls(tls: ServerTls | None) -> str:
    """With the authority of clients, BIND wants a certificate of theirs."""
    if tls is None:
        return ""
    clients = f'    ca-file "{tls.clients}";\n' if tls.clients else ""
    files = f'    cert-file "{tls.certificate}";\n    key-file "{tls.key}";\n'
    return f"tls xot {{\n{files}{clients}    protocols {{ TLSv1.3; }};\n}};\n"


def _key(key: Key) -> str:
    return f'key "{key.name}" {{\n    algorithm {key.algorithm};\n    secret "{key.secret}";\n}};\n'
