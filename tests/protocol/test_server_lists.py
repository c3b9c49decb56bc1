"""Server lists of providers (SIP008): the form, what is left out with a reason, and hostile documents."""

from __future__ import annotations

import base64
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.methods import METHODS, Method
from proxy.protocol.server_lists import MAX_BYTES, MAX_SERVERS, ServerList, parse_server_list
from proxy.protocol.tunnel_urls import ShadowsocksAddress, TunnelHost

ID, OTHER_ID = "27b8a625-4f4b-4428-9f0f-8a2317db7c79", "7842c068-c667-41f2-8f7d-04feece3cb67"
KEYS = [base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]


def server(**fields: object) -> dict[str, object]:
    usual = {"id": ID, "remarks": "Frankfurt", "server": "exit.example", "server_port": 8388}
    return usual | {"password": "hunter2", "method": "chacha20-ietf-poly1305"} | fields


def document(*servers: object, **fields: object) -> bytes:
    return json.dumps({"version": 1, "servers": servers, **fields}, ensure_ascii=False).encode()


def refusal(**fields: object) -> str:
    """What is said of a server that stands beside a good one."""
    found = parse_server_list(document(server(id=OTHER_ID), server(**fields)))
    assert [str(listed.id) for listed in found.servers] == [OTHER_ID]
    (refused,) = found.refused
    assert refused.place == 2
    assert "hunter2" not in repr(found)
    return refused.reason


def test_a_list_with_all_that_sip008_names() -> None:
    second = server(id=OTHER_ID, server="2001:DB8::1", method="2022-blake3-aes-256-gcm", password=":".join(KEYS))
    second |= {"plugin": "", "plugin_opts": "", "own_field": {"a": []}}
    found = parse_server_list(document(server(), second, bytes_used=274877906944, bytes_remaining=824633720832, own=1))
    chacha, aes = METHODS["chacha20-ietf-poly1305"], METHODS["2022-blake3-aes-256-gcm"]
    first, other = found.servers
    assert (first.id, first.name) == (UUID(ID), "Frankfurt")
    assert first.address == ShadowsocksAddress(
        TunnelHost("exit.example", 8388), chacha, chacha.key_from_text("hunter2"), "Frankfurt"
    )
    assert other.address == ShadowsocksAddress(
        TunnelHost("2001:db8::1", 8388), aes, bytes([2]) * 32, "Frankfurt", (bytes([1]) * 32,)
    )
    assert (found.refused, found.bytes_used, found.bytes_remaining) == ((), 274877906944, 824633720832)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"plugin": "obfs-local"}, "needs the plugin 'obfs-local': a program"),
        ({"plugin": "rm -rf\n\x1b[31m"}, "needs the plugin 'rm -rf [31m'"),
        ({"method": "rc4-md5"}, "its method is not known here; known are aes-128-gcm"),
        ({"method": "hunter2", "password": "aes-256-gcm"}, "its method is not known here"),
        ({"method": "2022-blake3-aes-256-gcm"}, "openssl rand -base64 32"),
        ({"method": "2022-blake3-aes-256-gcm", "password": f"{KEYS[0]}:hunter2"}, "openssl rand -base64 32"),
        ({"password": ""}, "password is empty"),
        ({"server": "exit.example/x"}, "neither an IP address nor a host name"),
        ({"server": ""}, "neither an IP address nor a host name"),
        ({"server": "::x"}, "neither an IP address nor a host name"),
        ({"server_port": 0}, "server_port"),
        ({"server_port": 65536}, "server_port"),
        ({"server_port": "8388"}, "server_port"),
        ({"password": ["hunter2"]}, "password"),
        ({"id": "hunter2"}, "Invalid UUID"),
        ({"id": OTHER_ID}, "its id is that of a server before it"),
    ],
)
def test_a_server_that_can_not_be_used_is_left_out_with_the_reason(fields: dict[str, object], says: str) -> None:
    assert says in refusal(**fields)


@pytest.mark.parametrize("missing", ["id", "remarks", "server", "server_port", "password", "method"])
def test_a_server_that_lacks_a_field_is_left_out(missing: str) -> None:
    less = server()
    del less[missing]
    (refused,) = parse_server_list(document(server(id=OTHER_ID), less)).refused
    assert missing in refused.reason


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        (b"", "not a server list"),
        (b"<html>", "not a server list"),
        (b"[]", "not a server list"),
        (b"\xff", "not a server list"),
        (document(server())[:-1], "not a server list"),
        (document(server()) + b"x", "not a server list"),
        (b'{"servers": []}', "missing required field `version`"),
        (b'{"version": 1}', "missing required field `servers`"),
        (b'{"version": 2, "servers": []}', "version"),
        (b'{"version": "1", "servers": []}', "version"),
        (document(server(), bytes_used=-1), "bytes_used"),
        (document(server(), bytes_used="1"), "bytes_used"),
        (b'{"version": 1, "servers": ' + 100_000 * b"[" + 100_000 * b"]" + b"}", "nested too deep"),
        (b'{"version": 1, "servers": [' + 100_000 * b"[" + 100_000 * b"]" + b"]}", "nested too deep"),
        (document(), "none of the 0 servers"),
        (document(*[server(plugin="x")] * 3), "none of the 3 servers of the list can be used; the first: it needs"),
        (document(*[1] * (MAX_SERVERS + 1)), f"{MAX_SERVERS + 1} servers; the limit is {MAX_SERVERS}"),
        (document(server(remarks="x" * MAX_BYTES)), f"the limit is {MAX_BYTES}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_document_of_another_form_is_refused_as_a_whole(wire: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_server_list(wire)
    assert says in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_names_are_fit_for_a_log() -> None:
    hostile = server(remarks="a\n2026 root: \x1b[31mok\u202e\u2066\x00 " + 1000 * "é")
    (listed,) = parse_server_list(document(hostile)).servers
    assert listed.name.isprintable()
    assert listed.name.startswith("a 2026 root: [31mok é")
    assert len(listed.name) <= 128
    assert listed.address.tag == listed.name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
mutated = st.dictionaries(st.sampled_from([*server(), "plugin", "plugin_opts"]), json_values, max_size=3)
documents = (
    st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.lists(mutated.map(lambda fields: server(**fields)) | json_values, max_size=4).map(lambda all_: document(*all_))
)


@given(documents)
def test_any_bytes_are_a_list_or_a_value_error(wire: bytes) -> None:
    try:
        found = parse_server_list(wire)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017 - not, say, a UnicodeDecodeError, whose text shows the input
    else:
        assert isinstance(found, ServerList)
        assert found.servers


@given(
    st.uuids(),
    st.sampled_from(list(METHODS.values())),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.integers(1, 65535),
)
def test_round_trip(identifier: UUID, method: Method, password: str, port: int) -> None:
    key = password if method.edition == 2017 else base64.b64encode(bytes(method.key_size)).decode()
    entry = server(id=str(identifier), method=method.name, password=key, server_port=port)
    (listed,) = parse_server_list(document(entry)).servers
    assert (listed.id, listed.address.method, listed.address.host.port) == (identifier, method, port)
    assert listed.address.key == method.key_from_text(key)
