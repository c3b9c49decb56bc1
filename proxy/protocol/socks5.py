"""The client's side of a SOCKS5 connection up to the point where it carries data (RFC 1928, RFC 1929).

    start ──▶ HELLO ──"05 02"──▶ AUTHENTICATION ──"01 00"──▶ REQUEST ──"05 00 address"──▶ READY
                └──────"05 00"───────────────────────────────▲

Sent on the way: `05 n methods` | `01 ulen user plen password` | `05 command 00 address`. Of the commands, CONNECT
and UDP ASSOCIATE are spoken; the machine is the same for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address

from proxy.errors import PrimaryError, ProtocolError, ProxyError, SetupError, TunnelError
from proxy.protocol.address import Target, decode_address, encode_address
from proxy.protocol.tunnel_urls import Socks5Address
from proxy.values import Endpoint

VERSION = 5
NO_AUTHENTICATION, PASSWORD, NONE_ACCEPTABLE = 0, 2, 0xFF
ANYWHERE = Endpoint(IPv4Address(0), 0)  # in UDP ASSOCIATE: the address we will send from is not known yet


class Command(Enum):
    """What is asked of the server."""

    CONNECT = 1
    UDP_ASSOCIATE = 3


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes must go to the server."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The server did what was asked.

    `bound` is its own address: for UDP ASSOCIATE, where datagrams go. `rest` came behind the reply.
    """

    bound: Target
    rest: bytes


class _State(Enum):
    HELLO = auto()
    AUTHENTICATION = auto()
    REQUEST = auto()
    READY = auto()


# Whose fault a refusal is: of 3 to 6 the primary's, so that another tunnel helps little; of 1, 7 and 8 the tunnel's; of
# 2 the one's who wrote the server's rules.
_REFUSALS: dict[int, tuple[type[ProxyError], str, str]] = {
    1: (TunnelError, "tunnel-refused", "a general failure of the SOCKS server"),
    2: (SetupError, "not-allowed", "its rules do not allow it: open the primary's address there"),
    3: (PrimaryError, "primary-unreachable", "the primary's network is unreachable from there"),
    4: (PrimaryError, "primary-unreachable", "the primary is unreachable from there"),
    5: (PrimaryError, "primary-refused", "the primary refused the connection"),
    6: (PrimaryError, "primary-unreachable", "the TTL ran out on the way to the primary"),
    7: (TunnelError, "command-not-supported", "it does not support this command; UDP ASSOCIATE, probably: udp = false"),
    8: (TunnelError, "address-not-supported", "it does not support this type of address"),
}


class Socks5Client:
    """One handshake."""

    def __init__(self, address: Socks5Address, command: Command, target: Target = ANYWHERE) -> None:
        self._user, self._password = address.user, address.password
        self._request = bytes((VERSION, command.value, 0)) + encode_address(target)
        self._state = _State.HELLO
        self._buffer = b""

    def start(self) -> bytes:
        """The hello, to be sent first. A password is offered beside no authentication where there is one."""
        methods = bytes((NO_AUTHENTICATION,)) if self._user is None else bytes((NO_AUTHENTICATION, PASSWORD))
        return bytes((VERSION, len(methods))) + methods

    def feed(self, data: bytes) -> list[Send | Ready]:
        """What the server said; any chunking. After `Ready` the connection belongs to the payload.

        Raises:
            ProtocolError: not SOCKS5.
            TunnelError: the server is at fault, or refuses us.
            PrimaryError: the server could not reach the target.
        """
        self._buffer += data
        events: list[Send | Ready] = []
        while (event := self._step()) is not None:
            events.append(event)
        return events

    def _step(self) -> Send | Ready | None:
        match self._state:
            case _State.HELLO:
                return self._read_hello()
            case _State.AUTHENTICATION:
                return self._read_authentication()
            case _State.REQUEST:
                return self._read_reply()
            case _State.READY:
                return None

    def _read_hello(self) -> Send | None:
        self._check_version(VERSION)
        if len(self._buffer) < 2:
            return None
        chosen, self._buffer = self._buffer[1], self._buffer[2:]
        if chosen == NO_AUTHENTICATION:
            self._state = _State.REQUEST
            return Send(self._request)
        if chosen == PASSWORD and self._user is not None:
            self._state = _State.AUTHENTICATION
            user, password = self._user, self._password
            return Send(bytes((1, len(user))) + user + bytes((len(password),)) + password)
        if chosen == NONE_ACCEPTABLE:
            wanted = "user and password" if self._user is None else "another user, or another way to authenticate"
            raise SetupError(f"the SOCKS server wants {wanted}", "authentication")
        raise ProtocolError(f"the SOCKS server chose method {chosen}, which was not offered")

    def _read_authentication(self) -> Send | None:
        self._check_version(1)
        if len(self._buffer) < 2:
            return None
        status, self._buffer = self._buffer[1], self._buffer[2:]
        if status != 0:
            raise SetupError("the SOCKS server does not accept this user and password", "authentication")
        self._state = _State.REQUEST
        return Send(self._request)

    def _read_reply(self) -> Ready | None:
        self._check_version(VERSION)
        if len(self._buffer) < 2:
            return None
        if reply := self._buffer[1]:
            error, reason, text = _REFUSALS.get(reply, (ProtocolError, "malformed", f"an unknown reply, {reply}"))
            raise error(f"the SOCKS server says: {text}", reason)
        found = decode_address(self._buffer, 3)
        if found is None:
            return None
        bound, end = found
        rest, self._buffer = self._buffer[end:], b""
        self._state = _State.READY
        return Ready(bound, rest)

    def _check_version(self, version: int) -> None:
        if self._buffer and self._buffer[0] != version:
            raise ProtocolError(f"not a SOCKS5 server: its reply begins with {self._buffer[0]}, not with {version}")
