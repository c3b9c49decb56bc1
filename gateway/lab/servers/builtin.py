"""The built-in server of the lab, launched like the others: `gateway.lab.builtin`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

import msgspec

import gateway
from gateway.lab.builtin.settings import KeySettings, NodeSettings, PrimarySettings
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.server import NameServer
from proxy.values import Endpoint


class Builtin(NameServer):
    """One built-in server, of one role. As a node it asks for the SOA over UDP, then for IXFR over TCP."""

    software: ClassVar[str] = "built-in"
    program: ClassVar[str] = sys.executable

    def configuration(self) -> str:
        """The text of its JSON file."""
        (role,) = self.roles
        listen = _pair(self.endpoint)
        key = KeySettings(role.key.name, role.key.algorithm, role.key.secret) if role.key else None
        settings: PrimarySettings | NodeSettings
        if isinstance(role, Primary):
            files = {zone: str(self.zone_file(zone)) for zone in role.zones}
            settings = PrimarySettings(listen, files, tuple(_pair(target) for target in role.notify), key)
        else:
            settings = NodeSettings(listen, role.zones, _pair(role.primary), role.refresh, key)
        return msgspec.json.encode(settings).decode()

    def argv(self, program: str, configuration: Path) -> list[str]:
        """It stays in the foreground by itself."""
        return [program, "-m", "gateway.lab.builtin", str(configuration)]

    def environment(self) -> dict[str, str]:
        """The packages of this program are found from any directory, also when it runs from its source tree."""
        path = [str(Path(gateway.__file__).parent.parent), os.environ.get("PYTHONPATH")]
        return {"PYTHONPATH": os.pathsep.join(filter(None, path))}


def _pair(endpoint: Endpoint) -> tuple[str, int]:
    return str(endpoint.address), endpoint.port
