"""The exit: the far end of Shadowsocks tunnels, TCP and UDP. It opens what its `allow` names, and resolves no names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from proxy.egress.counters import ExitCounters
from proxy.egress.crowd import Crowd
from proxy.egress.exit_account import Account
from proxy.egress.exit_datagrams import ExitDatagrams
from proxy.egress.exit_plan import SINGLE, ExitPlan, UserPlan
from proxy.egress.exit_strangers import Strangers
from proxy.egress.exit_stream import ExitStream
from proxy.egress.sockets import BACKLOG
from proxy.egress.sparse import SparseEmitter
from proxy.egress.status import ExitStatus
from proxy.errors import ProxyError
from proxy.values import Emit


class ExitServer:
    """Serves its sockets from `start` to `close`, and owns them."""

    def __init__(self, plan: ExitPlan, emit: Emit) -> None:
        self.plan = plan
        self._counters = ExitCounters()
        self._clock = asyncio.get_running_loop().time
        self._emit_all = emit
        self._emit = SparseEmitter(emit, self._clock)
        self._accounts: dict[str, Account] = {}
        self._streams: Crowd[ExitStream] = Crowd()
        self._strangers: Strangers[ExitStream] = Strangers()
        self._server: asyncio.Server | None = None
        self._datagrams: ExitDatagrams | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Begin to serve."""
        self._datagrams = ExitDatagrams(udp, self.plan, self._counters, self.account, self._reject)
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=tcp, backlog=BACKLOG)

    def reload(self, plan: ExitPlan) -> None:
        """New streams follow this plan; what is open goes on as it began, unless its key is no longer in the plan."""
        self.plan = plan
        plan.salts.users = len(plan.users)
        for name in self._accounts.keys() - plan.users.keys():
            del self._accounts[name]
        for name, account in self._accounts.items():
            account.follow(plan.users[name])
        self.revoke(plan, self._datagrams.reload(plan) if self._datagrams is not None else ())

    def revoke(self, plan: ExitPlan | None, sessions: Sequence[str] = ()) -> None:
        """Close the streams whose key is not in the plan, and tell; `sessions` names users whose UDP sessions ended.

        Without a plan there is no exit any more, and no key.
        """
        names = list(sessions)
        for stream in self._streams:
            if stream.user is not None and (plan is None or not plan.knows(stream.user)):
                names.append(stream.user.name)
                self._counters.rejects["key-revoked"] += 1
                stream.reset()
        if names:
            streams = len(names) - len(sessions)
            fields = {"streams": streams, "sessions": len(sessions), "users": ", ".join(sorted(set(names) - {SINGLE}))}
            self._emit_all("exit.keys-revoked", fields)

    def stop_accepting(self) -> None:
        """No new TCP connections; those that were no clients yet are closed."""
        if self._server is not None:
            self._server.close()
        for stream in self._strangers:
            stream.reset()

    def retire(self) -> None:
        """Nothing new, on neither transport; open streams go on to their end."""
        self.stop_accepting()
        if self._datagrams is not None:
            self._datagrams.close()

    @property
    def busy(self) -> bool:
        """Whether a stream is open."""
        return bool(len(self._streams))

    async def drained(self) -> None:
        """Return when no stream is open."""
        await self._streams.empty()

    def close(self) -> None:
        """Stop at once."""
        self.stop_accepting()
        for stream in self._streams:
            stream.reset()
        if self._datagrams is not None:
            self._datagrams.close()

    def status(self) -> ExitStatus:
        """The numbers now."""
        users = [self.account(user).counters.status() for name, user in self.plan.users.items() if name != SINGLE]
        return self._counters.status(
            listen=str(self.plan.settings.listen),
            handshakes=len(self._strangers),
            salts=len(self.plan.salts),
            users=tuple(users),
        )

    def account(self, user: UserPlan) -> Account:
        """The account of a user of the plan in force; one that came through an older plan has one of its own."""
        known = self._accounts.get(user.name)
        if known is None:
            known = Account(user, self._clock)
            if user.name in self.plan.users:
                self._accounts[user.name] = known
        return known

    def _accept(self) -> asyncio.Protocol:
        return ExitStream(self.plan, self._counters, self)

    def _reject(self, client: str, error: ProxyError, user: UserPlan | None = None) -> None:
        self._counters.rejects[error.reason] += 1
        fields = {"client": client, "reason": error.reason, "error": str(error)}
        if user is not None and user.name != SINGLE:
            self.account(user).counters.rejects[error.reason] += 1
            fields["user"] = user.name
        self._emit("exit.rejected", error.reason, fields)

    # What the connections report; see `exit_stream.Host`.

    def admit(self, stream: ExitStream) -> bool:
        """Make room, if need be, by the oldest connection that has not shown a key: of its address, or of all."""
        if self._strangers.count(stream.source) >= self.plan.settings.handshakes_per_address:
            self._make_room("too-many-handshakes", stream.source)
        if len(self._streams) >= self.plan.settings.connections and not self._make_room("too-many-connections"):
            return False
        self._streams.add(stream)
        self._strangers.add(stream, stream.source)
        self._counters.streams_open = len(self._streams)
        self._counters.streams_total += 1
        return True

    def proven(self, stream: ExitStream, user: UserPlan) -> Account:
        """It has shown that it knows the key of this user.

        Raises:
            TunnelError: "user-share".
        """
        account, total = self.account(user), len(self._streams) - len(self._strangers)
        account.check_share(account.counters.streams_open, total, self.plan.settings.connections, len(self.plan.users))
        self._strangers.discard(stream)
        return account

    def rejected(self, stream: ExitStream, error: ProxyError) -> None:
        """It was not served."""
        self._reject(stream.client, error, stream.user)

    def closed(self, stream: ExitStream) -> None:
        """It is over."""
        self._leave(stream)

    def _make_room(self, reason: str, source: str | None = None) -> bool:
        self._counters.rejects[reason] += 1
        oldest = self._strangers.oldest(source)
        if oldest is None:
            return False
        oldest.reset()
        self._leave(oldest)
        return True

    def _leave(self, stream: ExitStream) -> None:
        self._streams.discard(stream)
        self._strangers.discard(stream)
        self._counters.streams_open = len(self._streams)
