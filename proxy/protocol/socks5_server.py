"""The server's side of a SOCKS5 connection up to the point where it carries data (RFC 1928, RFC 1929).

    HELLO ──"05 n methods"──▶ [AUTHENTICATION ──"01 ulen user plen password"──▶] REQUEST ──"05 cmd 00 address"──▶ ASKED

Where there are users, only user and password are accepted, and checked in a time that says nothing about either. The
owner answers what was asked by `reply`; a refusal is one of the codes of RFC 1928 §6 and the end of the connection.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from hashlib import blake2b

from proxy.errors import ProtocolError
from proxy.protocol.address import Target, decode_address, encode_address
from proxy.protocol.socks5 import ANYWHERE, NO_AUTHENTICATION, NONE_ACCEPTABLE, PASSWORD, VERSION
from proxy.values import Endpoint

MOST = 4 + 255 + 2 + 1 + 255 + 255  # bytes; no part of the handshake is longer


class Reply(IntEnum):
    """The reply codes that a door gives (RFC 1928 §6)."""

    GRANTED = 0
    FAILURE = 1
    NOT_ALLOWED = 2
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_NOT_SUPPORTED = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """These bytes must go to the client. With a `refusal`, a label, the connection ends behind them."""

    data: bytes
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The client wants `command` for `target`. `rest` came behind; `user` is who it is, None without users."""

    command: int
    target: Target
    rest: bytes
    user: str | None


class Users:
    """Who may come in. Comparing takes the same time whoever it is, and whether there is such a user."""

    def __init__(self, users: Iterable[tuple[str, bytes]]) -> None:
        """Names and passwords, 1 to 255 bytes each."""
        self._salt = os.urandom(32)
        self._users = [(name, self._digest(name.encode(), password)) for name, password in users]

    def __bool__(self) -> bool:
        return bool(self._users)

    def find(self, name: bytes, password: bytes) -> str | None:
        """The user with this name and password."""
        shown, found = self._digest(name, password), None
        for user, digest in self._users:
            if hmac.compare_digest(shown, digest):
                found = user
        return found

    def _digest(self, name: bytes, password: bytes) -> bytes:
        return blake2b(bytes((len(name),)) + name + password, key=self._salt).digest()


class _State(Enum):
    HELLO = auto()
    AUTHENTICATION = auto()
    REQUEST = auto()
    ASKED = auto()


class Socks5Server:
    """One handshake."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._user: str | None = None
        self._state = _State.HELLO
        self._buffer = b""

    def feed(self, data: bytes) -> list[Answer | Asked]:
        """What the client said; any chunking. Behind `Asked` or a refusal nothing more is read.

        Raises:
            ProtocolError: not SOCKS5; there is nothing to answer.
        """
        if self._state is _State.ASKED:
            return []
        self._buffer += data
        events: list[Answer | Asked] = []
        while (event := self._step()) is not None:
            events.append(event)
        if len(self._buffer) > MOST:  # empty when all is said
            raise ProtocolError("a handshake longer than SOCKS5 has it")
        return events

    def _step(self) -> Answer | Asked | None:
        match self._state:
            case _State.HELLO:
                return self._read_hello()
            case _State.AUTHENTICATION:
                return self._read_authentication()
            case _State.REQUEST:
                return self._read_request()
            case _State.ASKED:
                return None

    def _read_hello(self) -> Answer | None:
        self._check_version(VERSION)
        if len(self._buffer) < 2 or len(self._buffer) < (end := 2 + self._buffer[1]):
            return None
        offered, self._buffer = self._buffer[2:end], self._buffer[end:]
        wanted = PASSWORD if self._users else NO_AUTHENTICATION
        if wanted not in offered:
            return self._end(bytes((VERSION, NONE_ACCEPTABLE)), "no-method")
        self._state = _State.AUTHENTICATION if self._users else _State.REQUEST
        return Answer(bytes((VERSION, wanted)))

    def _read_authentication(self) -> Answer | None:
        self._check_version(1)
        name = _counted(self._buffer, 1)
        password = _counted(self._buffer, 2 + len(name)) if name is not None else None
        if name is None or password is None:
            return None
        self._buffer = self._buffer[3 + len(name) + len(password) :]
        self._user = self._users.find(name, password)
        if self._user is None:
            return self._end(b"\1\1", "authentication")
        self._state = _State.REQUEST
        return Answer(b"\1\0")

    def _read_request(self) -> Answer | Asked | None:
        self._check_version(VERSION)
        if len(self._buffer) > 3 and self._buffer[3] not in (1, 3, 4):
            return self._end(reply(Reply.ADDRESS_NOT_SUPPORTED), "address-type")
        found = decode_address(self._buffer, 3)
        if found is None:
            return None
        (target, end), command = found, self._buffer[1]
        rest, self._buffer, self._state = self._buffer[end:], b"", _State.ASKED
        return Asked(command, target, rest, self._user)

    def _end(self, data: bytes, refusal: str) -> Answer:
        self._state, self._buffer = _State.ASKED, b""
        return Answer(data, refusal)

    def _check_version(self, version: int) -> None:
        if self._buffer and self._buffer[0] != version:
            raise ProtocolError(f"not SOCKS5: it begins with {self._buffer[0]}, not with {version}")


def reply(code: Reply, bound: Endpoint = ANYWHERE) -> bytes:
    """The answer to a request."""
    return bytes((VERSION, code, 0)) + encode_address(bound)


def _counted(data: bytes, at: int) -> bytes | None:
    if len(data) <= at or len(data) < at + 1 + data[at]:
        return None
    return data[at + 1 : at + 1 + data[at]]
