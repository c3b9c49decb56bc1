"""The UDP side of a relay (SIP023): packets of clients for exits behind this one, and what those answer.

A relay can't tell a genuine packet from a replay, so it takes each client's address for a session of its own: whoever
replays a packet from elsewhere draws no answers away. When the table is full, a session that was never answered makes
room, as replays never are.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from proxy.egress.counters import ExitCounters
from proxy.egress.exit_account import Account
from proxy.egress.exit_flow import ExitFlow
from proxy.egress.exit_plan import ExitPlan, UserPlan
from proxy.egress.udp_door import Peer
from proxy.errors import ProtocolError, ProxyError, TunnelError
from proxy.protocol.identity import KeyTable
from proxy.protocol.relay import DatagramRelay
from proxy.values import Endpoint

IDLE = 61.0  # seconds; the exit behind this one remembers a session as long

Key = tuple[str, bytes, tuple[Any, ...]]  # the exit behind this one, the client's session ID, and its address


class _Session:
    def __init__(self, user: UserPlan, account: Account, now: float) -> None:
        self.user = user
        self.account = account
        self.last = now
        self.answered = False
        self.flow: ExitFlow | None = None


class RelayDatagrams:
    """Passes packets on. `send` sends one to a client, `account` and `rejected` are as in `ExitDatagrams`."""

    def __init__(
        self,
        plan: ExitPlan,
        hops: KeyTable,
        counters: ExitCounters,
        send: Callable[[bytes, Peer], bool],
        account: Callable[[UserPlan], Account],
        rejected: Callable[[str, ProxyError, UserPlan | None], None],
    ) -> None:
        self._plan = plan
        self._counters = counters
        self._send = send
        self._account = account
        self._rejected = rejected
        self._relay = DatagramRelay(plan.key, hops)
        self._sessions: OrderedDict[Key, _Session] = OrderedDict()  # that which was silent longest first
        self._clock = asyncio.get_running_loop().time

    def reload(self, plan: ExitPlan, hops: KeyTable) -> list[str]:
        """Follow another plan. Returns whose sessions ended, because their key or their exit is no longer in it."""
        self._plan = plan
        self._relay = DatagramRelay(plan.key, hops)
        ended = [key for key, session in self._sessions.items() if not plan.knows(session.user)]
        for key in ended:
            self._close(self._sessions.pop(key))
        return [name for name, _, _ in ended]

    def take(self, packet: bytes, peer: Peer) -> bool:
        """Whether the packet was for an exit behind this one; then it was passed on, or rejected."""
        try:
            hop, client, passed = self._relay.forward(packet)
        except ProtocolError:
            return False  # for us, or noise
        user = self._plan.users[hop.name]
        try:
            session = self._session((hop.name, client, peer.address), user, peer)
            if not session.account.may_pass(len(passed)):
                raise TunnelError(f"user {user.name} sends more than its rate", "user-rate")
        except TunnelError as error:
            self._rejected(str(peer.address[0]), error, user)
            return True
        for counters in (self._counters, session.account.counters):
            counters.datagrams_in += 1
            counters.bytes_in += len(passed)
        if session.flow is not None:
            session.flow.send(passed)
        return True

    def sweep(self) -> None:
        """Close what was silent for long."""
        while self._sessions and next(iter(self._sessions.values())).last <= self._clock() - IDLE:
            self._close(self._sessions.popitem(last=False)[1])

    def close(self) -> list[str]:
        """Close all. Returns whose sessions there were."""
        names = [name for name, _, _ in self._sessions]
        while self._sessions:
            self._close(self._sessions.popitem()[1])
        return names

    def _session(self, key: Key, user: UserPlan, peer: Peer) -> _Session:
        known = self._sessions.get(key)
        if known is None:
            self._make_room()
            account = self._account(user)
            account.open_association()
            known = self._sessions[key] = _Session(user, account, self._clock())
            self._counters.associations_total += 1
            self._counters.associations_open += 1
        if (known.flow is None or known.flow.closed) and user.relay is not None:
            known.flow = self._flow(known, user.relay, peer)
        known.last = self._clock()
        self._sessions.move_to_end(key)
        return known

    def _flow(self, session: _Session, relay: Endpoint, peer: Peer) -> ExitFlow:
        def answer(_: Endpoint, packet: bytes) -> None:
            session.answered = True
            if not session.account.may_pass(len(packet)):
                error = TunnelError(f"user {session.user.name} is sent more than its rate", "user-rate")
                self._rejected(str(peer.address[0]), error, session.user)
            elif self._send(packet, peer):
                for counters in (self._counters, session.account.counters):
                    counters.datagrams_out += 1
                    counters.bytes_out += len(packet)

        return ExitFlow(relay, answer, self._counters.rejects)

    def _make_room(self) -> None:
        """
        Raises:
            TunnelError: "associations-full".
        """
        if len(self._sessions) < self._plan.settings.associations:
            return
        self.sweep()
        unanswered = next((key for key, session in self._sessions.items() if not session.answered), None)
        if unanswered is not None:
            self._close(self._sessions.pop(unanswered))
        elif len(self._sessions) >= self._plan.settings.associations:
            raise TunnelError("the table of relayed UDP sessions is full", "associations-full")

    def _close(self, session: _Session) -> None:
        if session.flow is not None:
            session.flow.close()
        session.account.counters.associations_open -= 1
        self._counters.associations_open -= 1
