"""Far and near ends of Shadowsocks tunnels, ours and those of others, started by the dozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.egress.service import EgressService
from proxy.egress.tunnels import make_tunnel
from proxy.protocol.identity import supports_identity
from proxy.protocol.methods import METHODS
from proxy.protocol.share_urls import shadowsocks_url
from proxy.protocol.tunnel_urls import TunnelHost
from proxy.settings import EgressSettings, Exit, ExitUser
from proxy.values import Destination, Endpoint, Secret
from tests.egress.ring import exit_status, fresh_endpoint, fresh_key, running, tunnel
from tests.interop.exchange import LocalPort, OurTunnel, Way
from tests.interop.stage import Stage
from tests.support.sing_box import local_port, shadowsocks_client, shadowsocks_server, sing_box
from tests.support.tunnels import libev_server, libev_tunnel, rust_servers, rust_tunnel


@dataclass(frozen=True, eq=False)
class Far:
    """One far end. `key` is its own, which is the identity key if it has `users`; those are keys by name."""

    program: str
    method: str
    key: str
    users: dict[str, str] = field(default_factory=dict)
    place: Endpoint = field(default_factory=fresh_endpoint)


@dataclass(frozen=True, slots=True)
class Door:
    """What a client is told: the key may be a chain."""

    place: Endpoint
    method: str
    key: str


def far_ends(program: str) -> list[Far]:
    """Those of a program: each method that it has, and again with two users where the method can have them."""
    ends = []
    for name, method in METHODS.items():
        if program == "ss-server" and method.edition != 2017:
            continue
        ends.append(Far(program, name, fresh_key(name)))
        if supports_identity(method):
            ends.append(Far(program, name, fresh_key(name), {user: fresh_key(name) for user in ("other", "node")}))
    return ends


def client_key(end: Far) -> str:
    """What a client of that end writes: its key, or the chain of its last user."""
    return ":".join([end.key, *list(end.users.values())[-1:]])


async def start_far_ends(stage: Stage, program: str, ends: Sequence[Far]) -> None:
    """Start the far ends of one program."""
    match program:
        case "ss-server":
            for end in ends:
                stage.start(libev_server(stage.directory, end.place, end.method, end.key), end.place)
        case "ssserver":
            listed = [(end.place, end.method, end.key, end.users) for end in ends]
            stage.start(rust_servers(stage.directory, listed), *(end.place for end in ends))
        case "sing-box":
            pieces = [shadowsocks_server(end.place, end.method, end.key, end.users) for end in ends]
            stage.start(sing_box(stage.directory, pieces), *(end.place for end in ends))
        case "zonegate":
            for end in ends:
                service = await stage.ending.enter_async_context(running(_exit(end, stage.target)))
                stage.ending.callback(_served_its_client, end, service)


def start_near_ends(stage: Stage, program: str, doors: Sequence[Door]) -> list[Way]:
    """Start the near ends of one program, one for each far end."""
    if program == "zonegate":
        return [OurTunnel(make_tunnel(tunnel("near", _url(door))), stage.target) for door in doors]
    places = [fresh_endpoint() for _ in doors]
    near = list(zip(places, doors, strict=True))
    match program:
        case "ss-tunnel" | "sslocal":
            launch = libev_tunnel if program == "ss-tunnel" else rust_tunnel
            for place, door in near:
                child = launch(stage.directory, place, door.place, stage.target, door.method, door.key)
                stage.start(child, place)
        case "sing-box":
            ways = [
                (local_port(place, stage.target), shadowsocks_client(door.place, door.method, door.key))
                for place, door in near
            ]
            stage.start(sing_box(stage.directory, [], ways), *places)
    return [LocalPort(place) for place in places]


def _exit(end: Far, target: Endpoint) -> EgressSettings:
    return EgressSettings(
        exit=Exit(
            listen=end.place,
            method=end.method,  # type: ignore[arg-type]  # METHODS has the names of the Literal
            key=Secret(end.key),
            users=tuple(ExitUser(name=name, key=Secret(key)) for name, key in end.users.items()),
            allow=(Destination.parse(f"{target.address}/32:{target.port}"),),
        )
    )


def _served_its_client(end: Far, service: EgressService) -> None:
    """Nothing was refused, and where there are users, all was that of the last."""
    status = exit_status(service)
    assert not status.rejects, f"our exit, {end.method}: {status.rejects}"
    assert status.associations_total, f"our exit, {end.method}, saw nobody"
    totals = {user.name: (user.streams_total, user.associations_total) for user in status.users}
    wanted = dict.fromkeys(end.users, (0, 0))
    wanted |= dict.fromkeys(list(end.users)[-1:], (status.streams_total, status.associations_total))
    assert totals == wanted, f"our exit, {end.method}"


def _url(door: Door) -> str:
    return shadowsocks_url(METHODS[door.method], door.key, TunnelHost(*door.place.sockaddr))
