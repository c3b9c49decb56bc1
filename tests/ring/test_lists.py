"""Lists in a whole gateway: fetched through our own exit, and swapped under load without a lost query."""

from __future__ import annotations

import base64
import http.server
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import dns.message
import dns.query
import dns.rcode
import httpx

from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.zones import LabZone
from proxy.values import Endpoint
from tests.egress.test_list_fetch import HOST, RPZ, certificate
from tests.ring.gateways import Dnsperf, Gateway, front_of, loopback, running
from tests.support.peers import require, until

ZONE = LabZone("lists.test", hosts=500)
KEY = base64.b64encode(secrets.token_bytes(32)).decode()
METHOD = "2022-blake3-aes-256-gcm"

FETCHED = f"""
[[filters.lists]]
name = "web"
url = "https://{HOST}:{{web.port}}/abuse.txt"
address = "{{web.address}}"
ca = "{HOST}.crt"
tunnels = ["own"]
action = "nxdomain"
[[filters.lists]]
name = "policy"
primary = "feed"
zone = "rpz.example"
format = "rpz"
refresh = 10
[[tunnels]]
name = "own"
url = "ss://{METHOD}:{quote(KEY, safe="")}@{{far}}"
[[primaries]]
name = "feed"
address = "{{feed}}"
tunnels = ["own"]
[exit]
listen = "{{far}}"
method = "{METHOD}"
key = "{KEY}"
allow = ["{{web.address}}/32:{{web.port}}", "{{feed.address}}/32:{{feed.port}}"]
"""


@contextmanager
def web(directory: Path, body: bytes) -> Iterator[Endpoint]:
    """A server of one file over TLS, with a certificate of its own."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Tests read what the gateway says."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(directory, HOST))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Endpoint.parse(f"127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def code(clients: Endpoint, name: str) -> dns.rcode.Rcode:
    """How a name is answered over TCP, which neither list drops."""
    return dns.query.tcp(dns.message.make_query(name, "A"), str(clients.address), port=clients.port, timeout=10).rcode()


def test_lists_come_over_https_and_by_transfer_from_knot_through_our_own_exit(tmp_path: Path) -> None:
    require(Knot.program)
    names = {"serial": 1, "name": f"host-1.{ZONE.name}"}
    feed = Knot(Primary({"rpz.example": RPZ.format(**names)}), tmp_path / "feed")
    node = Knot(Primary({ZONE.name: ZONE.text(1, "now")}), tmp_path / "node")
    with feed, node, web(tmp_path, f"host-2.{ZONE.name}\n".encode()) as site:
        clients = loopback()
        more = FETCHED.format(web=site, far=loopback(), feed=feed.endpoint)
        with running(tmp_path, front_of(node, clients, ZONE.name, more), clients) as gateway:

            def codes() -> list[dns.rcode.Rcode]:
                return [code(clients, f"host-{number}.{ZONE.name}") for number in range(4)]

            good, bad = dns.rcode.NOERROR, dns.rcode.NXDOMAIN
            until(lambda: codes() == [good, bad, bad, good], 20, "both lists to be in use")
            feed.publish("rpz.example", RPZ.format(serial=2, name=f"host-3.{ZONE.name}"))
            until(lambda: codes() == [good, good, bad, bad], 40, "the second version of the zone")
            assert gateway.total("zonegate_policy_list_hits_total", list="web") > 0
            assert gateway.total("zonegate_policy_list_hits_total", list="policy") > 0
            assert KEY not in gateway.child.log.read_text()


CHANGES = (
    '[[filters.rate_limits]]\nname = "wide"\nkey = "qname"\nrate = 90000\n',
    '[[filters.rules]]\nname = "tagged"\nwhen = { qtype = "A" }\naction = "tag"\ntag = "a"\n',
    '[[filters.rules]]\nname = "other"\nwhen = { qname_regex = "^nobody" }\naction = "drop"\n',
    "[filters.response_limits]\nrate = 1000000\n",
    '[[filters.lists]]\nname = "more"\nfile = "more.txt"\naction = "drop"\n',
    "",
)


def reload(gateway: Gateway, text: str) -> None:
    gateway.child.file.write_text(text)
    answer = httpx.post(f"http://{gateway.child.admin}/reload", timeout=30)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.json()["restarted"] == []


def test_lists_are_swapped_and_rules_lists_and_limits_changed_under_load_without_a_lost_query(tmp_path: Path) -> None:
    queries, source = tmp_path / "queries", tmp_path / "abuse.txt"
    queries.write_text("".join(f"host-{number}.{ZONE.name} A\n" for number in range(500)))
    source.write_text("nobody.example.org\n")
    (tmp_path / "more.txt").write_text("198.51.100.0/24\n")
    own = '[[filters.lists]]\nname = "abuse"\nfile = "abuse.txt"\naction = "nxdomain"\n'
    require(Nsd.program)
    with Nsd(Primary({ZONE.name: ZONE.text(1, "now")}), tmp_path / "node") as node:
        clients = loopback()
        with running(tmp_path, front_of(node, clients, ZONE.name, own), clients) as gateway:
            text = gateway.child.file.read_text()
            load = Dnsperf(gateway.clients, queries, "-c", "8", "-q", "200", "-l", "6", "-Q", "20000", "-t", "2")
            with load as run:
                fresh = source.with_suffix(".new")
                fresh.write_text("".join(f"n{number}.example.org\n" for number in range(200_000)) + "host-0\n")
                fresh.replace(source)
                for change in CHANGES:
                    reload(gateway, text + change)
                until(
                    lambda: gateway.total("zonegate_policy_list_entries", list="abuse", kind="names") > 200_000,
                    20,
                    "the list to be in use",
                )
                done = run.finished()
            assert done.lost == 0
            assert done.completed == done.sent > 20_000
            assert done.codes.keys() == {"NOERROR"}
            assert gateway.total("zonegate_worker_restarts_total") == 0
