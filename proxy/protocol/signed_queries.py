"""Whether a query is signed by one given key (TSIG, RFC 8945 §5.2). Only looked at: the bytes pass as they are.

… | name of the key | TSIG 250 | ANY 255 | 0 | length | algorithm, time, fudge, MAC, original ID, error, other
    └── the last record of the additional section
"""

from __future__ import annotations

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig

from proxy.protocol.transfer_queries import HEADER_SIZE
from proxy.protocol.tsig import signing_key
from proxy.settings.keys import TsigKey


class SignatureGate:
    """Lets queries pass that this key has signed."""

    def __init__(self, key: TsigKey) -> None:
        """Take the key.

        Raises:
            ValueError: as `signing_key`.
        """
        self._key = signing_key(key)

    def refusal(self, message: bytes, now: float) -> str | None:
        """Why this query must be refused, as a label; None lets it pass. `now` is Unix time.

        "tsig-missing", "tsig-key" (another key or algorithm), "tsig-mac", "tsig-time"; any bytes are taken.
        """
        try:
            start = _last_record(message)
            if start is None:
                return "tsig-missing"
            owner, used = dns.name.from_wire(message, start)
            at = start + used
            if int.from_bytes(message[at : at + 2]) != dns.rdatatype.TSIG:
                return "tsig-missing"
            size = int.from_bytes(message[at + 8 : at + 10])
            rdata = dns.rdata.from_wire(dns.rdataclass.ANY, dns.rdatatype.TSIG, message, at + 10, size)
            check = dns.tsig.validate
            check(message, self._key, owner, rdata, int(now), b"", start)  # type: ignore[no-untyped-call]  # dnspython's
        except (dns.tsig.BadKey, dns.tsig.BadAlgorithm):
            return "tsig-key"
        except dns.tsig.BadTime:
            return "tsig-time"
        except (dns.exception.DNSException, ValueError):
            return "tsig-mac"
        return None


def _last_record(message: bytes) -> int | None:
    """Where the last additional record begins; None: there is none.

    Raises:
        ValueError: records that are cut.
    """
    counts = [int.from_bytes(message[at : at + 2]) for at in (4, 6, 8, 10)]
    at = HEADER_SIZE
    for _ in range(counts[0]):
        at = _behind_name(message, at) + 4
    start = None
    for _ in range(sum(counts[1:])):
        start = at
        at = _behind_name(message, at) + 10
        at += int.from_bytes(message[at - 2 : at])
    if at != len(message):
        raise ValueError("records that do not end where the message does")
    return start if counts[3] else None


def _behind_name(message: bytes, at: int) -> int:
    while at < len(message):
        size = message[at]
        if size == 0:
            return at + 1
        if size >= 0xC0:
            return at + 2
        at += 1 + size
    raise ValueError("a name that is cut")
