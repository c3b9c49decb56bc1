"""What to transfer, from where and through what; and how it goes: the tunnels in their order, until one brings it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.rdatatype

from dataplane import Verdict
from filters.errors import FilterError
from filters.names import zone_wire
from gateway.recalled import recall_egress
from gateway.settings import GatewaySettings
from proxy.egress.counters import TunnelCounters
from proxy.egress.exchanges.exchange import ELSEWHERE
from proxy.egress.exchanges.remedies import remedy_of_code, remedy_of_verdict
from proxy.egress.fetch.pipe import TunnelPipe
from proxy.egress.fetch.transfer import guard, receive, transfer_query
from proxy.egress.primaries import Primaries
from proxy.egress.primary import PrimaryServer
from proxy.egress.tunnel import Tunnel
from proxy.egress.tunnels import make_tunnels
from proxy.errors import ProxyError
from proxy.settings import EgressSettings, Limits, Primary, TsigKey


class JobError(Exception):
    """The transfer can't be had; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came, and through which tunnel."""

    tunnel: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Job:
    """One transfer; all that it names exists."""

    zone: str
    serial: int | None
    server: PrimaryServer
    tunnels: Sequence[Tunnel]
    key: TsigKey | None
    limits: Limits

    @classmethod
    def plan(
        cls,
        settings: GatewaySettings,
        file: Path,
        zone: str,
        *,
        primary: str | None,
        tunnel: str | None,
        serial: int | None,
        key: str | None,
    ) -> Job:
        """Find what was named in the settings of `file`.

        Raises:
            JobError: it is not there, or is no zone.
        """
        try:
            zone_wire(zone)
        except FilterError as error:
            raise JobError(f"{zone!r} is no zone: {error}") from None
        egress, addresses = recall_egress(settings, file)
        source = _primary(egress, primary)
        names = source.tunnels if tunnel is None else (tunnel,)
        made = make_tunnels(egress.tunnels, {}, TunnelCounters, addresses)
        for name in names:
            if name not in made:
                raise JobError(f"there is no tunnel {name!r}; known are {_known(made)}")
        try:
            server = Primaries(file.parent, lambda _name, _fields: None).compile([source]).servers[source.name]
        except ValueError as error:
            raise JobError(str(error)) from None
        keys = {each.name: each for each in settings.tsig_keys}
        wanted = key or source.tsig_key
        if wanted is not None and wanted not in keys:
            raise JobError(f"there is no key {wanted!r}; known are {_known(keys)}")
        return cls(
            zone,
            serial,
            server,
            [made[name].tunnel for name in names],
            keys[wanted] if wanted is not None else None,
            source.limits,
        )

    async def carry(self, take: Callable[[bytes], None], again: Callable[[str, str | None], None]) -> Outcome:
        """Transfer. Each part goes to `take`; `again` is called before each tunnel, with what was wrong with the last.

        Raises:
            JobError: no tunnel brought it.
        """
        problem: str | None = None
        for tunnel in self.tunnels:
            name = tunnel.counters.name
            again(name, problem)
            try:
                verdict = await self._through(tunnel, take)
            except (ProxyError, OSError) as error:
                problem = f"through {name}: {error}"
                continue
            if verdict.kind == "error":
                code = dns.rcode.to_text(dns.rcode.Rcode(verdict.rcode))
                problem = f"{self.server.name} answers {code} through {name}: {remedy_of_code(verdict.rcode)}"
                if verdict.rcode in ELSEWHERE:  # it may know the address of another exit
                    continue
                raise JobError(problem)
            if verdict.accepted:
                return Outcome(name, verdict)
            remedy = remedy_of_verdict(verdict.reason)
            problem = f"through {name}: {verdict.detail} ({verdict.reason}): {remedy}"
        raise JobError(problem or "no tunnel to try")

    async def _through(self, tunnel: Tunnel, take: Callable[[bytes], None]) -> Verdict:
        kind = dns.rdatatype.AXFR if self.serial is None else dns.rdatatype.IXFR
        query = transfer_query(self.zone, kind, serial=self.serial or 0, key=self.key)
        pipe = TunnelPipe()
        await self.server.open_stream(tunnel, pipe)
        try:
            return await receive(pipe, query, guard(self.key, self.limits), take)
        finally:
            pipe.close()


def _primary(settings: EgressSettings, name: str | None) -> Primary:
    found = [each for each in settings.primaries if name is None or each.name == name]
    if len(found) == 1:
        return found[0]
    known = _known([each.name for each in settings.primaries])
    raise JobError(f"say --from which primary: {known}" if name is None else f"there is no primary {name!r}; {known}")


def _known(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
