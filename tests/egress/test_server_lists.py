"""Server lists become tunnels: watched and fetched, kept over a restart, and bad ones that change nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import dns.message
import pytest

from filters.settings import FilterList
from proxy.egress.fetch.lists import ListFetcher
from proxy.egress.fetch.servers import ServerLists
from proxy.egress.listed import Listed, expand
from proxy.egress.service import EgressService
from proxy.egress.sockets import open_egress_sockets
from proxy.protocol.server_lists import ServerList, parse_server_list
from proxy.settings import EgressSettings, Forwarder, Primary, TunnelList
from proxy.values import Endpoint, Secret
from tests.egress.ring import Events, ask_tcp, ask_udp, exit_settings, fresh_endpoint, fresh_key, running
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.egress.test_list_fetch import HOST, through_exit, web
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
METHOD = "2022-blake3-aes-256-gcm"
ONE, TWO = UUID(int=1), UUID(int=2)


def server(identity: UUID, remarks: str, place: Endpoint, key: str, **more: object) -> dict[str, object]:
    where = {"server": str(place.address), "server_port": place.port, "password": key, "method": METHOD}
    return {"id": str(identity), "remarks": remarks, **where, **more}


def document(*servers: dict[str, object]) -> bytes:
    return json.dumps({"version": 1, "servers": servers}).encode()


def settings_of(primary: Endpoint, each: TunnelList) -> EgressSettings:
    return EgressSettings(
        tunnel_lists=(each,),
        primaries=(Primary(name="primary", address=primary, tunnels=(each.name,)),),
        forwarders=(Forwarder(listen=fresh_endpoint(), primary="primary"),),
    )


@asynccontextmanager
async def following(settings: EgressSettings, directory: Path, events: Events) -> AsyncIterator[EgressService]:
    """A service that follows its lists, as the transfer process has it."""
    service = EgressService(settings=settings, sockets=open_egress_sockets(settings), emit=events)
    lists = ServerLists(
        folder=directory / "state" / "lists" / "tunnels",
        base=directory,
        tunnel=service.tunnel,
        follow=service.take_servers,
        emit=events,
    )
    await lists.recall(settings.tunnel_lists)
    await service.start()
    lists.configure(settings.tunnel_lists)
    try:
        yield service
    finally:
        lists.stop()
        await service.drain(0)


def names(service: EgressService) -> list[str]:
    return [each.name for each in service.status().tunnels]


async def test_a_file_is_followed_and_state_goes_with_the_id(tmp_path: Path) -> None:
    key, file, events = fresh_key(METHOD), tmp_path / "servers.json", Events()
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        settings = settings_of(primary.endpoint, TunnelList(name="provider", file="servers.json"))
        listen = settings.forwarders[0].listen
        file.write_bytes(document(server(ONE, "Frankfurt", exit_.listen, key)))
        async with running(EgressSettings(exit=exit_)), following(settings, tmp_path, events) as service:
            assert names(service) == ["provider/Frankfurt"]
            assert await ask_tcp(listen, SOA) == soa_answer(SOA)
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
            renamed = server(ONE, "Frankfurt 2", exit_.listen, key)
            plugin = server(UUID(int=9), "odd", exit_.listen, key, plugin="v2ray-plugin")
            file.write_bytes(document(server(TWO, "Paris", fresh_endpoint(), key), renamed, plugin))
            await auntil(lambda: len(names(service)) == 2)
            assert names(service) == ["provider/Paris", "provider/Frankfurt"]
            assert service.status().tunnels[1].streams_total >= 1
            file.write_bytes(b'{"version": 1, "servers": []}')
            await auntil(lambda: events.named("tunnel-list.failed"))
            assert names(service) == ["provider/Paris", "provider/Frankfurt"]
            assert await ask_tcp(listen, SOA) == soa_answer(SOA)
    (told,) = [each for each in events.named("tunnel-list.taken") if each["left_out"]]
    assert (told["servers"], told["left_out"]) == (2, 1)
    assert "plugin" in str(told["first_left_out"])
    assert events.named("tunnel-list.failed")[0]["meanwhile"] == "the last good one stays"
    assert key not in repr(events.seen)
    (kept,) = (tmp_path / "state/lists/tunnels").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_the_last_good_list_serves_when_the_source_is_away(tmp_path: Path) -> None:
    key, file = fresh_key(METHOD), tmp_path / "servers.json"
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        settings = settings_of(primary.endpoint, TunnelList(name="provider", file="servers.json"))
        file.write_bytes(document(server(ONE, "Frankfurt", exit_.listen, key)))
        events = Events()
        async with following(settings, tmp_path, events):
            await auntil(lambda: events.named("tunnel-list.taken"))
        file.unlink()
        later = Events()
        async with running(EgressSettings(exit=exit_)), following(settings, tmp_path, later) as service:
            assert names(service) == ["provider/Frankfurt"]
            assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
            await auntil(lambda: later.named("tunnel-list.failed"))


async def test_a_primary_whose_list_was_never_there_has_no_way(tmp_path: Path) -> None:
    async with ScriptedPrimary() as primary:
        settings = settings_of(primary.endpoint, TunnelList(name="provider", file="servers.json"))
        events = Events()
        async with following(settings, tmp_path, events) as service:
            answer = dns.message.from_wire(await ask_udp(settings.forwarders[0].listen, SOA))
            assert answer.rcode() == dns.rcode.SERVFAIL
            assert names(service) == []
            await auntil(lambda: events.named("tunnel-list.failed"))
        assert primary.asked_udp == []
    assert events.named("tunnel-list.failed")[0]["meanwhile"] == "there is none: it holds no tunnel"


async def test_a_list_is_fetched_over_https_through_a_tunnel(tmp_path: Path) -> None:
    taken: list[int] = []

    async def follow(name: str, found: ServerList) -> None:
        taken.append(len(found.servers))

    async with web(tmp_path) as (site, place), through_exit(place) as service:
        site.body = document(server(ONE, "Frankfurt", fresh_endpoint(), fresh_key(METHOD)))
        url = f"https://{HOST}:{place.port}/servers.json"
        settings = TunnelList(name="web", url=Secret(url), tunnels=("t",), address=str(place.address), ca=f"{HOST}.crt")
        folder, events = tmp_path / "state" / "lists" / "tunnels", Events()
        lists = ServerLists(folder=folder, base=tmp_path, tunnel=service.tunnel, follow=follow, emit=events)
        lists.configure([settings])
        await auntil(lambda: taken)
        lists.stop()
        assert (folder / "web.servers").read_bytes() == site.body
        assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}
        again = ServerLists(folder=folder, base=tmp_path, tunnel=service.tunnel, follow=follow, emit=events)
        await again.recall([settings])
        assert taken == [1, 1]
        again.configure([settings])
        await auntil(lambda: len(site.asked) == 2)
        await asyncio.sleep(0)
        again.stop()
        assert events.named("tunnel-list.failed") == []
        assert taken == [1, 1]  # it had not changed
        added = ServerLists(folder=folder, base=tmp_path, tunnel=service.tunnel, follow=follow, emit=events)
        added.configure([settings])  # by a reload, while the source says that there is no news
        await auntil(lambda: len(site.asked) == 3)
        added.stop()
        assert taken == [1, 1, 1]


def test_names_stay_with_their_ids_and_never_clash() -> None:
    place, key, listed = fresh_endpoint(), fresh_key(METHOD), Listed()
    listed.take(parse_server_list(document(server(ONE, "a", place, key), server(TWO, "a", place, key))))
    assert list(listed.servers) == ["a", str(TWO)]
    listed.take(parse_server_list(document(server(TWO, "b", place, key), server(UUID(int=3), "a", place, key))))
    assert list(listed.servers) == [str(TWO), "a"]
    settings = settings_of(place, TunnelList(name="p", file="x", udp=False))
    expanded, addresses = expand(settings, {"p": listed})
    assert expanded.primaries[0].tunnels == (f"p/{TWO}", "p/a") == tuple(addresses)
    assert [each.udp for each in expanded.tunnels] == [False, False]


async def test_a_list_that_could_not_be_put_to_use_is_tried_again(tmp_path: Path) -> None:
    """Such as while the TLS files of a primary are being changed."""
    taken, events = list[str](), Events()

    async def follow(name: str, found: ServerList) -> None:
        taken.append(name)
        if len(taken) == 1:
            raise ValueError("TLS files that can't be read")

    (tmp_path / "servers.json").write_bytes(document(server(ONE, "Frankfurt", fresh_endpoint(), fresh_key(METHOD))))
    async with through_exit(fresh_endpoint()) as service:
        folder = tmp_path / "state" / "lists" / "tunnels"
        lists = ServerLists(folder=folder, base=tmp_path, tunnel=service.tunnel, follow=follow, emit=events)
        lists.configure([TunnelList(name="p", file="servers.json")])
        await auntil(lambda: events.named("tunnel-list.taken"))
        lists.stop()
    assert taken == ["p", "p"]
    assert len(events.named("tunnel-list.failed")) == 1


async def test_the_name_of_a_list_stands_for_its_tunnels_where_others_ask(tmp_path: Path) -> None:
    """As for a zone of lists that comes from a primary whose way is a server list."""
    file, key, events = tmp_path / "servers.json", fresh_key(METHOD), Events()
    file.write_bytes(document(*(server(UUID(int=n), f"s{n}", fresh_endpoint(), key) for n in (2, 1))))
    settings = settings_of(fresh_endpoint(), TunnelList(name="provider", file="servers.json"))
    zone = FilterList(name="rpz", primary="primary", zone="rpz.example", format="rpz")
    async with following(settings, tmp_path, events) as service:
        assert [each.counters.name for each in service.ways("provider")] == ["provider/s2", "provider/s1"]
        assert service.ways("provider/s1") == (service.tunnel("provider/s1"),)
        with pytest.raises(KeyError):
            service.ways("other")
        fetcher = ListFetcher(folder=tmp_path, base=tmp_path, ways=service.ways, primary=service.primary, emit=events)
        fetcher.configure([zone], settings.primaries)
        await auntil(lambda: events.named("list.failed"))
        fetcher.stop()
    assert events.named("list.tunnel-failed")[0]["tunnel"] == "provider/s2"
    assert "refused" in str(events.named("list.failed")[0]["error"])


async def test_the_url_of_a_list_is_as_secret_as_the_keys_in_it(tmp_path: Path) -> None:
    async with through_exit(fresh_endpoint()) as service:
        url = Secret("https://provider.example/planted-path?token=planted")
        settings = TunnelList(name="web", url=url, tunnels=("t",), address="192.0.2.1")
        folder, events = tmp_path / "state" / "lists" / "tunnels", Events()
        lists = ServerLists(folder=folder, base=tmp_path, tunnel=service.tunnel, follow=nobody, emit=events)
        lists.configure([settings])
        await auntil(lambda: events.named("tunnel-list.failed"))
        lists.stop()
    assert events.named("tunnel-list.failed")[0]["source"] == "https://provider.example/…"
    assert "planted" not in f"{events.seen} {settings}"


async def nobody(name: str, found: ServerList) -> None:
    """Follows no list."""
