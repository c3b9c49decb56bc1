"""TLS of primaries: whom it trusts, and the files that it names. They are read here, so that a bad one is told with its
key and line, and changes nothing at a reload."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.config.list_checks import written
from gateway.config.problems import Key, quote
from gateway.config.reader import Fault, Table
from gateway.config.tables import Tables, Tree
from proxy.settings import Primary, PrimaryTls
from proxy.settings.primary_tls import SYSTEM

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def tls_faults(tables: Tables, tree: Tree, base: Path | None) -> Iterator[Fault]:
    """All of them. Without `base`, the directory that paths are relative to, files are not looked at."""
    for key, table in tables.items():
        if table.kind is PrimaryTls:
            yield from _trust(key, table, tree)
            if base is not None:
                yield from _files(key, table, base)


def tls_warnings(primaries: Iterable[Primary], base: Path) -> Iterator[Fault]:
    """What time has made of files in which nothing is wrong: it is told, but a restart shall not fail for it."""
    from certs.authorities import load_authorities
    from certs.chains import load_chain

    now = time.time()
    for place, primary in enumerate(primaries):
        tls = primary.tls
        if tls is None:
            continue
        key: Key = ("primaries", place, "tls")
        stale = load_chain(base / tls.certificate).staleness(now) if tls.certificate is not None else None
        if stale is not None:
            yield Fault((*key, "certificate"), stale, "renew it, and reload")
        named = tls.ca is not None and tls.ca != SYSTEM
        stale = load_authorities(base / str(tls.ca)).staleness(now) if named else None
        if stale is not None:
            yield Fault((*key, "ca"), stale, "no certificate of the primary can hold; take their new ones, and reload")


def _trust(key: Key, table: Table, tree: Tree) -> Iterator[Fault]:
    given, name = written(tree, key), table.get("server_name")
    if name is not None and not _is_host(name):
        yield Fault((*key, "server_name"), quote(name), "write a host name without a dot at its end, or an IP address")
    if "server_name" not in given and "ca" in given:
        yield Fault(key, "a ca without a server_name", "name whom the certificate must be for")
    elif "server_name" not in given and "pins" not in given:
        right = "set server_name (its certificate is checked), or pins (its key is): nobody else is taken for it"
        yield Fault(key, "TLS to nobody in particular", right)
    elif "server_name" not in given and table.get("pins") == ():
        yield Fault((*key, "pins"), "no pins", "name one, or set server_name")
    for one, other in (("certificate", "key"), ("key", "certificate")):
        if one in given and other not in given:
            yield Fault(key, f"a {one} without a {other}", f"set `{other}` as well: mutual TLS needs both")


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _HOST.fullmatch(name) is not None
    return True


def _files(key: Key, table: Table, base: Path) -> Iterator[Fault]:
    # Imported here, because the ciphers are slow to load, and a gateway without TLS needs none.
    from certs.authorities import load_authorities
    from certs.chains import Chain, load_chain
    from certs.contexts import Identity, client_context
    from certs.errors import CertError
    from certs.keys import check_key

    def fault(name: str, error: CertError) -> Fault:
        where = f"{error.path}: " if error.path is not None else ""
        return Fault((*key, name), f"{where}{error.found}", error.remedy)

    ca, certificate, private = table.get("ca"), table.get("certificate"), table.get("key")
    if ca not in {None, SYSTEM}:
        try:
            load_authorities(base / ca)
        except CertError as error:
            yield fault("ca", error)
    chain: Chain | None = None
    if certificate is not None:
        try:
            chain = load_chain(base / certificate)
        except CertError as error:
            yield fault("certificate", error)
    if private is not None and chain is not None:
        try:
            check_key(base / private, chain)
        except CertError as error:
            yield fault("key", error)
            return
        try:
            client_context(by_name=False, identity=Identity(chain, base / private))
        except CertError as error:
            yield fault("certificate", error)
