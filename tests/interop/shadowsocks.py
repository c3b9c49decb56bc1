"""Shadowsocks: each far end with each near end, by method, with one key and with users (SIP023), and through relays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from proxy.protocol.identity import supports_identity
from proxy.protocol.methods import METHODS
from tests.egress.ring import fresh_endpoint, fresh_key
from tests.interop.exchange import Trials, Way
from tests.interop.page import Section
from tests.interop.shadowsocks_ends import (
    Door,
    Far,
    client_key,
    far_ends,
    start_far_ends,
    start_near_ends,
)
from tests.interop.stage import stage
from tests.support.sing_box import shadowsocks_relay, sing_box

FAR = ("ss-server", "ssserver", "sing-box", "zonegate")
NEAR = ("ss-tunnel", "sslocal", "sing-box", "zonegate")
HEADINGS = ("far end", "method", "keys")
RELAYED = ("ssserver", "sing-box", "zonegate")
TEXT = """
Rows are far ends, columns near ends. ss-server and ss-tunnel are shadowsocks-libev, which has the edition of 2017 only;
ssserver and sslocal are shadowsocks-rust. Keys: "one" is a single key, "users" are several users behind one identity
key (SIP023). Each cell: over TCP SOA queries and 100 kB, there and back; over UDP SOA queries and a datagram of 1.2 kB
in one session. shadowsocks-go is not here: the proxy of Go modules did not give it to us. sing-box, which is, has an
implementation of its own.
"""
RELAYED_TEXT = """
Chains of keys (SIP023): the relay takes the first identity header off and passes the rest to the far end, which has one
key or several users. The relay is sing-box; shadowsocks-rust has none.
"""


async def direct(directory: Path) -> Section:
    """Near end and far end."""
    trials = Trials()
    async with stage(directory) as on:
        ends = {program: far_ends(program) for program in FAR}
        for program in FAR:
            await start_far_ends(on, program, ends[program])
        everyone = [end for program in FAR for end in ends[program]]
        ways: dict[tuple[Far, str], Way] = {}
        for near in NEAR:
            known = [end for end in everyone if near != "ss-tunnel" or METHODS[end.method].edition == 2017]
            started = start_near_ends(on, near, [Door(end.place, end.method, client_key(end)) for end in known])
            ways |= {(end, near): way for end, way in zip(known, started, strict=True)}
        await on.ready()
        rows = await asyncio.gather(*(_row(trials, end, [ways.get((end, near)) for near in NEAR]) for end in everyone))
    return Section("Shadowsocks", TEXT, (*HEADINGS, *NEAR), tuple(rows), tuple(trials.details))


async def relayed(directory: Path) -> Section:
    """Near end, relay and far end."""
    trials, nears = Trials(), NEAR[1:]
    async with stage(directory) as on:
        ends = [end for program in RELAYED for end in far_ends(program) if supports_identity(METHODS[end.method])]
        for program in RELAYED:
            await start_far_ends(on, program, [end for end in ends if end.program == program])
        relays, doors = [], []
        for end in ends:
            place, key = fresh_endpoint(), fresh_key(end.method)
            relays.append(shadowsocks_relay(place, end.method, key, {end.key: end.place}))
            doors.append(Door(place, end.method, f"{key}:{client_key(end)}"))
        on.start(sing_box(directory, relays), *(door.place for door in doors))
        columns = [start_near_ends(on, near, doors) for near in nears]
        await on.ready()
        rows = await asyncio.gather(*(_row(trials, end, ways) for end, *ways in zip(ends, *columns, strict=True)))
    title = "Shadowsocks through a relay"
    return Section(title, RELAYED_TEXT, (*HEADINGS, *nears), tuple(rows), tuple(trials.details))


async def _row(trials: Trials, end: Far, ways: Sequence[Way | None]) -> tuple[str, ...]:
    head = (end.program, end.method, "users" if end.users else "one")
    cells = [trials.cell(f"{' '.join(head)}, column {number}", way) for number, way in enumerate(ways, 1)]
    return (*head, *await asyncio.gather(*cells))
