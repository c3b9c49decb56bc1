"""`zonegate tunnels`: what a gateway knows, and fresh probes, with words that tell what to do."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.rcode
import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from gateway.cli import cli
from gateway.cli.probing import Probed, Report
from gateway.cli.tunnel_tables import show_known, show_probed
from proxy.egress.service import EgressService
from proxy.egress.sockets import open_egress_sockets
from proxy.egress.status import ExitAddressStatus
from proxy.settings import EgressSettings
from proxy.values import Endpoint
from tests.egress.ring import Events, exit_settings, fresh_endpoint, fresh_key, ss_url
from tests.egress.scripted_primary import Script, ScriptedPrimary, soa_answer
from tests.gateway.control import TRANSFER
from tests.gateway.running import Running
from tests.support.peers import until

METHOD = "2022-blake3-aes-128-gcm"


def zonegate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@contextmanager
def ring(key: str, script: Script = soa_answer) -> Iterator[tuple[Endpoint, Endpoint]]:
    """A primary and an exit that may open it, in a thread of their own; gives their addresses."""
    ready, end = threading.Event(), threading.Event()
    places: list[Endpoint] = []

    async def serve() -> None:
        async with ScriptedPrimary(script) as primary:
            settings = EgressSettings(exit=exit_settings(METHOD, key, [primary.endpoint]))
            service = EgressService(settings=settings, sockets=open_egress_sockets(settings), emit=Events())
            await service.start()
            assert settings.exit is not None
            places.extend([primary.endpoint, settings.exit.listen])
            ready.set()
            await asyncio.to_thread(end.wait)
            await service.drain(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield places[0], places[1]
    finally:
        end.set()
        thread.join(10)


def configuration(folder: Path, tunnels: dict[str, str], primary: Endpoint, *more: str) -> str:
    """A gateway with one forwarder."""
    rows = [f'[[tunnels]]\nname = "{name}"\nurl = "{url}"' for name, url in tunnels.items()]
    rows += [
        f'[[primaries]]\nname = "p"\naddress = "{primary}"\ntunnels = {json.dumps(list(tunnels))}',
        f'[[forwarders]]\nlisten = "{fresh_endpoint()}"\nprimary = "p"\nzones = ["example.com"]',
    ]
    text = "\n".join(["version = 1", *more, *rows, ""])
    file = folder / "zonegate.toml"
    file.write_text(text)
    file.chmod(0o600)
    return text


def probed(folder: Path, *arguments: str) -> tuple[int, dict[tuple[str, str], Probed]]:
    result = zonegate("tunnels", "--probe", "--json", "--config", folder / "zonegate.toml", *arguments)
    report = msgspec.json.decode(result.output, type=Report)
    return result.exit_code, {(each.tunnel, each.transport): each for each in report.probes}


def test_probes_go_through_every_tunnel_over_both_transports(tmp_path: Path) -> None:
    key = fresh_key(METHOD)
    with ring(key) as (primary, way_in):
        configuration(tmp_path, {"fra": ss_url(METHOD, key, way_in), "direct": "direct://"}, primary)
        code, found = probed(tmp_path)
        assert code == 0
        assert set(found) == {(tunnel, transport) for tunnel in ("fra", "direct") for transport in ("udp", "tcp")}
        assert all(each.ok and each.rcode == "NOERROR" and each.zone == "example.com" for each in found.values())
        assert set(probed(tmp_path, "--tunnel", "fra")[1]) == {("fra", "udp"), ("fra", "tcp")}
        shown = zonegate("tunnels", "--probe", "--config", tmp_path / "zonegate.toml")
        assert "4 of 4 probes were answered" in shown.output


def test_what_fails_is_said_with_what_to_do(tmp_path: Path) -> None:
    key = fresh_key(METHOD)
    with ring(key) as (primary, way_in):
        tunnels = {
            "good": ss_url(METHOD, key, way_in),
            "wrong-key": ss_url(METHOD, fresh_key(METHOD), way_in),
            "nobody": f"socks5://{fresh_endpoint()}",
        }
        configuration(tmp_path, tunnels, primary)
        code, found = probed(tmp_path, "--timeout", "0.3")
        assert code == 1
        assert found["good", "tcp"].ok
        assert found["wrong-key", "tcp"].reason == found["wrong-key", "udp"].reason == "no-answer"
        assert "wrong key" in found["wrong-key", "tcp"].remedy
        assert found["nobody", "tcp"].reason == "refused"
        assert "is the exit running" in found["nobody", "tcp"].remedy


def test_a_primary_that_refuses_is_a_failure_but_not_of_the_root(tmp_path: Path) -> None:
    def refuse(query: bytes) -> list[bytes]:
        answer = dns.message.make_response(dns.message.from_wire(query))
        answer.set_rcode(dns.rcode.REFUSED)
        return [answer.to_wire()]

    with ring(fresh_key(METHOD), refuse) as (primary, _):
        configuration(tmp_path, {"direct": "direct://"}, primary)
        code, found = probed(tmp_path)
        assert (code, found["direct", "udp"].reason) == (1, "rcode")
        assert "allow the exit's address" in found["direct", "udp"].remedy
        assert probed(tmp_path, "--zone", ".")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tunnel", "fra"], "go with --probe"),
        (["--probe", "--limit"], "No such option"),
    ],
)
def test_wrong_use_is_named(tmp_path: Path, arguments: list[str], says: str) -> None:
    configuration(tmp_path, {"direct": "direct://"}, fresh_endpoint())
    result = zonegate("tunnels", "--config", tmp_path / "zonegate.toml", *arguments)
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--tunnel", "nope"], "there is no tunnel 'nope'; known are direct"), (["--zone", "a..b"], "a..b")],
)
def test_what_is_not_there_is_named(tmp_path: Path, arguments: list[str], says: str) -> None:
    configuration(tmp_path, {"direct": "direct://"}, fresh_endpoint())
    result = zonegate("tunnels", "--probe", "--config", tmp_path / "zonegate.toml", *arguments)
    assert result.exit_code == 1
    assert says in result.output


def test_servers_of_a_list_are_probed_by_their_names(tmp_path: Path) -> None:
    key = fresh_key(METHOD)
    with ring(key) as (primary, way_in):
        host, port = way_in.sockaddr
        server = {"id": str(uuid.uuid4()), "remarks": "fra", "server": host, "server_port": port}
        found = {"version": 1, "servers": [{**server, "password": key, "method": METHOD}]}
        (tmp_path / "servers.json").write_text(json.dumps(found))
        text = configuration(tmp_path, {"provider": "direct://"}, primary)
        listed = text.replace("[[tunnels]]", "[[tunnel_lists]]").replace('url = "direct://"', 'file = "servers.json"')
        (tmp_path / "zonegate.toml").write_text(listed)
        code, probes = probed(tmp_path)
        assert (code, set(probes)) == (0, {("provider/fra", "udp"), ("provider/fra", "tcp")})


def test_behind_a_socks_door_the_zone_is_asked_for_too(tmp_path: Path) -> None:
    with ring(fresh_key(METHOD)) as (primary, _):
        file = tmp_path / "zonegate.toml"
        text = configuration(tmp_path, {"t": "direct://"}, primary).replace("[[forwarders]]", "[[socks_doors]]")
        file.write_text(text.replace('primary = "p"', 'primaries = ["p"]'))
        done = zonegate("tunnels", "--probe", "--json", "-c", file)
        assert {each["zone"] for each in json.loads(done.stdout)["probes"]} == {"example.com"}, done.output


def test_a_gateway_that_does_not_run_is_named(tmp_path: Path) -> None:
    configuration(tmp_path, {"direct": "direct://"}, fresh_endpoint(), f'admin.address = "{fresh_endpoint()}"')
    result = zonegate("tunnels", "--config", tmp_path / "zonegate.toml")
    assert result.exit_code == 3


def test_a_running_gateway_tells_what_it_knows(tmp_path: Path) -> None:
    key = fresh_key(METHOD)
    with ring(key) as (primary, way_in):
        tunnels = {"nobody": f"socks5://{fresh_endpoint()}", "fra": ss_url(METHOD, key, way_in)}
        text = configuration(tmp_path, tunnels, primary, '[admin]\naddress = "{admin}"')
        with Running(tmp_path, text) as gateway:
            gateway.notified("READY=1")

            def told() -> bool:
                asked = zonegate("tunnels", "--json", "--config", gateway.file)
                routes = json.loads(asked.output)["routes"]
                return len(routes) == 2 and all(each["chosen"] == "fra" for each in routes)

            until(told, what="the probes")
            shown = zonegate("tunnels", "--config", gateway.file)
            assert shown.exit_code == 0
            assert "left alone" in shown.output
            assert "fra (chosen)" in shown.output
            assert "zonegate_tunnel_chosen" in gateway.get("/metrics").text


def test_what_is_known_is_shown_with_faults_and_remedies() -> None:
    output = io.StringIO()
    show_known(
        {name: TRANSFER[name] for name in ("tunnels", "routes", "exit_addresses")},  # type: ignore[misc]  # as /status has it
        Console(file=output, width=250, highlight=False),
    )
    text = output.getvalue()
    assert "left alone, again in 9 s" in text
    assert "25.0 ms" in text
    assert "p over tcp: no tunnel leads to an answer; whether" in text
    assert "fra to p over tcp: 203.0.113.7 port 8388 refused the connection\n  is the exit running?" in text
    assert "exit of fra: 203.0.113.8: NOT as declared (203.0.113.7/32)" in text


def test_an_exit_seen_elsewhere_is_a_failure() -> None:
    seen = ExitAddressStatus(
        tunnel="fra", declared=("203.0.113.7/32",), seen=("203.0.113.8",), state="mismatch", error=None
    )
    good = Probed(
        primary="p", tunnel="fra", transport="tcp", zone="example.com", ok=True, round_trip=0.01, rcode="NOERROR"
    )
    report = Report(probes=(good,), exit_addresses=(seen,))
    output = io.StringIO()
    show_probed(report, Console(file=output, width=200, highlight=False))
    assert not report.ok
    assert "NOT as declared" in output.getvalue()
