"""A tunnel whose far end is killed inside a transfer of several megabytes: nothing half is whole, the next brings it.

The far ends are processes (ss-server, ssserver, our own exit) that get SIGKILL when so many bytes have come through
them; behind that the kernel closes or resets, and nobody says good-bye. How long it takes until the first byte comes
through the next tunnel is recorded (`--junit-xml`), not asserted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.message
import pytest

from proxy.egress.service import EgressService
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings
from proxy.values import Endpoint
from tests.egress.ring import (
    Events,
    connection,
    exit_settings,
    forwarder_settings,
    fresh_endpoint,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, axfr_answer
from tests.ring import gateways
from tests.support import tunnels
from tests.support.peers import ChildProcess, auntil

AXFR = dns.message.make_query("example.com", "AXFR", id=2).to_wire()
METHOD = "2022-blake3-aes-128-gcm"
RECORDS = 150_000
PER_MESSAGE = 600
FAR_ENDS: dict[str, str] = {
    "ss-server": "chacha20-ietf-poly1305",
    "ssserver": "2022-blake3-aes-256-gcm",
    "zonegate": "2022-blake3-aes-128-gcm",
}


def large_zone() -> list[bytes]:
    """The messages of a zone of 3.6 MB."""
    first, last = axfr_answer(AXFR, records=1, per_message=2)
    head = first[:6] + PER_MESSAGE.to_bytes(2) + bytes(4) + AXFR[12:29]
    hosts = [
        b"\x07h%06d\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" % number + number.to_bytes(4) for number in range(RECORDS)
    ]
    middle = [head + b"".join(hosts[at : at + PER_MESSAGE]) for at in range(0, RECORDS, PER_MESSAGE)]
    return [first, *middle, last]


ZONE = large_zone()
WIRE = b"".join(map(frame, ZONE))


@contextmanager
def far_end(name: str, directory: Path, listen: Endpoint, key: str, primary: Endpoint) -> Iterator[ChildProcess]:
    """The far end as a process."""
    method = FAR_ENDS[name]
    with ExitStack() as stack:
        if name == "zonegate":
            allow = f"{primary.address}/32:{primary.port}"
            text = f'[exit]\nlisten = "{listen}"\nmethod = "{method}"\nkey = "{key}"\nallow = ["{allow}"]\n'
            yield stack.enter_context(gateways.running(directory, text)).child
        else:
            start: Callable[..., ChildProcess] = tunnels.libev_server if name == "ss-server" else tunnels.rust_server
            yield stack.enter_context(tunnels.listening(start(directory, listen, method, key), listen))


def kill(process: ChildProcess) -> None:
    """With all that it has started itself: our exit is a child of its supervisor."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)


class Held:
    """A primary that holds its first answer back behind so many bytes."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.tries = 0

    def act(self, query: bytes, transport: asyncio.Transport) -> None:
        self.tries += 1
        transport.write(WIRE[: self.kept] if self.tries == 1 else WIRE)


async def take(reader: asyncio.StreamReader, times: list[float], wanted: int = len(WIRE)) -> bytes:
    """What comes until the end, or until all is there; notes when the first of it came."""
    got = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while len(got) < wanted and (data := await reader.read(1 << 18)):
            times.append(asyncio.get_running_loop().time())
            got += data
    return bytes(got)


@pytest.mark.parametrize("kept", [0, 40, 300_000, len(WIRE) - 20])
@pytest.mark.parametrize("name", FAR_ENDS)
async def test_a_tunnel_killed_inside_a_transfer(
    name: str, kept: int, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    held, key, victim, spare_key = Held(kept), fresh_key(FAR_ENDS[name]), fresh_endpoint(), fresh_key(METHOD)
    if not FAR_ENDS[name].startswith("2022"):
        key = "correct-horse-battery"
    async with ScriptedPrimary(act=held.act) as primary:
        spare = exit_settings(METHOD, spare_key, [primary.endpoint])
        ways = [
            tunnel("victim", ss_url(FAR_ENDS[name], key, victim)),
            tunnel("spare", ss_url(METHOD, spare_key, spare.listen)),
        ]
        settings, events = forwarder_settings(ways, primary.endpoint, answer_timeout=20.0), Events()
        with far_end(name, tmp_path, victim, key, primary.endpoint) as process:
            async with running(EgressSettings(exit=spare)), running(settings, events) as near:
                seconds = await killed(near, settings.forwarders[0].listen, held, process)
                record_testsuite_property(f"{name} {kept} seconds to first byte", round(seconds, 3))
                await auntil(lambda: events.named("transfer.accepted"))
                assert [each["tunnel"] for each in events.named("transfer.accepted")] == ["spare"]


async def killed(near: EgressService, place: Endpoint, held: Held, process: ChildProcess) -> float:
    """Ask for the zone, kill the far end, and get the zone; seconds from the kill to its first byte."""
    times = list[float]()
    async with connection(place) as (reader, writer):
        writer.write(frame(AXFR))
        taking = asyncio.create_task(take(reader, times))
        await auntil(lambda: held.tries == 1 and near.status().tunnels[0].bytes_in >= held.kept, 20)
        before = len(times)
        kill(process)
        began = asyncio.get_running_loop().time()
        got = await taking
    if held.kept < len(frame(ZONE[0])):
        assert got == WIRE  # the node has noticed nothing
        return times[before] - began
    assert WIRE.startswith(got)
    assert len(got) <= len(WIRE) - len(frame(ZONE[-1]))
    async with connection(place) as (reader, writer):
        writer.write(frame(AXFR))
        times.clear()
        assert await take(reader, times) == WIRE
    return times[0] - began
