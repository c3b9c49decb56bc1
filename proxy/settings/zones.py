"""Settings of the zones whose changes the gateway follows: `[[zones]]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.ingress import Backend
from proxy.settings.keys import TsigKey
from proxy.settings.primaries import Primary
from proxy.values import Network


class ZoneNotify(Settings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """`[zones.notify]`: who may say that the zone has changed (NOTIFY, RFC 1996), and who is told."""

    from_: Annotated[
        tuple[Network, ...] | None,
        Meta(
            description="addresses that may send NOTIFY, signed or not; without it those of the zone's primaries; "
            "[]: nobody without a signature"
        ),
    ] = None
    keys: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="names of [[tsig_keys]]: NOTIFY that they sign may come from everywhere; without it those of "
            "the zone's primaries"
        ),
    ] = None
    backends: Annotated[
        tuple[Name, ...], Meta(description="backends that are told; with neither these nor pools, all are")
    ] = ()
    pools: Annotated[tuple[Name, ...], Meta(description="pools whose backends are told")] = ()
    give_up_after: Annotated[
        Seconds,
        Meta(description="a backend that has not followed for this long after the last NOTIFY is told no more"),
    ] = 3600.0


class Zone(Settings, frozen=True, kw_only=True):
    """`[[zones]]`: a served zone, and where it comes from."""

    name: Annotated[str, Meta(min_length=1, max_length=255, description="the zone; one of filters.zones, or below one")]
    primaries: Annotated[tuple[Name, ...], Meta(description="names of [[primaries]]")] = ()
    notify: ZoneNotify = ZoneNotify()

    def senders(self, primaries: Sequence[Primary]) -> tuple[Network, ...]:
        """The prefixes that NOTIFY may come from, where `primaries` are all that there are."""
        if self.notify.from_ is not None:
            return self.notify.from_
        return tuple(Network.parse(str(each.address.address)) for each in primaries if each.name in self.primaries)

    def key_names(self, primaries: Sequence[Primary]) -> tuple[str, ...]:
        """The keys that NOTIFY may be signed by."""
        if self.notify.keys is not None:
            return self.notify.keys
        mine = (each.tsig_key for each in primaries if each.name in self.primaries)
        return tuple(dict.fromkeys(name for name in mine if name is not None))

    def told(self, backends: Sequence[Backend]) -> tuple[Backend, ...]:
        """The backends that are told of a change, where `backends` are all that there are."""
        if not self.notify.backends and not self.notify.pools:
            return tuple(backends)
        pools = set(self.notify.pools)
        return tuple(
            each for each in backends if each.name in self.notify.backends or pools & set(each.pools or ("default",))
        )


class NotifySettings(Settings, frozen=True, kw_only=True):
    """What a worker needs to take NOTIFY; not a table of its own."""

    zones: tuple[Zone, ...] = ()
    primaries: tuple[Primary, ...] = ()
    tsig_keys: tuple[TsigKey, ...] = ()
