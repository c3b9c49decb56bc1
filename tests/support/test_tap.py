"""The tap hears what passes, by kinds, and changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.roles import Key, Primary, Secondary
from gateway.lab.zones import LabZone
from tests.support.peers import auntil
from tests.support.tap import tapped
from tests.support.zones import content, parsed, serial

ZONE = LabZone("tapped.example", hosts=2000)


async def test_what_passes_is_heard_by_its_kind(tmp_path: Path) -> None:
    key = Key.generate("tapped-key")
    async with (
        Builtin(Primary({ZONE.name: ZONE.text(1, "one")}, key=key), tmp_path / "primary") as primary,
        tapped(primary.endpoint) as tap,
        Builtin(Secondary((ZONE.name,), tap.endpoint, key), tmp_path / "node") as node,
    ):
        for number, kinds in ((1, {"axfr"}), (2, {"ixfr"})):
            if number > 1:
                primary.publish(ZONE.name, ZONE.text(number, "two"))

            async def follows(wanted: int = number) -> bool:
                return await asyncio.to_thread(serial, node.endpoint, ZONE.name) == wanted

            await auntil(follows)
            assert tap.transfers(ZONE.name, number) == kinds
        held = await asyncio.to_thread(content, node.endpoint, ZONE.name)
        assert held == parsed(ZONE.text(2, "two"), ZONE.name)
        assert tap.transfers("other.example", 1) == set()
