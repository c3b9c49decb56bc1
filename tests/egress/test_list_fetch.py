"""Sources of lists through tunnels: HTTPS with a CA of the test through our exit, RPZ from BIND through ss-server."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dataplane import List
from filters.lists import reading
from filters.settings import FilterList
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.roles import Primary as PrimaryRole
from gateway.lab.servers.roles import ServerTls
from proxy.egress.fetch.lists import ListFetcher, pause
from proxy.egress.service import EgressService
from proxy.egress.tunnel import Tunnel
from proxy.settings import EgressSettings, Primary, PrimaryTls
from proxy.values import Endpoint
from tests.egress.ring import Events, exit_settings, fresh_endpoint, fresh_key, running, ss_url, tunnel
from tests.support import tunnels
from tests.support.certificates import Authority
from tests.support.peers import auntil

METHOD = "2022-blake3-aes-256-gcm"
HOST = "lists.example"
RPZ = """\
$TTL 60
@ SOA ns.rpz.example. hostmaster.rpz.example. {serial} 3600 600 86400 60
@ NS ns.rpz.example.
ns A 127.0.0.1
{name} CNAME .
24.0.2.0.192.rpz-client-ip CNAME rpz-drop.
"""


def certificate(directory: Path, host: str) -> tuple[Path, Path]:
    """A certificate of its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = directory / f"{host}.crt", directory / f"{host}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


class Web:
    """A small TLS server: what it was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.body = b"bad.example\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; the version that the client has already is not sent again."""
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(request)
        tag = f'"{len(self.body)}"'
        if f"If-None-Match: {tag}" in request:
            writer.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        else:
            head = f"HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {len(self.body)}\r\n\r\n"
            writer.write(head.encode() + self.body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def web(directory: Path) -> AsyncIterator[tuple[Web, Endpoint]]:
    """The server at an address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(directory, HOST))
    site, place = Web(), fresh_endpoint()
    server = await asyncio.start_server(site.serve, *place.sockaddr, ssl=context)
    try:
        yield site, place
    finally:
        server.close()


@asynccontextmanager
async def through_exit(*allow: Endpoint) -> AsyncIterator[EgressService]:
    """A service with the tunnel `t`, which ends at an exit of our own that opens these addresses."""
    key, far = fresh_key(METHOD), fresh_endpoint()
    ends = exit_settings(METHOD, key, allow, far)
    settings = EgressSettings(tunnels=(tunnel("t", ss_url(METHOD, key, far)),), exit=ends)
    async with running(settings) as service:
        yield service


def web_list(place: Endpoint, **more: object) -> FilterList:
    url = f"https://{HOST}:{place.port}/abuse.txt"
    given = {"name": "web", "url": url, "tunnels": ("t",), "address": str(place.address), "ca": f"{HOST}.crt", **more}
    return FilterList(action="drop", **given)  # type: ignore[arg-type]  # the fields of a list


def fetcher(folder: Path, service: EgressService, events: Events) -> ListFetcher:
    return ListFetcher(folder=folder, base=folder, ways=service.ways, primary=service.primary, emit=events)


async def test_a_list_is_fetched_over_https_through_the_exit_and_only_when_it_changed(tmp_path: Path) -> None:
    events = Events()
    async with web(tmp_path) as (site, place), through_exit(place) as service:
        for fetched, asked in [(1, 1), (1, 2)]:  # the second one is another process, after a restart
            running_one = fetcher(tmp_path, service, events)
            running_one.configure([web_list(place)], [])
            await auntil(lambda wanted=asked: len(site.asked) == wanted, what="a request")  # type: ignore[misc]
            await auntil(lambda wanted=fetched: len(events.named("list.fetched")) == wanted, what="it")  # type: ignore[misc]
            running_one.stop()
        assert (tmp_path / "web.body").read_bytes() == site.body
        assert f"Host: {HOST}:{place.port}" in site.asked[0]
        assert "If-None-Match" not in site.asked[0]
        assert 'If-None-Match: "12"' in site.asked[1]
        assert not events.named("list.failed")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"ca": "other.example.crt"}, "self-signed certificate"),
        ({"url": "https://other.example:{port}/"}, "Hostname mismatch"),
        ({"max_bytes": 1024}, "longer than max_bytes"),
    ],
)
async def test_what_is_not_the_host_or_too_long_is_refused_with_its_reason(
    tmp_path: Path, more: dict[str, object], why: str
) -> None:
    events = Events()
    certificate(tmp_path, "other.example")
    async with web(tmp_path) as (site, place), through_exit(place) as service:
        site.body = b"x" * 5000
        given = {key: value.format(port=place.port) if isinstance(value, str) else value for key, value in more.items()}
        one = fetcher(tmp_path, service, events)
        one.configure([web_list(place, **given)], [])
        await auntil(lambda: bool(events.named("list.failed")), what="the failure")
        one.stop()
        assert why in str(events.named("list.failed")[0]["error"])
        assert not (tmp_path / "web.body").exists()
        assert not (tmp_path / "web.part").exists()


async def test_an_exit_that_may_not_open_it_is_a_failure_and_nothing_goes_directly(tmp_path: Path) -> None:
    events = Events()
    async with web(tmp_path) as (site, place), through_exit(fresh_endpoint()) as service:
        one = fetcher(tmp_path, service, events)
        one.configure([web_list(place)], [])
        await auntil(lambda: bool(events.named("list.failed")), what="the failure")
        one.stop()
        assert site.asked == []


async def test_a_response_policy_zone_is_transferred_from_bind_through_ss_server(tmp_path: Path) -> None:
    events, far, key = Events(), fresh_endpoint(), fresh_key("aes-256-gcm")
    role = PrimaryRole({"rpz.example": RPZ.format(serial=1, name="bad.example")})
    with (
        Bind(role, tmp_path / "bind") as primary,
        tunnels.listening(tunnels.libev_server(tmp_path, far, "aes-256-gcm", key), far),
    ):
        primaries = (Primary(name="p", address=primary.endpoint, tunnels=("t",)),)
        settings = EgressSettings(tunnels=(tunnel("t", ss_url("aes-256-gcm", key, far)),), primaries=primaries)
        wanted = FilterList(name="rpz", primary="p", zone="rpz.example", format="rpz")
        async with running(settings) as service:
            one = fetcher(tmp_path, service, events)
            one.configure([wanted], primaries)
            body = tmp_path / "rpz.body"
            await auntil(body.exists, what=f"the zone: {events.seen}")
            one.stop()
        names, prefixes, garbage, _, triggers, local = List.build(body, None, reading(wanted), 0)
        assert (names, prefixes, garbage, triggers, local) == (1, 1, 0, 0, 1)
        assert not events.named("list.failed")


async def test_a_response_policy_zone_comes_over_tls_from_a_primary_that_has_it(tmp_path: Path) -> None:
    """BIND, which transfers over TLS alone."""
    events, door, shown = Events(), fresh_endpoint(), Authority(tmp_path).issue("ns.primary.example")
    zones = {"rpz.example": RPZ.format(serial=1, name="bad.example")}
    role = PrimaryRole(zones, tls=ServerTls(door, shown.file, shown.key))
    tls = PrimaryTls(server_name="ns.primary.example", ca="authority.pem")
    primaries = (Primary(name="p", address=door, tunnels=("t",), tls=tls),)
    wanted = FilterList(name="rpz", primary="p", zone="rpz.example", format="rpz")
    key, far = fresh_key(METHOD), fresh_endpoint()
    settings = EgressSettings(
        tunnels=(tunnel("t", ss_url(METHOD, key, far)),),
        primaries=primaries,
        exit=exit_settings(METHOD, key, [door], far),
    )
    with Bind(role, tmp_path / "bind"):
        async with running(settings, base=tmp_path) as service:
            one = fetcher(tmp_path, service, events)
            one.configure([wanted], primaries)
            body = tmp_path / "rpz.body"
            await auntil(body.exists, what="the zone")
            one.stop()
            (status,) = service.status().tls
            assert (status.handshakes, status.failures) == (1, {})
        assert List.build(body, None, reading(wanted), 0)[0] == 1
        assert not events.named("list.failed")


def test_a_source_that_is_gone_for_good_is_tried_for_ever() -> None:
    assert [pause(failures, 3600) for failures in (0, 1, 2, 3, 12)] == [3600, 10, 20, 40, 3600]
    assert pause(100_000, 604_800) == 604_800


async def test_an_error_that_nobody_foresaw_is_a_failure_and_it_is_tried_again(tmp_path: Path) -> None:
    def broken(name: str) -> Tunnel:
        raise KeyError(name)

    events = Events()
    one = ListFetcher(folder=tmp_path, base=tmp_path, ways=broken, primary=broken, emit=events)  # type: ignore[arg-type]  # it gives neither
    one.configure([web_list(fresh_endpoint())], [])
    await auntil(lambda: bool(events.named("list.failed")), what="the failure")
    assert events.named("list.failed")[0]["error"] == "KeyError: 't'"
    assert not next(iter(one._tasks.values())).done()
    one.stop()
