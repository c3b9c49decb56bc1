"""The roles of the processes, and the one place that joins siblings: the filters' policy with the way in.

Each role imports only what it needs, because a worker that starts again must serve within a second.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gateway import ipc
from gateway.config.plain import read_plain
from gateway.errors import ChannelError
from gateway.wiring.process import Service, Tell
from proxy.values import Emit

if TYPE_CHECKING:
    from filters.policy import Surroundings
    from proxy.egress.fetch.lists import ListFetcher
    from proxy.egress.fetch.servers import ServerLists
    from proxy.egress.sockets import EgressSocket
    from proxy.settings import EgressSettings, IngressSettings, NotifySettings


def build_service(start: ipc.Start, emit: Emit, tell: Tell) -> Service:
    """The service of a role.

    Raises:
        ChannelError: the plan can't be read.
    """
    try:
        if isinstance(start.plan, ipc.IngressPlan):
            return Ingress(start, start.plan, emit, tell)
        return Transfer(start, start.plan, emit, tell)
    except ValueError as error:
        raise ChannelError(f"the plan can't be read: {error}") from error


class Ingress:
    """The role of an ingress worker: `proxy.ingress.worker` with the policy of the filters."""

    def __init__(self, start: ipc.Start, plan: ipc.IngressPlan, emit: Emit, tell: Tell) -> None:
        from dataplane import SharedMemory
        from filters.policy import compile_policy
        from filters.settings import FilterSettings
        from proxy.ingress.sockets import ListenerSocket
        from proxy.ingress.worker import IngressWorker
        from proxy.settings import IngressSettings, NotifySettings

        if start.memory is None:
            raise ValueError("an ingress worker without shared memory")
        sockets = [ListenerSocket(item.listener, item.transport, inherit(item.descriptor)) for item in start.sockets]
        settings = read_plain(IngressSettings, plan.settings)
        filters = read_plain(FilterSettings, plan.filters)
        notify = read_plain(NotifySettings, plan.notify)
        memory = SharedMemory.attach(start.memory)
        self._workers = memory.workers
        self._worker = IngressWorker(
            index=start.index,
            settings=settings,
            slots=plan.slots,
            health_zone=plan.health_zone,
            policy=compile_policy(filters, _around(settings, notify, plan, emit)),
            memory=memory,
            sockets=sockets,
            emit=emit,
            notify=notify,
            hand_on=lambda notice: tell(ipc.Notify(notice=notice)),
        )
        self._sample(filters.blocks.samples)
        if start.blocks is not None:
            self.block(start.blocks)

    async def start(self) -> None:
        """Open the doors."""
        await self._worker.start()

    async def reload(self, message: ipc.Reload) -> None:
        """Swap policy, backends and limits in one step."""
        from dataplane import Policy
        from filters.policy import compile_policy
        from filters.settings import FilterSettings
        from proxy.settings import IngressSettings, NotifySettings

        plan = message.plan
        if not isinstance(plan, ipc.IngressPlan):
            raise ChannelError("a plan of another role")

        def read() -> tuple[IngressSettings, FilterSettings, NotifySettings, Policy]:
            settings, filters = read_plain(IngressSettings, plan.settings), read_plain(FilterSettings, plan.filters)
            notify = read_plain(NotifySettings, plan.notify)
            return settings, filters, notify, compile_policy(filters, _around(settings, notify, plan))

        # In a thread: a long list of zones takes seconds, and queries don't wait for it.
        settings, filters, notify, policy = await asyncio.to_thread(read)
        self._worker.reload(settings, plan.slots, plan.health_zone, policy, notify)
        self._sample(filters.blocks.samples)

    def _sample(self, of_all: int) -> None:
        """Take our part of the samples of all workers: the supervisor has as many to look at however many we are."""
        self._worker.observation.set_samples(-(-of_all // self._workers))

    def block(self, blocks: ipc.Blocks) -> None:
        """Put these dynamic blocks in force."""
        self._worker.observation.set_blocks(blocks.serial, blocks.prefixes, blocks.names)

    def notify(self, message: ipc.Notify) -> None:
        """Nobody is told from here."""

    def samples(self) -> ipc.Samples:
        """What passed since the last call."""
        seen = self._worker.observation.take()
        return ipc.Samples(blocks=seen.blocks, hits=seen.hits, batches=seen.batches)

    async def drain(self, grace: float) -> None:
        """Answer what is in flight."""
        await self._worker.drain(grace)

    def status(self) -> dict[str, Any]:
        """`proxy.ingress.worker.WorkerStatus` as plain data."""
        return plain_status(self._worker.status())


def _around(
    settings: IngressSettings, notify: NotifySettings, plan: ipc.IngressPlan, emit: Emit | None = None
) -> Surroundings:
    """What the filters may name, with the lists opened.

    Raises:
        ValueError: a list can't be opened, and there is no `emit` to tell it to.
    """
    from dataplane import List
    from proxy.ingress.surroundings import surroundings

    lists: dict[str, List] = {}
    for name, file in plan.lists.items():
        try:
            lists[name] = List.open(Path(file))
        except (OSError, ValueError) as error:
            # A worker that starts has nothing else to go by, and better serves without than not at all.
            if emit is None:
                raise ValueError(f"list {name}: {error}") from error
            emit("list.failed", {"list": name, "error": str(error), "remedy": "it comes again with its next version"})
    around = surroundings(settings, plan.limits, plan.rules, notify)
    return msgspec.structs.replace(around, lists=lists, list_cells=plan.list_cells)


class Transfer:
    """The role of the transfer process: `proxy.egress.service`."""

    def __init__(self, start: ipc.Start, plan: ipc.TransferPlan, emit: Emit, tell: Tell) -> None:
        from gateway.wiring.started import process_started
        from proxy.egress.service import EgressService
        from proxy.settings import EgressSettings
        from proxy.transfer.fanout import Fanout

        settings = read_plain(EgressSettings, plan.settings)
        self._service = EgressService(
            settings=settings,
            sockets=_egress_sockets(start.sockets),
            emit=emit,
            base=Path(plan.base),
            since=process_started(),  # whoever served these sockets before was over by then
        )
        self._settings = settings
        self._plan = plan
        self._emit = emit
        self._fetcher: ListFetcher | None = None
        self._fanout = Fanout(
            emit=emit,
            ended=lambda number: tell(ipc.NotifyEnded(number=number)),
            reach=lambda name: (self._service.primary(name), self._service.route(name)),
        )
        self._servers: ServerLists | None = None

    async def start(self) -> None:
        """Open the doors."""
        if self._settings.tunnel_lists:
            await self._server_lists().recall(self._settings.tunnel_lists)
        await self._service.start()
        self._fetch(self._settings)
        self._fanout.configure(self._settings)

    def _server_lists(self) -> ServerLists:
        if self._servers is None:
            # Imported here, because most gateways have none.
            from proxy.egress.fetch.servers import ServerLists

            self._servers = ServerLists(
                folder=Path(self._plan.folder) / "tunnels",
                base=Path(self._plan.base),
                tunnel=self._service.tunnel,
                follow=self._service.take_servers,
                emit=self._emit,
            )
        return self._servers

    def _fetch(self, settings: EgressSettings) -> None:
        if settings.tunnel_lists or self._servers is not None:
            self._server_lists().configure(settings.tunnel_lists)
        if settings.lists and self._fetcher is None:
            # Imported here, because most gateways fetch nothing.
            from proxy.egress.fetch.lists import ListFetcher

            self._fetcher = ListFetcher(
                folder=Path(self._plan.folder),
                base=Path(self._plan.base),
                ways=self._service.ways,
                primary=self._service.primary,
                emit=self._emit,
            )
        if self._fetcher is not None:
            self._fetcher.configure(settings.lists, settings.primaries, settings.tsig_keys)

    async def reload(self, message: ipc.Reload) -> None:
        """Swap tunnels, primaries, forwarders and the exit."""
        from proxy.settings import EgressSettings

        if not isinstance(message.plan, ipc.TransferPlan):
            raise ChannelError("a plan of another role")
        settings = read_plain(EgressSettings, message.plan.settings)
        await self._service.reload(settings, _egress_sockets(message.sockets))
        self._fetch(settings)
        self._fanout.configure(settings)

    async def drain(self, grace: float) -> None:
        """Let what is open come to its end."""
        for fetcher in (self._fetcher, self._servers):
            if fetcher is not None:
                fetcher.stop()
        self._fanout.stop()
        await self._service.drain(grace)

    def status(self) -> dict[str, Any]:
        """`proxy.egress.status.EgressStatus` as plain data, and how the backends follow NOTIFY."""
        return plain_status(self._service.status()) | {"notify": plain_status(self._fanout.status())}

    def block(self, blocks: ipc.Blocks) -> None:
        """Queries don't pass here: there is nothing to block."""

    def notify(self, message: ipc.Notify) -> None:
        """Tell the backends of the zone."""
        self._fanout.take(message.number, message.notice)

    def samples(self) -> None:
        """Nor to sample."""


def _egress_sockets(sockets: Sequence[ipc.Socket]) -> list[EgressSocket]:
    from proxy.egress.sockets import EgressSocket
    from proxy.values import Endpoint

    return [
        EgressSocket(item.owner, Endpoint.parse(item.endpoint), item.transport, inherit(item.descriptor))
        for item in sockets
        if item.owner != "listener"
    ]


def inherit(descriptor: int) -> socket.socket:
    """The socket of an inherited descriptor."""
    inherited = socket.socket(fileno=descriptor)
    inherited.setblocking(False)
    return inherited


def plain_status(status: object) -> dict[str, Any]:
    """A status Struct as the plain data that travels."""
    plain: dict[str, Any] = msgspec.to_builtins(status, enc_hook=str)
    return plain
