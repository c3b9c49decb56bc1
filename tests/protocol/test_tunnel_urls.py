"""Tunnel URLs: SIP002 in its forms, and what is said about those that are wrong."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.methods import METHODS, Method
from proxy.protocol.share_urls import shadowsocks_url
from proxy.protocol.tunnel_urls import (
    DirectAddress,
    ShadowsocksAddress,
    Socks5Address,
    TunnelHost,
    parse_tunnel_url,
)

KEY_2022 = "YctPZ6U7xPPcU+gp3u+0tx/tRizJN9K8y+uKlW2qjlI="  # the example of SIP002
HOST = TunnelHost("192.168.100.1", 8888)
passwords = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("url", "host", "method", "password", "tag"),
    [
        ("ss://YWVzLTEyOC1nY206dGVzdA@192.168.100.1:8888#Example1", HOST, "aes-128-gcm", "test", "Example1"),
        ("ss://YWVzLTEyOC1nY206dGVzdA==@192.168.100.1:8888", HOST, "aes-128-gcm", "test", ""),
        ("ss://YWVzLTEyOC1nY206dGVzdA%3D%3D@192.168.100.1:8888/", HOST, "aes-128-gcm", "test", ""),
        ("ss://aes-256-gcm:p%40ss%3Aw%2F@ns.example:1/", TunnelHost("ns.example", 1), "aes-256-gcm", "p@ss:w/", ""),
        ("ss://aes-256-gcm:a@[2001:DB8::0:1]:8388", TunnelHost("2001:db8::1", 8388), "aes-256-gcm", "a", ""),
        ("ss://aes-256-gcm:a@h:1/?unknown=1&plugin=#a%20b", TunnelHost("h", 1), "aes-256-gcm", "a", "a b"),
        (
            f"ss://2022-blake3-aes-256-gcm:{quote(KEY_2022, safe='')}@192.168.100.1:8888#Example3",
            HOST,
            "2022-blake3-aes-256-gcm",
            KEY_2022,
            "Example3",
        ),
        (f"ss://2022-blake3-aes-256-gcm:{KEY_2022}@192.168.100.1:8888", HOST, "2022-blake3-aes-256-gcm", KEY_2022, ""),
    ],
)
def test_forms_of_ss(url: str, host: TunnelHost, method: str, password: str, tag: str) -> None:
    found = METHODS[method]
    assert parse_tunnel_url(url) == ShadowsocksAddress(host, found, found.key_from_text(password), tag)


@given(st.sampled_from([method for method in METHODS.values() if method.edition == 2017]), passwords, st.booleans())
def test_any_password_can_be_written(method: Method, password: str, plain: bool) -> None:
    if plain:
        user = f"{method.name}:{quote(password, safe='')}"
    else:
        user = base64.urlsafe_b64encode(f"{method.name}:{password}".encode()).decode().rstrip("=")
    address = parse_tunnel_url(f"ss://{user}@192.168.100.1:8888")
    assert address == ShadowsocksAddress(HOST, method, method.key_from_text(password))


A, B, C = (base64.b64encode(bytes([n]) * 32).decode() for n in (0xFF, 0xBE, 3))  # with "/" and "+" inside


@pytest.mark.parametrize("chain", [quote(f"{A}:{B}:{C}", safe=""), quote(f"{A}:{B}:{C}"), f"{A}:{B}:{C}"])
def test_a_chain_of_keys_whose_colons_may_be_escaped(chain: str) -> None:
    address = parse_tunnel_url(f"ss://2022-blake3-aes-256-gcm:{chain}@192.168.100.1:8888/?group=x#two%20relays")
    assert isinstance(address, ShadowsocksAddress)
    assert address.identity_keys == (b"\xff" * 32, b"\xbe" * 32)
    assert (address.key, address.tag, address.host) == (b"\x03" * 32, "two relays", HOST)
    assert "identity_keys" not in repr(address)


@given(
    st.sampled_from(list(METHODS.values())),
    passwords,
    st.lists(st.binary(min_size=32, max_size=32), max_size=3),
    st.sampled_from([HOST, TunnelHost("2001:db8::1", 1), TunnelHost("exit.example", 65535)]),
    passwords | st.just(""),
)
def test_what_is_written_is_read_back(
    method: Method, password: str, identities: list[bytes], host: TunnelHost, tag: str
) -> None:
    keys = [] if "chacha" in method.name else [identity[: method.key_size] for identity in identities]
    key = bytes(range(method.key_size))
    text = password if method.edition == 2017 else ":".join(base64.b64encode(each).decode() for each in (*keys, key))
    address = parse_tunnel_url(shadowsocks_url(method, text, host, tag))
    assert isinstance(address, ShadowsocksAddress)
    assert (address.host, address.method, address.tag) == (host, method, tag)
    if method.edition == 2017:
        assert (address.key, address.identity_keys) == (method.key_from_text(password), ())
    else:
        assert (address.key, address.identity_keys) == (key, tuple(keys))


def test_what_could_not_be_read_is_not_written() -> None:
    with pytest.raises(ValueError, match="openssl rand -base64 32") as raised:
        shadowsocks_url(METHODS["2022-blake3-aes-256-gcm"], f"{A}:hunter2", HOST)
    assert "hunter2" not in str(raised.value)


def test_the_others() -> None:
    assert parse_tunnel_url("direct://") == DirectAddress()
    assert parse_tunnel_url("socks5://proxy.example:1080") == Socks5Address(TunnelHost("proxy.example", 1080))
    with_user = parse_tunnel_url("socks5://us%3Aer:p%40ss@[::1]:1080")
    assert with_user == Socks5Address(TunnelHost("::1", 1080), b"us:er", b"p@ss")
    assert str(TunnelHost("::1", 1080)) == "[::1]:1080"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("192.0.2.1:8388", "begins with ss://, socks5:// or direct://"),
        ("http://192.0.2.1:8388", "is no tunnel known here"),
        ("hunter2://192.0.2.1:8388", "is no tunnel known here"),
        ("direct://192.0.2.1", "stands alone"),
        ("ss://192.0.2.1:8388", "needs method and key"),
        ("ss://aes-256-gcm:hunter2@192.0.2.1", "needs a port"),
        ("ss://aes-256-gcm:hunter2@192.0.2.1:0", "port 0"),
        ("ss://aes-256-gcm:hunter2@192.0.2.1:99999", "0 to 65535"),
        ("ss://aes-256-gcm:hunter2@2001:db8::1:8388", "stands in brackets"),
        ("ss://aes-256-gcm:hunter2@[2001:db8::x]:8388", "not an IPv6 address"),
        ("ss://aes-256-gcm:hunter2@host/path:8388", "neither an IP address nor a host name"),
        (f"ss://aes-256-gcm:hunter2@{64 * 'a'}.example:8388", "neither an IP address nor a host name"),
        (f"ss://aes-256-gcm:hunter2@{'.'.join(['a'] * 130)}:8388", "neither an IP address nor a host name"),
        ("ss://aes-256-gcm:hunter2@a..b:8388", "neither an IP address nor a host name"),
        ("ss://rc4-md5:hunter2@192.0.2.1:8388", "not a method known here"),
        ("ss://aes-256-gcm:@192.0.2.1:8388", "password is empty"),
        ("ss://hunter2!@192.0.2.1:8388", "neither method:key nor"),
        ("ss://aes-256-gcm:hunter2%FF@192.0.2.1:8388", "not UTF-8"),
        ("ss://2022-blake3-aes-256-gcm:hunter2@192.0.2.1:8388", "openssl rand -base64 32"),
        (f"ss://2022-blake3-aes-256-gcm:hunter2:{KEY_2022}@192.0.2.1:8388", "openssl rand -base64 32"),
        (f"ss://2022-blake3-aes-256-gcm:{KEY_2022}:@192.0.2.1:8388", "this one has 0"),
        (f"ss://2022-blake3-aes-256-gcm:{18 * (KEY_2022 + ':')}{KEY_2022}@192.0.2.1:8388", "at most 17"),
        (f"ss://2022-blake3-chacha20-poly1305:{KEY_2022}:{KEY_2022}@192.0.2.1:8388", "takes a single key"),
        ("ss://aes-256-gcm:hunter2@192.0.2.1:8388/?plugin=obfs-local%3Bobfs%3Dhttp", "plugins are not supported"),
        ("socks5://hunter2@192.0.2.1:1080", "user:password"),
        ("socks5://hunter2:@192.0.2.1:1080", "1 to 255 bytes"),
        # The key in the wrong place, or not escaped: no piece of it may be shown, and it must not be read as a host.
        (f"ss://{base64.urlsafe_b64encode(b'hunter2').decode()}@192.0.2.1:8388", "not a method known here"),
        ("ss://hunter2:aes-256-gcm@192.0.2.1:8388", "not a method known here"),
        ("ss://aes-256-gcm:p@hunter2:hunter2#x@192.0.2.1:8388", "%23"),
        ("ss://aes-256-gcm:p@[hunter2]:1#x@192.0.2.1:8388", "not an IPv6 address"),
        ("socks5://user:hunter2#x@192.0.2.1:1080", "%23"),
        ("socks5://hunter2,:1#x@192.0.2.1:1080", "%23"),
        ("socks5://user:12#34@192.0.2.1:1080", "%23"),
        ("socks5://user:12?34@192.0.2.1:1080", "%3F"),
    ],
)
def test_errors_say_what_is_wrong_and_show_no_key(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_tunnel_url(url)
    assert says in str(raised.value)
    assert "hunter2" not in str(raised.value)


_SPECIAL = st.text("#?@/:[]%&=;.+-, \n", max_size=4)


@given(
    st.sampled_from(["ss://aes-256-gcm:", "ss://2022-blake3-aes-256-gcm:", "socks5://user:", "ss://", "socks5://"]),
    _SPECIAL,
    _SPECIAL,
    st.sampled_from(["@192.0.2.1:8388", "@[::1]:8388", "@host", ""]),
)
def test_a_key_that_is_not_escaped_is_not_shown_either(scheme: str, before: str, behind: str, place: str) -> None:
    try:
        parse_tunnel_url(f"{scheme}{before}hunter2{behind}{place}")
    except ValueError as error:
        assert "hunter2" not in str(error)  # noqa: PT017 - some of these texts are right


def test_2022_in_base64url_is_refused() -> None:
    user = base64.urlsafe_b64encode(f"2022-blake3-aes-256-gcm:{KEY_2022}".encode()).decode()
    with pytest.raises(ValueError, match="not in base64url"):
        parse_tunnel_url(f"ss://{user}@192.0.2.1:8388")


def test_no_key_is_shown_by_printing() -> None:
    address = parse_tunnel_url(f"ss://2022-blake3-aes-256-gcm:{quote(KEY_2022)}@192.0.2.1:8388")
    assert isinstance(address, ShadowsocksAddress)
    assert repr(address.key) not in repr(address)
    assert "key=" not in repr(address)
    assert "hunter2" not in repr(parse_tunnel_url("socks5://user:hunter2@192.0.2.1:1080"))


@given(st.text(max_size=80) | st.tuples(st.sampled_from(["ss://", "socks5://"]), st.text(max_size=60)).map("".join))
def test_any_text_is_read_or_is_a_value_error(text: str) -> None:
    try:
        parse_tunnel_url(text)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017 - not, say, a UnicodeDecodeError, whose text shows the input
