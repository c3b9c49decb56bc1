"""Zones that are legal and seldom: each has something that a reader of transfers may not expect."""

from __future__ import annotations

HEAD = """\
$TTL 60
@ 300 SOA {mname} hostmaster.invalid. {serial} 3600 600 86400 30
@ NS ns
ns A 192.0.2.53
clock TXT "{serial}"
"""

_TYPES = r"""
t A 192.0.2.1
t AAAA 2001:db8::1
t HINFO "CPU" "OS"
t MX 10 T
t RP some.body text
t AFSDB 1 afs
t KX 10 exchange
t SRV 1 2 5060 sip
t NAPTR 100 10 "S" "SIP+D2U" "" _sip._udp
t LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
t CERT 1 0 0 AQID
t APL 1:192.0.2.0/24 !2:2001:db8::/32
t SSHFP 1 1 123456789abcdef67890123456789abcdef67890
t TLSA 3 1 1 8755cdaa8fe24ef16cc0f2c918063185e433faaf1415664911d9e30a924138c4
t SMIMEA 3 1 1 8755cdaa8fe24ef16cc0f2c918063185e433faaf1415664911d9e30a924138c4
t OPENPGPKEY AQID
t CDS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
t CSYNC 66 3 A NS AAAA
t HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1
t SVCB 1 svc port=8443
t URI 10 1 "https://example.org/"
t CAA 0 issue "ca.example"
t EUI48 00-00-5e-00-53-2a
t TYPE65534 \# 4 C00C0041
t TYPE4711 \# 0
dname DNAME elsewhere.invalid.
*.wild TXT "any"
* A 192.0.2.2
"""

_OLD = """
t RT 10 route
t PX 10 map822 mapx400
t X25 "311061700956"
t ISDN "150862028003217"
"""

_CUTS = """\
sub NS ns.sub
sub NS ns.other.invalid.
sub DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
ns.sub A 192.0.2.99
occluded.sub TXT "below a cut"
deeper.sub NS ns.deeper.sub
ns.deeper.sub AAAA 2001:db8::2
"""

_NAMES = r"""
a\.b TXT "x"
\000zero TXT "x"
\255\032x TXT "x"
a\@b\"c\;d\\e TXT "x"
MiXeD.CaSe A 192.0.2.1
mixed.case TXT "the same owner"
XN--mgba3gch31f060k TXT "x"
_under._score TXT "x"
"""


def _deep(zone: str) -> str:
    """Names of 255 bytes: of as many labels as fit, and of the longest."""
    room = 255 - len(zone) - 2
    single = ".".join("a" for _ in range(room // 2))
    long = ".".join("x" * min(63, left - 1) for left in (64, 64, 64, room - 3 * 64) if left > 1)
    chain = "\n".join(f"{'.'.join('b' * depth)} PTR {'.'.join('b' * (depth + 1))}" for depth in range(1, 110, 3))
    return f"{single} A 192.0.2.1\n{long} A 192.0.2.2\n{chain}\n"


def _nibbles() -> str:
    """Reverse names of 34 labels, which compressors chain label by label."""
    rows = [f"{number:04x}".replace("", ".")[1:-1] for number in range(0, 0xFFFF, 911)]
    tail = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
    return "\n".join(f"{row}.{tail} PTR {row}.host.invalid." for row in rows) + "\n"


def _signatures() -> str:
    """As many RRSIG as a zone with several keys has in the middle of their roll-over."""
    rows = []
    for number in range(400):
        rows.append(f"host-{number} A 192.0.2.{number & 255}")
        for tag in range(5):
            signature = "c2lnbmF0dXJl" * 5
            rows.append(f"host-{number} RRSIG A 13 3 60 20380101000000 20200101000000 {tag} {{zone}} {signature}")
    return "\n".join(rows) + "\n"


def _bodies() -> dict[str, str]:
    strings = " ".join(f'"{"y" * 250}"' for _ in range(240))
    return {
        "types.example": _TYPES,
        "old.example": _OLD,
        "cuts.example": _CUTS,
        "names.example": _NAMES,
        "lone.example": "",
        "deep.example": _deep("deep.example"),
        "8.b.d.0.1.0.0.2.ip6.arpa": _nibbles(),
        "large.example": "".join(f"big A 10.0.{number >> 8}.{number & 255}\n" for number in range(700)),
        "huge.example": f"huge TXT {strings}\n",
        "signed.example": _signatures(),
        "UPPER.Example": "WWW A 192.0.2.1\nwww AAAA 2001:db8::1\n",
        ".": "example NS ns.example\nns.example A 192.0.2.1\nco NS ns.co\nns.co A 192.0.2.2\n",
    }


BODIES = _bodies()


def at(zone: str, serial: int, mname: str = "ns.invalid.", more: str = "") -> str:
    """A zone in master-file format."""
    body = (BODIES[zone] + more).replace("{zone}", "" if zone == "." else f"{zone}.")
    origin = "." if zone == "." else f"{zone}."
    return f"$ORIGIN {origin}\n" + HEAD.format(serial=serial, mname=mname) + body
