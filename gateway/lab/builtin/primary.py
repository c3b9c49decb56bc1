"""The built-in primary: zones from files, read again at SIGHUP; a higher serial is announced with NOTIFY (RFC 1996)."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.zone
from dns.name import Name
from dns.rdatatype import RdataType

from gateway.lab.builtin.contents import Contents
from gateway.lab.builtin.service import Service
from gateway.lab.builtin.settings import PrimarySettings
from gateway.lab.builtin.sockets import serve
from gateway.lab.builtin.transfers import History

NOTIFY_ATTEMPTS = 3
NOTIFY_TIMEOUT = 2.0  # seconds an attempt waits for its answer

log = logging.getLogger(__name__)


class Primary:
    """The primary of the zones in its settings."""

    def __init__(self, settings: PrimarySettings) -> None:
        self._settings = settings
        self._key = settings.key.for_dnspython() if settings.key else None
        self._files = {dns.name.from_text(zone): Path(file) for zone, file in settings.zones.items()}
        self._service = Service({zone: History() for zone in self._files}, self._key, self._key is not None)

    async def run(self) -> None:
        """Load the zones and serve, until cancelled.

        Raises:
            OSError: the address can't be bound.
        """
        self._load()
        async with asyncio.TaskGroup() as tasks:

            def reload() -> None:
                for zone in self._load():
                    for target in self._settings.notify:
                        tasks.create_task(self._notify(zone, target))

            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
            await serve(self._service, self._settings.listen)

    def _load(self) -> list[Name]:
        """Read every file; return the zones with a new serial. A file that can't be read leaves its zone as it is."""
        changed = []
        for zone, file in self._files.items():
            try:
                contents = Contents(dns.zone.from_text(file.read_text(), zone, relativize=False))
            except (OSError, dns.exception.DNSException, ValueError) as error:
                log.error("%s: %s", file, error)
                continue
            if self._service.zones[zone].add(contents):
                log.info("%s: serial %d", zone, contents.serial)
                changed.append(zone)
        return changed

    async def _notify(self, zone: Name, target: tuple[str, int]) -> None:
        message = dns.message.make_query(zone, RdataType.SOA, flags=dns.flags.AA)
        message.set_opcode(dns.opcode.NOTIFY)
        if self._key is not None:
            message.use_tsig(self._key)
        for _ in range(NOTIFY_ATTEMPTS):
            try:
                await dns.asyncquery.udp(message, target[0], timeout=NOTIFY_TIMEOUT, port=target[1])
            except (OSError, dns.exception.DNSException) as error:
                log.warning("NOTIFY of %s to %s: %s", zone, target, error)
            else:
                return
