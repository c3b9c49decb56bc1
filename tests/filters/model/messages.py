"""Random messages, mostly nearly right: what clients send with odd flags, counts, records and options; and mutated."""

from __future__ import annotations

import ipaddress
import struct
from typing import TypeVar

from hypothesis import strategies as st

from filters.settings import Cookies
from filters.values import IPAddress
from tests.filters.model.cookies import server_cookie
from tests.filters.model.decision import Client
from tests.filters.model.policies import TYPES_ASKED, V4, V6
from tests.filters.model.wire import is_cookie

T = TypeVar("T")

CLIENT_COOKIE = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57"
QNAMES = [
    [b"example", b"com"],
    [b"WWW", b"example", b"COM"],
    [b"a", b"b", b"example", b"com"],
    [b"b", b"example", b"com"],
    [b"example", b"net"],
    [b"1a2b", b"net"],
    [b"com"],
    [],
    [b"a.b", b"\xff\\", b"example", b"com"],
]
ODD_SOURCES = ["0.1.2.3", "224.0.0.1", "255.255.255.255", "127.0.0.1", "::", "ff02::1", "::ffff:192.0.2.1", "::1"]


def rarely(often: T, *odd: T, of: int = 12) -> st.SearchStrategy[T]:
    """Usually one value, now and then another."""
    return st.sampled_from([often] * of + list(odd))


def wire_name(labels: list[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@st.composite
def cookie_values(draw: st.DrawFn, cookies: Cookies, address: IPAddress, unix: int) -> bytes:
    """A COOKIE: the client's alone, with ours, or wrong in some way."""
    kind = draw(
        st.sampled_from(["client", "client", "fresh", "fresh", "accepted", "old", "ahead", "bad", "short", "long"])
    )
    if kind == "client":
        return CLIENT_COOKIE
    if kind in {"short", "long"}:
        return bytes(draw(st.sampled_from([0, 7, 9, 15, 16, 40, 41])))
    if cookies.secret is None or kind == "bad":
        return CLIENT_COOKIE + bytes(16)
    secret = cookies.accepted_secrets[0] if kind == "accepted" and cookies.accepted_secrets else cookies.secret
    age = draw(st.sampled_from({"old": [3600, 3601, 100_000], "ahead": [-300, -301]}.get(kind, [0, 5, 1801, 3599])))
    return CLIENT_COOKIE + server_cookie(secret, CLIENT_COOKIE, unix - age, address)


@st.composite
def opts(draw: st.DrawFn, cookie: st.SearchStrategy[bytes]) -> bytes:
    """An OPT record."""
    options = b""
    for code in draw(st.lists(st.sampled_from([10, 10, 10, 3, 8, 65001]), max_size=2)):
        value = draw(cookie) if code == 10 else b"\0\1\0\0"
        options += struct.pack("!HH", code, len(value)) + value
    if draw(rarely(False, True, of=20)):
        options += draw(st.sampled_from([b"\0", b"\0\3\0\1", b"\0\x0a\0\0"]))
    owner = draw(rarely(b"\0", b"\1a\0", b"\xc0\x0c", of=20))
    version, flags = draw(rarely(0, 1, 255)), draw(st.sampled_from([0, 0x8000]))
    size = draw(st.sampled_from([1232, 4096, 512, 0, 511]))
    return bytes(owner) + struct.pack("!HHBBHH", 41, size, 0, version, flags, len(options)) + options


@st.composite
def signatures(draw: st.DrawFn) -> bytes:
    """TSIG or SIG(0), or a SIG that is an ordinary record."""
    kind, klass, data = draw(
        st.sampled_from(
            [
                (250, 255, b"\0" * 10),
                (250, 255, b""),
                (250, 1, b"\0" * 10),
                (24, 255, b"\0" * 20),
                (24, 1, b"\0\1" + b"\0" * 18),
            ]
        )
    )
    return draw(st.sampled_from([b"\0", b"\3key\0"])) + struct.pack("!HHIH", kind, klass, 0, len(data)) + data


RECORDS = st.sampled_from(
    [
        b"\0" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\xc0\0\2\1",
        b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 0, 0),
        b"\1a\xc0\x0c" + struct.pack("!HHIH", 16, 254, 0, 2) + b"\1a",
        b"\xc0\xff" + struct.pack("!HHIH", 1, 1, 0, 0),
        b"\0" + struct.pack("!HHIH", 1, 1, 0, 9),
        b"\0" + struct.pack("!HHBBHH", 41, 512, 0, 0, 0, 0),
    ]
)


@st.composite
def made(draw: st.DrawFn, cookie: st.SearchStrategy[bytes]) -> bytes:
    """A message put together."""
    opcode = draw(st.sampled_from([0] * 14 + [4, 4, 5, 5, 1, 2, 15]))
    flags = opcode << 11 | draw(st.sampled_from([0x0100, 0, 0x0110, 0x0120, 0x0400, 0x0080, 0x0040, 0x0010]))
    flags |= draw(rarely(0, 0x8000, 0x0200, 0x0200, 3, 15, of=20))
    labels = draw(st.sampled_from(QNAMES))
    qtype = draw(st.sampled_from([1] * 6 + [6] * (8 if opcode else 1) + TYPES_ASKED + [0, 41, 249, 250, 253, 254, 128]))
    qclass = draw(rarely(1, 3, 3, 255, 254, 2, of=14))
    question = wire_name(labels) + struct.pack("!HH", qtype, qclass)
    questions = draw(rarely(1, 0, 0, 2, of=16))
    odd = draw(st.integers(0, 4)) == 0 or opcode == 5 or qtype == 251
    answers = draw(st.lists(RECORDS, max_size=2)) if odd else []
    authority = draw(st.lists(RECORDS, max_size=2)) if odd else []
    additional = draw(st.lists(RECORDS, max_size=1)) if odd else []
    if draw(st.booleans()) or questions == 0:
        additional.append(draw(opts(cookie)))
    if draw(rarely(False, True, of=9)):
        additional.insert(draw(rarely(len(additional), 0, of=5)), draw(signatures()))
    counts = struct.pack("!HHHH", questions, len(answers), len(authority), len(additional))
    number = draw(st.integers(0, 65535))
    message = (
        struct.pack("!HH", number, flags) + counts + question * questions + b"".join(answers + authority + additional)
    )
    return message + draw(rarely(b"", b"x", b"\0\0", of=12))


@st.composite
def sane(draw: st.DrawFn, cookie: st.SearchStrategy[bytes]) -> bytes:
    """A query that gets past the wire check, so that the steps behind it have enough to do."""
    labels, qtype = draw(st.sampled_from(QNAMES)), draw(st.sampled_from([1, 1, 1, 28, 6, 65]))
    additional = draw(st.sampled_from([b"", b"cookie"]))
    if additional:
        value = draw(cookie.filter(is_cookie))
        option = struct.pack("!HH", 10, len(value)) + value
        additional = b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(option)) + option
    counts = struct.pack("!HHHH", 1, 0, 0, 1 if additional else 0)
    head = struct.pack("!HH", draw(st.integers(0, 65535)), draw(st.sampled_from([0x0100, 0, 0x0120])))
    return head + counts + wire_name(labels) + struct.pack("!HH", qtype, 1) + additional


@st.composite
def mutated(draw: st.DrawFn, cookie: st.SearchStrategy[bytes]) -> bytes:
    """One with bytes changed, cut out or put in, or the end cut off."""
    wire = bytearray(draw(made(cookie)))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, max(0, len(wire) - 1)))
        match draw(st.sampled_from(["byte", "length", "cut", "insert", "end", "pad"])):
            case "byte" | "length" if wire:
                wire[at] = draw(st.sampled_from([0, 1, 2, 63, 64, 128, 192, 255]))
            case "cut":
                del wire[at : at + draw(st.integers(1, 3))]
            case "insert":
                wire[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "end":
                del wire[at:]
            case "pad":
                wire += bytes(draw(st.sampled_from([1, 300, 1500, 4096])))
    return bytes(wire)


@st.composite
def long_names(draw: st.DrawFn) -> bytes:
    """A question whose name is at or over 255 bytes."""
    labels = [b"a" * draw(st.sampled_from([61, 62, 63, 63]))] * draw(st.integers(3, 5))
    tail = draw(st.sampled_from([b"\0\0\1\0\1", b"\x3d" + b"b" * 61 + b"\0\0\1\0\1", b"\xc0\x0c\0\1\0\1", b""]))
    return struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + wire_name(labels)[:-1] + tail


def messages(cookies: Cookies, address: str, unix: int) -> st.SearchStrategy[bytes]:
    """Any message."""
    cookie = cookie_values(cookies, ipaddress.ip_address(address), unix)
    kinds = {
        "sane": sane(cookie),
        "made": made(cookie),
        "mutated": mutated(cookie),
        "long": long_names(),
        "raw": st.binary(max_size=40),
    }
    often = ["sane"] * 16 + ["made"] * 8 + ["mutated"] * 6 + ["long", "raw"]
    return st.sampled_from(often).flatmap(kinds.__getitem__)


@st.composite
def clients(draw: st.DrawFn) -> Client:
    """Who asks."""
    transport = draw(st.sampled_from(["udp", "udp", "udp", "tcp", "tls"]))
    address = draw(st.sampled_from([*V4, *V6]))
    local, port = "192.0.2.53" if ":" not in address else "2001:db8::53", 40_000
    odd = draw(st.integers(0, 40))
    if odd == 1:
        address = draw(st.sampled_from(ODD_SOURCES))
    elif odd == 2:
        local = draw(st.sampled_from(["127.0.0.1", "::1"]))
    elif odd == 3:
        address, port = local, 53
    elif 4 <= odd < 8:
        port = draw(st.sampled_from([0, 7, 13, 19, 37, 53, 53, 53, 464, 464, 464]))
    return Client(
        transport=transport,
        source=(address, port),
        local=(local, 53),
        allow=tuple(draw(st.sampled_from([(), ("transfer",), ("notify", "update"), ("notify", "update", "transfer")]))),
        listener=draw(st.sampled_from([0, 0, 1])),
        tlvs=tuple(draw(st.sampled_from([(), (), ((2, b"ab"),), ((0xE0, b"\x0a\x0b"), (2, b"abc"))]))),
        server_name=draw(st.sampled_from([None, (b"www", b"example", b"com")])) if transport == "tls" else None,
    )
