"""The built-in secondary node: the SOA over UDP, then IXFR or AXFR over TCP for a higher serial (RFC 1034 4.3.5)."""

from __future__ import annotations

import asyncio
import logging

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.versioned
import dns.xfr
from dns.name import Name
from dns.rdatatype import RdataType
from dns.serial import Serial

from gateway.lab.builtin.contents import Contents
from gateway.lab.builtin.service import Service
from gateway.lab.builtin.settings import NodeSettings
from gateway.lab.builtin.sockets import serve
from gateway.lab.builtin.transfers import History

SOA_TIMEOUT = 2.0  # seconds
TRANSFER_TIMEOUT = 60.0

log = logging.getLogger(__name__)


class Node:
    """A secondary node for the zones in its settings."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._key = settings.key.for_dnspython() if settings.key else None
        names = [dns.name.from_text(zone) for zone in settings.zones]
        self._copies = {zone: dns.versioned.Zone(zone, relativize=False) for zone in names}
        self._notices = {zone: asyncio.Event() for zone in names}
        self._service = Service({zone: History() for zone in names}, self._key, notified=self._notified)

    async def run(self) -> None:
        """Fetch and serve, until cancelled.

        Raises:
            OSError: the address can't be bound.
        """
        async with asyncio.TaskGroup() as tasks:
            for zone in self._copies:
                tasks.create_task(self._follow(zone))
            await serve(self._service, self._settings.listen)

    def _notified(self, zone: Name) -> None:
        notice = self._notices.get(zone)
        if notice is not None:
            notice.set()

    async def _follow(self, zone: Name) -> None:
        """Look at the primary at every refresh and NOTIFY; fetch what is new; after the expire time stop serving."""
        loop = asyncio.get_running_loop()
        history = self._service.zones[zone]
        confirmed = loop.time()
        while True:
            try:
                if await self._is_outdated(zone, history):
                    await self._fetch(zone, history)
                confirmed = loop.time()
            except (OSError, dns.exception.DNSException, ValueError, EOFError) as error:
                log.warning("%s: no refresh: %s", zone, repr(error))
                latest = history.latest
                if latest is not None and loop.time() - confirmed > latest.soa[0].expire:
                    log.error("%s: expired", zone)
                    history.forget()
            notice = self._notices[zone]
            try:
                async with asyncio.timeout(self._settings.refresh):
                    await notice.wait()
            except TimeoutError:
                continue  # time to look again
            notice.clear()

    async def _is_outdated(self, zone: Name, history: History) -> bool:
        query = dns.message.make_query(zone, RdataType.SOA)
        if self._key is not None:
            query.use_tsig(self._key)
        address, port = self._settings.primary
        answer = await dns.asyncquery.udp(query, address, timeout=SOA_TIMEOUT, port=port)
        soa = answer.get_rrset(answer.answer, zone, query.question[0].rdclass, RdataType.SOA)
        if soa is None:
            raise ValueError(f"the primary does not answer for {zone}: {answer.rcode()!r}")
        return history.latest is None or Serial(soa[0].serial) > Serial(history.latest.serial)

    async def _fetch(self, zone: Name, history: History) -> None:
        copy = self._copies[zone]
        key = {self._key.name: self._key} if self._key else None
        query, _ = dns.xfr.make_query(copy, keyring=key, keyname=self._key.name if self._key else None)
        address, port = self._settings.primary
        await dns.asyncquery.inbound_xfr(address, copy, query, port=port, lifetime=TRANSFER_TIMEOUT)
        contents = Contents(copy)
        if history.add(contents):
            log.info("%s: serial %d by %s", zone, contents.serial, RdataType(query.question[0].rdtype).name)
