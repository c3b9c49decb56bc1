"""Whose fault a failure is, and what to do about it."""

from __future__ import annotations

import pytest

from proxy.egress.pool.fault import fault_of, remedy
from proxy.errors import PrimaryError, ProtocolError, ProxyError, SetupError, TunnelError


@pytest.mark.parametrize(
    ("error", "kind", "fault"),
    [
        (TunnelError("", "refused"), "shadowsocks", "tunnel"),
        (TunnelError("", "unreachable"), "socks5", "tunnel"),
        (TunnelError("", "refused"), "direct", "primary"),
        (PrimaryError("", "primary-refused"), "socks5", "primary"),
        (PrimaryError("", "tls-expired"), "shadowsocks", "primary"),
        (ProtocolError("", "authentication"), "shadowsocks", "configuration"),
        (ProtocolError("", "clock-skew"), "shadowsocks", "configuration"),
        (SetupError("", "no-interface"), "shadowsocks", "configuration"),
        (TunnelError("", "not-allowed"), "socks5", "configuration"),
        (TunnelError("", "no-udp"), "socks5", "configuration"),
        (TunnelError("", "no-answer"), "shadowsocks", "unknown"),
        (TunnelError("", "closed"), "shadowsocks", "unknown"),
        (TunnelError("", "broken"), "shadowsocks", "unknown"),
    ],
)
def test_each_kind_of_failure(error: ProxyError, kind: str, fault: str) -> None:
    assert fault_of(error, kind) == fault


@pytest.mark.parametrize(
    ("reason", "kind", "says"),
    [
        ("authentication", "shadowsocks", "key or password"),
        ("clock-skew", "shadowsocks", "NTP"),
        ("refused", "shadowsocks", "is the exit running"),
        ("refused", "direct", "primary's address"),
        ("no-answer", "direct", "does it allow ours"),
        ("broken", "shadowsocks", "its log says which"),
        ("not-allowed", "socks5", "allow the primary"),
        ("no-answer", "shadowsocks", "wrong key"),
        ("something-new", "", ""),
    ],
)
def test_the_remedy_is_said(reason: str, kind: str, says: str) -> None:
    assert says in remedy(reason, kind)
    assert bool(remedy(reason, kind)) is bool(says)
