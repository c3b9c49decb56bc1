"""What commands of their own see of server lists: the file, or what the gateway last fetched, or nothing."""

from __future__ import annotations

from pathlib import Path

from gateway.config import load
from gateway.recalled import recall_egress
from gateway.transfer.job import Job
from tests.egress.ring import fresh_endpoint, fresh_key
from tests.egress.test_server_lists import METHOD, ONE, document, server

TEXT = """\
version = 1
state = "kept"
[[tunnel_lists]]
name = "provider"
file = "servers.json"
[[primaries]]
name = "p"
address = "203.0.113.5:53"
tunnels = ["provider"]
[[forwarders]]
listen = "127.0.0.1:5301"
primary = "p"
"""


def test_servers_of_a_list_are_ways_for_commands_too(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(TEXT)
    settings, place = load(file).settings, fresh_endpoint()
    assert recall_egress(settings, file)[0].primaries[0].tunnels == ()
    kept = tmp_path / "kept" / "lists" / "tunnels"
    kept.mkdir(parents=True)
    (kept / "provider.servers").write_bytes(document(server(ONE, "Fra", place, fresh_key(METHOD))))
    egress, addresses = recall_egress(settings, file)
    assert egress.primaries[0].tunnels == ("provider/Fra",)
    assert addresses["provider/Fra"].host.port == place.port
    job = Job.plan(settings, file, "example.com", primary=None, tunnel=None, serial=None, key=None)
    assert [tunnel.counters.name for tunnel in job.tunnels] == ["provider/Fra"]
    (tmp_path / "servers.json").write_bytes(document(server(ONE, "Paris", place, fresh_key(METHOD))))
    assert recall_egress(settings, file)[0].primaries[0].tunnels == ("provider/Paris",)
