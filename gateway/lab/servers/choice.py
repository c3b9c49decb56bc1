"""Which name servers this machine has."""

from __future__ import annotations

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.server import NameServer

SOFTWARE: tuple[type[NameServer], ...] = (Bind, Nsd, Knot, PowerDns)


def installed() -> tuple[type[NameServer], ...]:
    """The software found on this machine, in a fixed order; empty when there is none."""
    return tuple(software for software in SOFTWARE if software.installed())
