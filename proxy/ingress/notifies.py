"""NOTIFY at the door: what the data plane let through is verified, handed on, and answered once.

```
data plane -> take -> TSIG holds? -> handed on -> one turn of the loop later: the answer
                         no -> NOTAUTH with BADKEY, BADSIG or BADTIME
```
The answer waits for the turn in which what was handed on has left for the supervisor: a worker that is killed right
after it has answered has lost nothing. Who could not be heard gets no answer, and sends again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import dns.name
import dns.rcode

from proxy.errors import ProtocolError
from proxy.protocol.notify import Notice, answer, check, read_notify
from proxy.protocol.tsig import KeyRing, TsigError
from proxy.settings import NotifySettings
from proxy.values import Emit, IPAddress, Network

HandOn = Callable[[Notice], bool]
"""Takes an accepted NOTIFY on its way; False when that is not possible now."""

Row = tuple[bytes, list[tuple[str, int]], list[bytes]]


Address = tuple[IPAddress, int]


JudgeNotify = Callable[[bytes, Address, Address, str], bytes | None]
"""Takes a NOTIFY of a client to an address of ours over a transport; the answer, None if it gets none."""


def unheard(_wire: bytes, _client: Address, _asked: Address, _transport: str) -> None:
    """What judges where NOTIFY is not taken."""


class NotifyDesk:
    """Verifies and hands on for one worker. `refused` counts what was not, by reason."""

    def __init__(
        self,
        settings: NotifySettings,
        hand_on: HandOn,
        emit: Emit,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Raises:
            ValueError: a key that is none.
        """
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self._hand_on = hand_on
        self._emit = emit
        self._clock = clock
        self._monotonic = monotonic
        self.configure(settings)

    def configure(self, settings: NotifySettings) -> None:
        """Go by these keys from now on.

        Raises:
            ValueError: a key that is none; those before stay.
        """
        self._keys = KeyRing(settings.tsig_keys)
        self._may_send = {
            _canonical(zone.name): (
                zone.senders(settings.primaries),
                {_canonical(key) for key in zone.key_names(settings.primaries)},
            )
            for zone in settings.zones
        }

    def judge(self, wire: bytes, client: Address, asked: Address, transport: str) -> bytes | None:
        """Take one NOTIFY; the answer to it, None if it is to get none."""
        now = int(self._clock())
        try:
            incoming = read_notify(wire, self._keys)
        except ProtocolError as error:
            self.refused[error.reason] += 1
            return None
        zone = _canonical(incoming.zone.to_text())
        signature = incoming.signature
        key = None if signature is None else _canonical(signature.owner.to_text())
        try:
            check(incoming, wire, now)
        except TsigError as error:
            self.refused[error.reason] += 1
            fields = {"zone": zone.removesuffix(".") or ".", "source": str(client[0]), "key": key, "error": str(error)}
            self._emit("notify.signature-refused", fields)
            return answer(incoming, now, error)
        if not self._may(zone, client[0], key):
            self.refused["not-allowed"] += 1
            return answer(incoming, now, rcode=dns.rcode.REFUSED)
        notice = Notice(
            zone=zone,
            serial=incoming.serial,
            client=(str(client[0]), client[1]),
            asked=(str(asked[0]), asked[1]),
            transport=transport,
            key=key,
            message=wire,
            at=self._monotonic(),
        )
        if not self._hand_on(notice):
            self.refused["not-handed-on"] += 1
            return None
        self.accepted += 1
        return answer(incoming, now)

    def _may(self, zone: str, source: IPAddress, key: str | None) -> bool:
        """Whether a NOTIFY whose signature holds is one that the zone takes: a key may be good for other zones only."""
        nobody: tuple[tuple[Network, ...], set[str]] = ((), set())
        prefixes, keys = self._may_send.get(zone, nobody)
        return key in keys or any(source in prefix for prefix in prefixes)


def _canonical(name: str) -> str:
    return dns.name.from_text(name).canonicalize().to_text()


def notify_rows(settings: NotifySettings) -> list[Row]:
    """Zones, prefixes and keys as the data plane takes them."""

    def wire(name: str) -> bytes:
        return dns.name.from_text(name).to_digestable()

    rows = []
    for zone in settings.zones:
        prefixes = [network.prefix for network in zone.senders(settings.primaries)]
        keys = [wire(key) for key in zone.key_names(settings.primaries)]
        rows.append((wire(zone.name), [(str(each.network_address), each.prefixlen) for each in prefixes], keys))
    return rows
