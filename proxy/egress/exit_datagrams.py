"""The UDP side of the exit: sessions of clients, each with a socket per target (SIP022 §3.2.4).

A session is known by its ID, not by where it comes from: answers go to where its last good packet came from, so a
client may roam. In the edition of 2017, which has no sessions, the client's address stands for one. A session is
remembered for 60 seconds behind its last packet, as its window is what keeps replays out. When the table is full, a
session that was silent so long makes room; else the newcomer is dropped. Once it is half full, no user gets more than
an equal share. The sessions of a user whose key was revoked
end at once, but are remembered as long.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from proxy.egress.counters import ExitCounters
from proxy.egress.exit_account import Account
from proxy.egress.exit_flow import ExitFlow
from proxy.egress.exit_plan import ExitPlan, UserPlan
from proxy.egress.exit_relay import RelayDatagrams
from proxy.egress.udp_door import Peer, UdpDoor
from proxy.errors import ProtocolError, ProxyError, TunnelError
from proxy.protocol.datagrams_2022 import UsersDatagrams2022
from proxy.protocol.editions import server_datagrams
from proxy.protocol.shadowsocks import ClientPacket, ServerDatagrams
from proxy.values import Endpoint

REMEMBER = 61.0  # seconds; SIP022 §3.2.4 says 60 at least. Why one more: `protocol.salts.KEEP`
SWEEP = 5.0  # seconds between two looks for old sessions
TARGETS = 16  # per session; a forwarder needs one

Key = bytes | tuple[Any, ...]
Rejected = Callable[[str, ProxyError, UserPlan | None], None]  # the client's address, why, and whose it was if known


class _Association:
    """A session."""

    def __init__(self, session: bytes, user: UserPlan, account: Account, peer: Peer, now: float) -> None:
        self.session = session
        self.user = user
        self.account = account
        self.peer = peer
        self.last = now
        self.flows: dict[Endpoint, ExitFlow] = {}

    def close(self) -> None:
        for flow in self.flows.values():
            flow.close()


class ExitDatagrams:
    """Serves one UDP socket, and owns it."""

    def __init__(
        self,
        sock: socket.socket,
        plan: ExitPlan,
        counters: ExitCounters,
        account: Callable[[UserPlan], Account],
        rejected: Rejected,
    ) -> None:
        self._plan = plan
        self._counters = counters
        self._account = account
        self._rejected = rejected
        self._codec = _codec(plan)
        self._loop = asyncio.get_running_loop()
        self._associations: OrderedDict[Key, _Association] = OrderedDict()  # that which was silent longest first
        self._door = UdpDoor(sock, self._receive, counters.rejects)
        self._relay = self._new_relay(plan)
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    def reload(self, plan: ExitPlan) -> list[str]:
        """Follow another plan. Sessions live on unless their key is no longer in it. Returns whose sessions ended."""
        before, self._plan = self._plan, plan
        if (plan.method, plan.key, plan.table is None) != (before.method, before.key, before.table is None):
            ended = [each.user.name for each in self._associations.values() if each.flows]
            self._close_associations()
            self._codec = _codec(plan)
            return ended + self._reload_relay(plan)
        if plan.table is not None and isinstance(self._codec, UsersDatagrams2022):
            self._codec.replace_users(plan.table)
        revoked = [each for each in self._associations.values() if each.flows and not plan.knows(each.user)]
        for association in revoked:
            association.close()
            association.flows.clear()
        return [each.user.name for each in revoked] + self._reload_relay(plan)

    def _new_relay(self, plan: ExitPlan) -> RelayDatagrams | None:
        if plan.hops is None:
            return None
        return RelayDatagrams(plan, plan.hops, self._counters, self._door.send, self._account, self._rejected)

    def _reload_relay(self, plan: ExitPlan) -> list[str]:
        if self._relay is None:
            self._relay = self._new_relay(plan)
            return []
        if plan.hops is not None:
            return self._relay.reload(plan, plan.hops)
        ended = self._relay.close()
        self._relay = None
        return ended

    def close(self) -> None:
        """Stop at once."""
        self._sweeper.cancel()
        self._door.close()
        self._close_associations()
        if self._relay is not None:
            self._relay.close()

    def _receive(self, packet: bytes, peer: Peer) -> None:
        if self._relay is not None and self._relay.take(packet, peer):
            return
        try:
            request = self._codec.open(packet, time.time())
        except ProtocolError as error:
            self._rejected(str(peer.address[0]), error, None)
            return
        user = self._plan.user(request.user)
        if user is not None:  # always: the table of keys is made of the users
            self._serve(request, user, peer)

    def _serve(self, request: ClientPacket, user: UserPlan, peer: Peer) -> None:
        key: Key = request.session or peer.address
        association = self._associations.get(key)
        try:
            target = self._plan.check_target(request.target, user)
            if association is None:
                association = self._new_association(key, request.session, user, peer)
            flow = self._flow(association, target)
            if not association.account.may_pass(len(request.payload)):
                raise TunnelError(f"user {user.name} sends more than its rate", "user-rate")
        except TunnelError as error:
            self._rejected(str(peer.address[0]), error, user)
            if association is None:
                self._codec.forget(request.session)
            return
        association.peer = peer
        self._touch(key, association)
        for counters in (self._counters, association.account.counters):
            counters.datagrams_in += 1
            counters.bytes_in += len(request.payload)
        flow.send(request.payload)

    def _new_association(self, key: Key, session: bytes, user: UserPlan, peer: Peer) -> _Association:
        if len(self._associations) >= self._plan.settings.associations:
            self._close_old()
        if len(self._associations) >= self._plan.settings.associations:
            raise TunnelError("the table of UDP sessions is full", "associations-full")
        account = self._account(user)
        own, room = account.counters.associations_open, self._plan.settings.associations
        account.check_share(own, len(self._associations), room, len(self._plan.users))
        account.open_association()
        association = self._associations[key] = _Association(session, user, account, peer, self._loop.time())
        self._counters.associations_total += 1
        self._counters.associations_open += 1
        return association

    def _flow(self, association: _Association, target: Endpoint) -> ExitFlow:
        known = association.flows.get(target)
        if known is not None and not known.closed:
            return known
        if known is None and len(association.flows) >= TARGETS:
            raise TunnelError(f"more than {TARGETS} targets in one UDP session", "too-many-targets")

        def answer(source: Endpoint, payload: bytes) -> None:
            if not association.account.may_pass(len(payload)):
                error = TunnelError(f"user {association.user.name} is sent more than its rate", "user-rate")
                self._rejected(str(association.peer.address[0]), error, association.user)
                return
            packet = self._codec.seal(association.session, source, payload, time.time())
            if self._door.send(packet, association.peer):
                for counters in (self._counters, association.account.counters):
                    counters.datagrams_out += 1
                    counters.bytes_out += len(payload)

        flow = association.flows[target] = ExitFlow(target, answer, self._counters.rejects)
        return flow

    def _touch(self, key: Key, association: _Association) -> None:
        association.last = self._loop.time()
        self._associations.move_to_end(key)

    def _sweep(self) -> None:
        self._close_old()
        if self._relay is not None:
            self._relay.sweep()
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    def _close_old(self) -> None:
        limit = self._loop.time() - REMEMBER
        while self._associations:
            key, oldest = next(iter(self._associations.items()))
            if oldest.last > limit:
                return
            del self._associations[key]
            self._close(oldest)

    def _close_associations(self) -> None:
        while self._associations:
            self._close(self._associations.popitem()[1])

    def _close(self, association: _Association) -> None:
        association.close()
        association.account.counters.associations_open -= 1
        self._codec.forget(association.session)
        self._counters.associations_open -= 1


def _codec(plan: ExitPlan) -> ServerDatagrams:
    """It knows no session of before, and so must refuse what was recorded before."""
    return server_datagrams(plan.method, plan.key, plan.since, plan.table)
