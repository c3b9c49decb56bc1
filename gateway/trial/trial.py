"""One policy of a configuration file, with shared memory of its own: nothing that runs is touched."""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from dataplane import Explanation, List, SharedMemory
from filters.errors import FilterError
from filters.limits import limit_names
from filters.lists import reading
from filters.policy import compile_policy
from filters.settings import FilterList
from gateway.config import load
from gateway.config.directory import state_directory
from gateway.lists.keeper import FOLDER
from gateway.trial.messages import Asker, Message
from gateway.trial.outcome import Outcome, reply_words
from proxy.ingress.surroundings import surroundings
from proxy.settings import IngressSettings


class TrialError(Exception):
    """The policy can't be tried; with the remedy."""


class Trial:
    """A policy to be tried. `remarks` say what of it could not be had."""

    def __init__(self, path: Path) -> None:
        """Load the configuration file.

        Raises:
            ConfigError: it is wrong.
            TrialError: it has no way in, can't be compiled, or there is no memory for its tables.
        """
        loaded = load(path)
        if loaded.settings.ingress is None:
            raise TrialError(f"{path} has no [ingress]: there is no policy to try; write listeners and backends")
        self.path = path
        self.warnings = loaded.warnings
        self.ingress: IngressSettings = loaded.settings.ingress
        self.filters = loaded.settings.filters
        self.remarks: list[str] = []
        # The address the gateway listens on, and what this door allows; where nothing fits, the first one counts.
        self._doors: dict[tuple[str, str, int], tuple[int, list[str], bool]] = {}
        lists = self._open(state_directory(loaded.settings.state, path))
        around = msgspec.structs.replace(surroundings(self.ingress, notify=loaded.settings.notify), lists=lists)
        self._pools = ("default", *around.pools)
        try:
            self._policy = compile_policy(self.filters, around)
        except FilterError as error:
            raise TrialError(f"{path}: {error}") from None
        self.limits = limit_names(self.filters.rate_limits)
        try:
            self._memory = SharedMemory.create(1, self.filters.table_size)
        except OSError as error:
            raise TrialError(f"{path}: no memory for filters.table_size: {error.strerror}") from None

    def _open(self, state: Path) -> Mapping[str, List]:
        opened = {}
        with tempfile.TemporaryDirectory(prefix="zonegate-") as folder:
            for each in self.filters.lists:
                try:
                    if each.is_remote:
                        opened[each.name] = List.open(state / FOLDER / f"{each.name}.list")
                    else:
                        opened[each.name] = self._build(each, Path(folder) / f"{each.name}.list")
                except (OSError, ValueError, FilterError) as error:
                    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                    copy = "its last good copy can't be read" if each.is_remote else "it can't be read"
                    self.remarks.append(f"list {each.name} is left out: {copy}: {why}")
        return opened

    def _build(self, each: FilterList, into: Path) -> List:
        source = self.path.parent / str(each.file)
        garbage = List.build(source, into, reading(each), 0)[2]
        if garbage:
            self.remarks.append(f"list {each.name}: {garbage:,} lines were skipped")
        return List.open(into)

    @property
    def memory_size(self) -> int:
        """What the compiled policy takes in memory, about."""
        return self._policy.memory_size

    def judge(self, message: Message) -> Explanation:
        """What is decided about a message, and why."""
        asker = message.asker
        transport, source, port, local, local_port, server_name, tlvs = asker
        number, allow, _ = self.door(asker)
        return self._policy.explain(
            message.wire,
            (transport, (source, port), (local, local_port), allow),
            memory=self._memory,
            now=message.clock,
            unix=message.unix,
            listener=number,
            server_name=server_name,
            tlvs=tlvs,
        )

    def door(self, asker: Asker) -> tuple[int, list[str], bool]:
        """The number of the listener that gets a message, what it allows, and whether it is really that one's."""
        key = (asker.transport, asker.local, asker.local_port)
        found = self._doors.get(key)
        if found is None:
            found = self._find_door(asker)
            if len(self._doors) < 4096:  # a capture may have any number of addresses
                self._doors[key] = found
        return found

    def _find_door(self, asker: Asker) -> tuple[int, list[str], bool]:
        local = ipaddress.ip_address(asker.local)
        kind = "udp" if asker.transport == "udp" else "tcp"
        wild = None
        for number, listener in enumerate(self.ingress.listeners):
            ours = listener.address
            if ours.port != asker.local_port or kind not in listener.transports:
                continue
            if ours.address == local:
                return number, list(listener.allow), True
            if ours.address.is_unspecified and (ours.address.version == local.version or ours.address.version == 6):
                wild = number
        if wild is not None:
            return wild, list(self.ingress.listeners[wild].allow), True
        return 0, list(self.ingress.listeners[0].allow), False

    def outcome(self, told: Explanation) -> Outcome:
        """The decision in words, and what it was by."""
        if told.reason == "notify":
            words = "tell the backends of the zone, and reply"
        elif told.verdict == "reply":
            words = f"reply {reply_words(told.reply)}" if told.reply else "reply"
        elif told.verdict == "forward":
            words = "".join(
                (
                    "forward",
                    f" to pool {self._pools[told.pool]}" if told.pool else "",
                    f" after {told.delay} ms" if told.delay else "",
                    ", with a copy" if told.mirror else "",
                )
            )
        else:
            words = told.verdict
        return Outcome(words, told.reason, self._by(told))

    def _by(self, told: Explanation) -> str:
        """Which rule, list or limit decided."""
        name, what = told.rules[-1] if told.rules else ("", "")
        if told.reason == "listed" and told.listed is not None:
            return f"list {self.filters.lists[told.listed].name}"
        if told.reason == "rate-limited" and told.over_limits:
            return f"limit {self.limits[told.over_limits[-1]]}"
        if told.reason in ("rule", "rate-limited") and told.rules:
            return f"rule {name}"
        return f"rule {name}" if told.verdict == "forward" and what in ("allow", "route") else ""
