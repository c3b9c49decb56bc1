"""PowerDNS as primary or secondary node, with its zones in SQLite. Written for 4.7 and later: its own documentation.

A changed zone is loaded and put in order by `pdnsutil` in a database beside the server's, as an operator would do it,
and from there all changed zones go into the server's in one transaction. So it never serves a signed zone of which the
order of names, or what says that it is signed, is still missing.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

from gateway.lab.servers.process import find_binary
from gateway.lab.servers.roles import Key, Primary, Role, plain
from gateway.lab.servers.server import NameServer

SCHEMA = "schema.sqlite3.sql"
SCHEMA_PLACES = (
    "/usr/share/pdns-backend-sqlite3/schema",  # Debian
    "/usr/share/doc/pdns-backend-sqlite3",  # packages of PowerDNS itself
    "/usr/share/doc/pdns",
)
MODULE = "pdns-backend-sqlite3"
DRAFT = "draft"  # directory of the database in which zones are put in order
COLUMNS = "name, type, content, ttl, prio, disabled, ordername, auth"


class PowerDns(NameServer):
    """One pdns_server. As a node it asks for the SOA over UDP, then for IXFR over TCP; as a primary it has no IXFR."""

    software: ClassVar[str] = "PowerDNS"
    program: ClassVar[str] = "pdns_server"

    @classmethod
    def missing(cls) -> str | None:
        """What it would need and this machine lacks; None if it can be started."""
        return super().missing() or (None if find_binary("pdnsutil") else "pdnsutil") or (None if schema() else MODULE)

    def configuration(self) -> str:
        """The text of pdns.conf."""
        return f"""\
{_database(self.directory)}
local-address={self.endpoint.address}:{self.endpoint.port}
primary=yes
secondary=yes
allow-axfr-ips=
only-notify=127.0.0.0/8
trusted-notification-proxy=127.0.0.1
xfr-cycle-interval=1
retrieval-threads=4
receiver-threads=1
distributor-threads=1
max-tcp-connections=500
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
socket-dir={self.directory}
security-poll-suffix=
daemon=no
guardian=no
loglevel=4
"""

    def argv(self, program: str, configuration: Path) -> list[str]:
        """It wants a directory, in which its configuration is called pdns.conf."""
        (self.directory / "pdns.conf").symlink_to(configuration)
        return [program, f"--config-dir={self.directory}"]

    def _prepare(self) -> Path:
        configuration = super()._prepare()
        tables = (schema() or Path(SCHEMA)).read_text()  # that it is there was looked at before
        draft = self.directory / DRAFT
        draft.mkdir()
        (draft / "pdns.conf").write_text(_database(draft))
        for directory in (self.directory, draft):
            with _opened(directory) as database:
                database.executescript("PRAGMA journal_mode = WAL;" + tables)
        with _opened(self.directory) as database:
            for key in self.keys:
                row = (key.name.rstrip("."), key.algorithm, key.secret)
                database.execute("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)", row)
            for role in self.roles:
                for zone in role.zones:
                    _add_zone(database, zone, role)
        self._take(zone for role in self._primary_roles() for zone in role.zones)
        return configuration

    def _take(self, zones: Iterable[str]) -> None:
        ordered = [zone for zone in zones if self._load(zone)]
        with _opened(self.directory) as database:
            database.execute("ATTACH ? AS draft", (str(_file(self.directory / DRAFT)),))
            for zone in ordered:
                _swap(database, plain(zone))

    def _load(self, zone: str) -> bool:
        """Read the file of a zone into the draft. What is wrong with it stands in the log, and the old zone stays."""
        return self._util("load-zone", plain(zone), self.zone_file(zone)) and self._util("rectify-zone", plain(zone))

    def _util(self, *words: str | Path) -> bool:
        program = find_binary("pdnsutil") or "pdnsutil"
        with (self.directory / "server.log").open("ab") as log:
            done = subprocess.run(
                [program, f"--config-dir={self.directory / DRAFT}", *map(str, words)],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode == 0


def schema() -> Path | None:
    """The file that makes the tables of a database, where the backend is installed."""
    return next((file for place in SCHEMA_PLACES if (file := Path(place, SCHEMA)).is_file()), None)


def _file(directory: Path) -> Path:
    return directory / "pdns.sqlite3"


def _database(directory: Path) -> str:
    """The settings of the backend. Nothing here has to outlive a crash of the machine, so nothing waits for a disk."""
    return f"""\
launch=gsqlite3
gsqlite3-database={_file(directory)}
gsqlite3-dnssec=yes
gsqlite3-pragma-synchronous=0
"""


@contextmanager
def _opened(directory: Path) -> Iterator[sqlite3.Connection]:
    """A database, in one transaction."""
    with closing(sqlite3.connect(_file(directory))) as database, database:
        yield database


def _add_zone(database: sqlite3.Connection, zone: str, role: Role) -> None:
    """A zone without records, and what is said of it: `pdnsutil create-secondary-zone`, `set-meta` and so on."""
    if isinstance(role, Primary):
        kind, source = "MASTER", None
        meta = [("ALSO-NOTIFY", str(target)) for target in role.notify]
        meta.append(("TSIG-ALLOW-AXFR", _name(role.key)) if role.key else ("ALLOW-AXFR-FROM", "127.0.0.0/8"))
    else:
        kind, source = "SLAVE", str(role.primary)
        meta = [("IXFR", "1"), ("ALLOW-AXFR-FROM", "127.0.0.0/8")]
        if role.key:
            meta.append(("AXFR-MASTER-TSIG", _name(role.key)))
    row = database.execute("INSERT INTO domains (name, type, master) VALUES (?, ?, ?)", (plain(zone), kind, source))
    database.executemany(
        "INSERT INTO domainmetadata (domain_id, kind, content) VALUES (?, ?, ?)",
        [(row.lastrowid, kind, content) for kind, content in meta],
    )


def _name(key: Key) -> str:
    return key.name.rstrip(".")


def _swap(database: sqlite3.Connection, zone: str) -> None:
    """Take the records of a zone from the draft. Where it has signatures, it is said to come with them."""
    (domain,) = database.execute("SELECT id FROM main.domains WHERE name = ?", (zone,)).fetchone()
    (source,) = database.execute("SELECT id FROM draft.domains WHERE name = ?", (zone,)).fetchone()
    database.execute("DELETE FROM main.records WHERE domain_id = ?", (domain,))
    database.execute(
        f"INSERT INTO main.records (domain_id, {COLUMNS}) SELECT ?, {COLUMNS} FROM draft.records WHERE domain_id = ?",  # noqa: S608 - names of columns
        (domain, source),
    )
    database.execute("DELETE FROM main.domainmetadata WHERE domain_id = ? AND kind = 'PRESIGNED'", (domain,))
    signed = database.execute("SELECT 1 FROM main.records WHERE domain_id = ? AND type = 'RRSIG'", (domain,)).fetchone()
    if signed:
        database.execute(
            "INSERT INTO main.domainmetadata (domain_id, kind, content) VALUES (?, 'PRESIGNED', '1')", (domain,)
        )
