"""The root of the configuration: every table of `zonegate.toml`, and the tables that belong to the control plane.

The classes are the schema: `gateway.config` reads the TOML by their fields, bounds and descriptions, and the starter
file is written from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from filters.settings import FilterSettings
from proxy.settings import (
    EgressSettings,
    Exit,
    Forwarder,
    IngressSettings,
    NotifySettings,
    Primary,
    SocksDoor,
    Transfers,
    TransparentDoor,
    TsigKey,
    Tunnel,
    TunnelList,
    Zone,
)
from proxy.values import Endpoint, Secret


class Settings(Struct, frozen=True, kw_only=True):
    """Base of every table of the control plane."""


class AdminSettings(Settings, frozen=True, kw_only=True):
    """`[admin]`: where operators and monitoring reach the gateway over HTTP."""

    address: Annotated[
        Endpoint,
        Meta(
            description="HTTP: /healthz, /readyz, /metrics, /status, /reload, /blocks, /top; off loopback with a token"
        ),
    ] = Endpoint.parse("127.0.0.1:8053")
    token: Annotated[
        Secret | None,
        Meta(description="bearer token for everything but /healthz, /readyz and (on loopback) /metrics"),
    ] = None


class LogSettings(Settings, frozen=True, kw_only=True):
    """`[log]`: what is written to standard error."""

    format: Annotated[Literal["console", "json"], Meta(description="for people, or one JSON object a line")] = "console"
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="the least that is written")] = (
        "info"
    )


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """`zonegate.toml`, whole."""

    version: Annotated[Literal[1], Meta(description="the edition of this format: `version = 1`")]
    state: Annotated[
        str | None,
        Meta(
            min_length=1,
            description="directory for what must survive a restart (lists, blocks), made when needed, mode 0700; "
            "default: $STATE_DIRECTORY, else `state` beside this file",
        ),
    ] = None
    ingress: IngressSettings | None = None
    filters: FilterSettings = FilterSettings()
    tunnels: tuple[Tunnel, ...] = ()
    tunnel_lists: tuple[TunnelList, ...] = ()
    tsig_keys: tuple[TsigKey, ...] = ()
    primaries: tuple[Primary, ...] = ()
    forwarders: tuple[Forwarder, ...] = ()
    socks_doors: tuple[SocksDoor, ...] = ()
    transparent_doors: tuple[TransparentDoor, ...] = ()
    zones: tuple[Zone, ...] = ()
    transfers: Transfers = Transfers()
    exit: Exit | None = None
    admin: AdminSettings = AdminSettings()
    log: LogSettings = LogSettings()

    @property
    def notify(self) -> NotifySettings:
        """What workers need to take NOTIFY."""
        if not self.zones:
            return NotifySettings()
        return NotifySettings(zones=self.zones, primaries=self.primaries, tsig_keys=self.tsig_keys)

    @property
    def egress(self) -> EgressSettings | None:
        """What the transfer process runs; None when no forwarder, door, exit, list to fetch or zone is configured."""
        lists = tuple(each for each in self.filters.lists if each.is_remote) if self.ingress is not None else ()
        # A zone without a way in has no NOTIFY to take and no backends to tell.
        zones = self.zones if self.ingress is not None else ()
        doors = self.forwarders or self.socks_doors or self.transparent_doors
        if not (doors or self.exit is not None or lists or zones):
            return None
        return EgressSettings(
            tunnels=self.tunnels,
            tunnel_lists=self.tunnel_lists,
            tsig_keys=self.tsig_keys,
            primaries=self.primaries,
            forwarders=self.forwarders,
            socks_doors=self.socks_doors,
            transparent_doors=self.transparent_doors,
            transfers=self.transfers,
            exit=self.exit,
            lists=lists,
            zones=zones,
            backends=self.ingress.backends if self.ingress is not None and zones else (),
        )
