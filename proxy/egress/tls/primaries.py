"""TLS to primaries from their settings: material from files, loaded once and again when a reload finds other bytes."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from certs.authorities import load_authorities
from certs.contexts import Identity, client_context, load_identity
from certs.errors import CertError
from certs.files import read_pem
from proxy.egress.tls.client import TlsClient, TlsOpener
from proxy.egress.tls.counters import TlsCounters
from proxy.egress.tls.engine import Wanted
from proxy.egress.tunnel import Tunnel
from proxy.errors import PrimaryError
from proxy.settings import Primary, PrimaryTls
from proxy.settings.primary_tls import SYSTEM
from proxy.values import Emit, Endpoint

ALPN = "dot"  # RFC 7858 section 3.2, RFC 9103 section 7.1


class UnusableTls:
    """Stands where files can't be used: every attempt fails with the reason, and nothing goes there without TLS."""

    def __init__(self, name: str, why: str, counters: TlsCounters, emit: Emit) -> None:
        """Says so at once."""
        self._why = why
        self._counters = counters
        emit("primary.tls-failed", {"primary": name, "reason": "tls-files", "error": why})

    async def open(
        self, tunnel: Tunnel, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b""
    ) -> asyncio.Transport:
        """Raises:
        PrimaryError: "tls-files"; mend them, and reload.
        """
        error = PrimaryError(self._why, "tls-files")
        self._counters.failed(error)
        raise error


@dataclass(frozen=True, slots=True)
class LoadedTls:
    """A client, when our own certificate expires, and what all was made of; None where that could not be used."""

    client: TlsOpener
    expires: float | None
    made_of: tuple[PrimaryTls, tuple[str, ...]] | None


def load_tls(
    primary: Primary, base: Path, counters: TlsCounters, emit: Emit, known: LoadedTls | None
) -> LoadedTls | None:
    """TLS to a primary; None where its settings have none. `known`, with its tickets, stays if nothing is new.

    Raises:
        ValueError: files that can't be used, or settings that name nobody to trust.
    """
    settings = primary.tls
    if settings is None:
        return None
    try:
        made_of = settings, _digests(settings, base)
        if known is not None and known.made_of == made_of:
            return known
        identity = _identity(settings, base)
        client = TlsClient(
            _context(settings, base, identity),
            _wanted(primary.name, settings),
            timeout=settings.handshake_timeout,
            resumption=settings.resumption,
            counters=counters,
            emit=emit,
        )
        return LoadedTls(client, identity.chain.not_after if identity is not None else None, made_of)
    except CertError as error:
        raise ValueError(f"primary {primary.name}: {error}") from None


def _identity(settings: PrimaryTls, base: Path) -> Identity | None:
    if (settings.certificate is None) != (settings.key is None):
        raise CertError(None, "a certificate or a key alone", "name both")
    if settings.certificate is None or settings.key is None:
        return None
    return load_identity(base / settings.certificate, base / settings.key)


def _context(settings: PrimaryTls, base: Path, identity: Identity | None) -> ssl.SSLContext:
    by_name = settings.ca is not None or not settings.pins
    if by_name and settings.server_name is None:
        raise CertError(None, "no server_name", "name whom the certificate must be for, or pins alone")
    if identity is None and _trusts_system(settings):
        return _system_context(_system_stamp())
    named = settings.ca is not None and settings.ca != SYSTEM
    authorities = load_authorities(base / str(settings.ca)) if named else None
    return client_context(authorities=authorities, by_name=by_name, identity=identity, alpn=ALPN)


@functools.lru_cache(maxsize=1)
def _system_context(_stamp: str) -> ssl.SSLContext:
    """One for all primaries: to read all authorities of a system takes some 40 ms. Sessions are kept by each client."""
    return client_context(alpn=ALPN)


def _system_stamp() -> str:
    """Tells one state of the authorities of the system from another, without reading them."""
    places = ssl.get_default_verify_paths()
    found = []
    for place in (places.cafile, places.capath):
        if os.path.exists(place or ""):  # noqa: PTH110 - as OpenSSL writes it; None where there is none
            status = os.stat(place)  # noqa: PTH116 - as above
            found.append(f"{place} {status.st_ino} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(found)


def _wanted(name: str, settings: PrimaryTls) -> Wanted:
    return Wanted(
        f"primary {name}",
        settings.server_name,
        frozenset(pin.digest for pin in settings.pins),
        ALPN if settings.alpn == "required" else None,
    )


def _trusts_system(settings: PrimaryTls) -> bool:
    return settings.ca == SYSTEM or (settings.ca is None and not settings.pins)


def _digests(settings: PrimaryTls, base: Path) -> tuple[str, ...]:
    """SHA-256 of each file named. A digest of a key file says nothing of the key, and goes nowhere."""
    named = [name for name in (settings.ca, settings.certificate, settings.key) if name not in {None, SYSTEM}]
    digests = tuple(hashlib.sha256(read_pem(base / str(name))).hexdigest() for name in named)
    return (*digests, _system_stamp()) if _trusts_system(settings) else digests
