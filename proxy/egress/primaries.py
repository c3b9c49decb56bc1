"""All primaries of the settings. One is one: who opens streams to it shares its session tickets and counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.egress.primary import PrimaryServer
from proxy.egress.status import PrimaryTlsStatus
from proxy.egress.tls.counters import TlsCounters
from proxy.egress.tls.primaries import LoadedTls, UnusableTls, load_tls
from proxy.settings import Primary
from proxy.values import Emit


@dataclass(frozen=True, slots=True)
class CompiledPrimaries:
    """What settings gave: primaries by name, and their TLS."""

    servers: Mapping[str, PrimaryServer]
    tls: Mapping[str, LoadedTls]


_NONE = CompiledPrimaries({}, {})
"""Before the first time."""


class Primaries:
    """Those in use. `base` is the directory that paths in the settings are relative to."""

    def __init__(self, base: Path, emit: Emit) -> None:
        self._base = base
        self._emit = emit
        self._counters: dict[str, TlsCounters] = {}
        self._used = _NONE

    def compile(self, primaries: Iterable[Primary]) -> CompiledPrimaries:
        """Read their files; nothing in use changes.

        The first time, files that can't be used make their primary unusable and no more: they were good when the
        gateway took them, and a process that comes up again serves the others.

        Raises:
            ValueError: files that can't be used, any other time.
        """
        servers, loaded = {}, {}
        for primary in primaries:
            counters = self._counters.setdefault(primary.name, TlsCounters(primary.name))
            try:
                tls = load_tls(primary, self._base, counters, self._emit, self._used.tls.get(primary.name))
            except ValueError as error:
                if self._used is not _NONE:
                    raise
                tls = LoadedTls(UnusableTls(primary.name, str(error), counters, self._emit), None, None)
            servers[primary.name] = PrimaryServer(primary.name, primary.address, tls.client if tls else None)
            if tls is not None:
                loaded[primary.name] = tls
        return CompiledPrimaries(servers, loaded)

    def take(self, compiled: CompiledPrimaries) -> None:
        """Use these from now on. Open streams keep theirs."""
        for name, tls in compiled.tls.items():
            known = self._used.tls.get(name)
            if known is not None and known.made_of is not None and known is not tls:
                self._emit("primary.tls-renewed", {"primary": name})
            self._counters[name].expires = tls.expires
        self._used = compiled

    def named(self, name: str) -> PrimaryServer:
        """The primary of that name.

        Raises:
            KeyError: there is none.
        """
        return self._used.servers[name]

    def status(self) -> tuple[PrimaryTlsStatus, ...]:
        """The numbers of those with TLS."""
        return tuple(self._counters[name].status() for name in self._used.tls)
