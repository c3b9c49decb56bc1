"""Settings of PROXY headers that can't work: a header that a transport does not have, or that anyone may send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.config.problems import Key
from gateway.config.reader import Fault, Table
from proxy.settings import Backend, Listener, ProxyIn, ProxyOut

_OVER = {"v1": ("tcp",), "v2": ("udp", "tcp"), "spp": ("udp",), "spectrum": ("udp",)}
"""The transports that a header exists for."""


def proxy_checks(tables: Mapping[Key, Table]) -> Iterator[Fault]:
    """The faults of all listeners and backends."""
    for key, table in tables.items():
        if table.kind is Listener:
            header = tables.get((*key, "proxy_protocol"), Table(ProxyIn, {"accept": "off"}))
            yield from _listener((*key, "proxy_protocol"), table.get("transports") or (), header)
        elif table.kind is Backend:
            header = tables.get((*key, "proxy_protocol"), Table(ProxyOut, {}))
            yield from _backend((*key, "proxy_protocol"), header)


def _listener(key: Key, transports: tuple[str, ...], header: Table) -> Iterator[Fault]:
    accept, used = header.get("accept"), set()
    for transport in ("udp", "tcp"):
        own = header.get(transport)
        if transport not in transports:
            if own not in {None, "off"}:
                right = f"the listener has no {transport}: remove this, or add it to transports"
                yield Fault((*key, transport), f'"{own}"', right)
        elif own is not None:
            used.add(own)
        elif accept not in {None, "off"} and transport not in _OVER[accept]:
            choice = '"v2" or "off"'
            right = f"{accept} is for {_OVER[accept][0]} only; add {transport} = {choice}, or take it from transports"
            yield Fault((*key, "accept"), f'"{accept}"', right)
        else:
            used.add(accept)
    used -= {None, "off"}
    if not used:
        return
    if header.get("from") == ():
        right = 'name the proxies, such as ["192.0.2.0/24"]: whoever may send a header can be any client'
        yield Fault((*key, "from"), "nobody", right)
    if header.get("required") is False and used & {"spp", "spectrum"}:
        right = "leave it out: without a header nothing tells a client from what its proxy sends"
        yield Fault((*key, "required"), f"false with {' and '.join(sorted(used & {'spp', 'spectrum'}))}", right)


def _backend(key: Key, header: Table) -> Iterator[Fault]:
    udp, tcp, health = header.get("udp"), header.get("tcp"), header.get("health")
    if health == "local" and udp in {"off", "spp"}:
        right = 'write udp = "v2", which alone has LOCAL, or health = "plain": checks go over UDP'
        yield Fault((*key, "health"), f'"local" with udp = "{udp}"', right)
    if health == "proxy" and udp == "off":
        right = 'write udp = "v2" or "spp", or health = "plain": checks go over UDP'
        yield Fault((*key, "health"), '"proxy" with udp = "off"', right)
    if header.get("crc") and udp in {"off", "spp"} and tcp in {"off", "v1"}:
        yield Fault((*key, "crc"), "true without v2", 'only v2 has a checksum: write udp = "v2" or tcp = "v2"')
