"""sing-box, one process for any number of servers and clients: the pieces of its configuration, and its launch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.values import Endpoint
from tests.support.peers import ChildProcess, require

Piece = dict[str, object]


def listener(kind: str, listen: Endpoint, **fields: object) -> Piece:
    """An inbound; its tag is its port."""
    host, port = listen.sockaddr
    return {"type": kind, "tag": f"in-{port}", "listen": host, "listen_port": port, **fields}


def shadowsocks_server(listen: Endpoint, method: str, password: str, users: Mapping[str, str] | None = None) -> Piece:
    """The far end of tunnels; `users` are passwords by name."""
    named = [{"name": name, "password": secret} for name, secret in (users or {}).items()]
    return listener("shadowsocks", listen, method=method, password=password, **({"users": named} if named else {}))


def shadowsocks_relay(listen: Endpoint, method: str, password: str, hops: Mapping[str, Endpoint]) -> Piece:
    """A relay to these servers, each by its password."""
    destinations = [
        {"name": str(to), "password": secret, "server": to.sockaddr[0], "server_port": to.port}
        for secret, to in hops.items()
    ]
    return listener("shadowsocks", listen, method=method, password=password, destinations=destinations)


def socks_server(listen: Endpoint, user: str = "", password: str = "") -> Piece:
    """A SOCKS5 server; without a user it asks for no authentication."""
    return listener("socks", listen, **({"users": [{"username": user, "password": password}]} if user else {}))


def local_port(listen: Endpoint, target: Endpoint) -> Piece:
    """A local port that leads to one target; `sing_box` says through which tunnel."""
    return listener("direct", listen, override_address=target.sockaddr[0], override_port=target.port)


def shadowsocks_client(server: Endpoint, method: str, password: str) -> Piece:
    """The near end of a tunnel."""
    host, port = server.sockaddr
    return {"type": "shadowsocks", "server": host, "server_port": port, "method": method, "password": password}


def sing_box(directory: Path, servers: Sequence[Piece], ways: Sequence[tuple[Piece, Piece]] = ()) -> ChildProcess:
    """`servers` lead out directly; `ways` are pairs of an inbound and the outbound that it leads to."""
    inbounds, outbounds, rules = list(servers), [Piece(type="direct", tag="direct")], []
    for inbound, outbound in ways:
        tag = f"out-{inbound['tag']}"
        inbounds.append(inbound)
        outbounds.append({**outbound, "tag": tag})
        rules.append({"inbound": inbound["tag"], "outbound": tag})
    configuration = directory / f"sing-box-{inbounds[0]['listen_port']}.json"
    configuration.write_text(
        json.dumps(
            {
                "log": {"level": "warn"},
                "inbounds": inbounds,
                "outbounds": outbounds,
                "route": {"rules": rules, "final": "direct"},
            }
        )
    )
    return ChildProcess(
        [require("sing-box"), "run", "-c", str(configuration)], configuration.with_suffix(".log"), name="sing-box"
    )
