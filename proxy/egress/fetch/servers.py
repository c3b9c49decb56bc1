"""Server lists (SIP008) that tunnels are made from: fetched in time or watched, checked, kept on disk, handed on.

    source ──▶ parse ──right──▶ NAME.servers, 0600, renamed into place ──▶ `follow`
                  └──wrong────▶ told; the last good one stays

At a start the last good one is taken before anything is asked for, so that a source that is away costs nothing.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from proxy.egress.fetch.body import Body, FetchError
from proxy.egress.fetch.lists import PATIENCE, pause, words
from proxy.egress.fetch.web import fetch_url
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.protocol.server_lists import MAX_BYTES, ServerList, parse_server_list
from proxy.settings import TunnelList
from proxy.values import Emit

LOOK = 1.0  # seconds from one look at a file to the next; it is read when it was the same twice

Version = tuple[int, int, int]  # inode, size, time of change


class ServerLists:
    """Runs on the loop from `configure` to `stop`. `tunnel` gives a tunnel by its name, `follow` takes a new list."""

    def __init__(
        self,
        *,
        folder: Path,
        base: Path,
        tunnel: Callable[[str], Tunnel],
        follow: Callable[[str, ServerList], Awaitable[None]],
        emit: Emit,
    ) -> None:
        self._folder = folder
        self._base = base
        self._tunnel = tunnel
        self._follow = follow
        self._emit = emit
        self._tasks: dict[TunnelList, asyncio.Task[None]] = {}
        self._followed: set[str] = set()  # lists of which the last good version is in use
        self._pending: set[str] = set()  # those whose last good version could not be put to use

    async def recall(self, lists: Sequence[TunnelList]) -> None:
        """Take the last good version of each, from before a restart; what is a file is read where it is."""
        for settings in lists:
            await self._recall(settings)

    async def _recall(self, settings: TunnelList) -> None:
        found = last_good(settings, self._folder, self._base)
        if found is not None:
            await self._hand_on(settings, found)

    async def _hand_on(self, settings: TunnelList, found: ServerList) -> None:
        self._followed.discard(settings.name)
        self._pending.add(settings.name)
        await self._follow(settings.name, found)
        self._pending.discard(settings.name)
        self._followed.add(settings.name)

    def configure(self, lists: Sequence[TunnelList]) -> None:
        """Look for news of these from now on. One that stays as it is keeps its time."""
        for known in self._tasks.keys() - set(lists):
            self._tasks.pop(known).cancel()
        for settings in lists:
            if settings not in self._tasks:
                work = self._watch(settings) if settings.file is not None else self._fetch_again(settings)
                self._tasks[settings] = asyncio.create_task(work, name=f"tunnel list {settings.name}")

    def stop(self) -> None:
        """Look no more."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _watch(self, settings: TunnelList) -> None:
        path = self._base / str(settings.file)
        used: Version | str | None = "nothing yet"
        last: Version | None = None
        first = True
        while True:
            version = _version(path)
            if (version != used and (version == last or first)) or settings.name in self._pending:
                used = version
                try:
                    await self._take(settings, _read(path))
                except Exception as error:
                    self._failed(settings, error)
            last, first = version, False
            await asyncio.sleep(LOOK)

    async def _fetch_again(self, settings: TunnelList) -> None:
        failures = 0
        while True:
            try:
                if settings.name not in self._followed:  # it came by a reload; the source may say that there is no news
                    await self._recall(settings)
                async with asyncio.timeout(PATIENCE):
                    await self._fetch(settings)
                failures = 0
            except Exception as error:  # whatever comes of what a source sends: it is tried again all the same
                failures += 1
                self._failed(settings, error)
            # Not all at once, when many gateways were started together.
            await asyncio.sleep(pause(failures, settings.refresh) * random.uniform(0.9, 1.0))  # noqa: S311 - no secret

    async def _fetch(self, settings: TunnelList) -> None:
        """Through the first tunnel that leads there."""
        _make(self._folder)
        body = Body(self._folder, settings.name, MAX_BYTES)
        ca = self._base / settings.ca if settings.ca is not None else None
        for left, name in reversed(list(enumerate(reversed(settings.tunnels)))):
            try:
                url, address = settings.url.reveal() if settings.url is not None else "", str(settings.address)
                new = await fetch_url(self._tunnel(name), url, address, ca, body, PATIENCE)
                if new or not self._kept(settings).exists():
                    await self._take(settings, _read(self._folder / f"{settings.name}.body"))
                return
            except (ProxyError, OSError) as error:
                if not left:
                    raise
                fields = {"list": settings.name, "tunnel": name, "error": str(error)}
                self._emit("tunnel-list.tunnel-failed", fields)

    async def _take(self, settings: TunnelList, document: bytes | None) -> None:
        if document is None:
            raise FetchError("there is no such file, or it can't be read")
        found = parse_server_list(document)
        _make(self._folder)
        _replace(self._kept(settings), document)
        await self._hand_on(settings, found)
        fields: dict[str, object] = {
            "list": settings.name,
            "servers": len(found.servers),
            "left_out": len(found.refused),
        }
        if found.refused:
            fields["first_left_out"] = f"{found.refused[0].name or found.refused[0].place}: {found.refused[0].reason}"
        self._emit("tunnel-list.taken", fields)

    def _failed(self, settings: TunnelList, error: Exception) -> None:
        text = f"not there within {PATIENCE:g} s" if isinstance(error, TimeoutError) else words(error)
        kept = self._kept(settings).exists()
        meanwhile = "the last good one stays" if kept else "there is none: it holds no tunnel"
        fields = {"list": settings.name, "source": _source(settings), "error": text, "meanwhile": meanwhile}
        self._emit("tunnel-list.failed", fields)

    def _kept(self, settings: TunnelList) -> Path:
        return _kept(self._folder, settings)


def last_good(settings: TunnelList, folder: Path, base: Path) -> ServerList | None:
    """The list as it stands in its file, or else the last good version that is kept in `folder`."""
    document = _read(base / settings.file) if settings.file is not None else None
    for content in (document, _read(_kept(folder, settings))):
        try:
            if content is not None:
                return parse_server_list(content)
        except ValueError:  # the running gateway tells of it; here the next one is tried
            continue
    return None


def _source(settings: TunnelList) -> str:
    """Where a list comes from, for people. Whoever knows the whole URL can have the keys in the list."""
    return f"https://{urlsplit(settings.url.reveal()).hostname}/…" if settings.url is not None else str(settings.file)


def _kept(folder: Path, settings: TunnelList) -> Path:
    return folder / f"{settings.name}.servers"


def _version(path: Path) -> Version | None:
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_ino, known.st_size, known.st_mtime_ns


def _read(path: Path) -> bytes | None:
    """The file, one byte longer than it may be at most; None if it can't be had."""
    try:
        if not path.is_file():  # a pipe would be waited for, maybe for ever
            return None
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        return None


def _make(folder: Path) -> None:
    folder.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _replace(path: Path, content: bytes) -> None:
    """Write it aside, readable by nobody else, for it holds keys; then rename it."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
