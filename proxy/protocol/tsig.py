"""TSIG of single messages (RFC 8945): who signed a request, and how the answer is signed or says what was wrong.

    request  | header | question | ... | TSIG: key, algorithm, time, fudge, MAC |
    answer   | header | question | ... | TSIG: the same key, MAC over the request's MAC and the answer |

A key that is not known or a MAC that is wrong is answered with NOTAUTH and an unsigned TSIG record that says BADKEY or
BADSIG (section 5.2.1 and 5.2.2); a wrong time with NOTAUTH and a signed one that has our time (section 5.2.3).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.wire
from dns.rdtypes.ANY.TSIG import TSIG

from proxy.errors import ProxyError
from proxy.settings.keys import TsigKey
from proxy.values import Secret

FUDGE = 300


class TsigError(ProxyError):
    """A signature that does not hold. `code` is what the answer says: BADKEY, BADSIG or BADTIME."""

    def __init__(self, message: str, code: dns.rcode.Rcode) -> None:
        super().__init__(message, dns.rcode.to_text(code, tsig=True).lower())
        self.code = code


@dataclass(frozen=True, slots=True)
class Signature:
    """The TSIG record of a request. `key` is None where we don't know it, and `start` where the record stands."""

    owner: dns.name.Name
    record: TSIG
    start: int
    key: dns.tsig.Key | None = field(repr=False)  # its own repr has the secret


def key_bytes(name: str, secret: Secret) -> bytes:
    """The key itself, of a secret in base64.

    Raises:
        ValueError: it is not base64; the text shows the name of the key alone.
    """
    try:
        return base64.b64decode(secret.reveal(), validate=True)
    except ValueError:
        raise ValueError(f"the secret of TSIG key {name} is not base64") from None


def signing_key(settings: TsigKey) -> dns.tsig.Key:
    """The key that signs and verifies messages. Its own repr has the secret.

    Raises:
        ValueError: as `key_bytes`, or a name that is none.
    """
    secret = key_bytes(settings.name, settings.secret)
    try:
        return dns.tsig.Key(dns.name.from_text(settings.name), secret, dns.name.from_text(settings.algorithm))
    except dns.exception.DNSException as error:
        raise ValueError(f"TSIG key {settings.name}: {error}") from None


class KeyRing:
    """The keys by name. It shows no secret."""

    def __init__(self, keys: Iterable[TsigKey]) -> None:
        """
        Raises:
            ValueError: a name or secret that is none.
        """
        self._keys: dict[dns.name.Name, dns.tsig.Key] = {}
        for each in keys:
            key = signing_key(each)
            self._keys[key.name] = key

    def get(self, name: dns.name.Name) -> dns.tsig.Key | None:
        """The key of this name."""
        return self._keys.get(name)

    def read(self, wire: bytes, message: dns.message.Message) -> Signature | None:
        """The signature of a message that was read without checking it; None: it has none."""
        if message.tsig is None:
            return None
        owner, record = message.tsig.name, message.tsig[0]
        assert isinstance(record, TSIG)
        return Signature(owner, record, _last_record(wire), self._keys.get(owner))


def verify(wire: bytes, signature: Signature, now: int) -> None:
    """Check the signature of a request, at `now` in seconds since 1970.

    Raises:
        TsigError: it does not hold.
    """
    key, record = signature.key, signature.record
    if key is None or key.algorithm != record.algorithm:
        raise TsigError(f"signed by {signature.owner}, which is no key of ours", dns.rcode.BADKEY)
    try:
        dns.tsig.validate(wire, key, signature.owner, record, now, b"", signature.start)  # type: ignore[no-untyped-call]  # dnspython has no types there
    except dns.tsig.BadTime:
        off = record.time_signed - now
        text = f"signed {abs(off)} s {'ahead of' if off > 0 else 'behind'} our clock"
        raise TsigError(text, dns.rcode.BADTIME) from None
    except (dns.exception.DNSException, NotImplementedError):
        raise TsigError(f"the signature by {signature.owner} is wrong", dns.rcode.BADSIG) from None


def sign(answer: bytes, request: Signature, now: int, error: TsigError | None = None) -> bytes:
    """The answer with the TSIG record that the request calls for. `answer` has none yet."""
    code = dns.rcode.NOERROR if error is None else error.code
    bad_time = code == dns.rcode.BADTIME
    record = request.record.replace(
        fudge=FUDGE,
        # RFC 8945 section 5.2.3: the client's time, so that it can check the MAC, and ours beside it.
        time_signed=request.record.time_signed if bad_time else now,
        mac=b"",
        original_id=int.from_bytes(answer[:2]),
        error=code,
        other=now.to_bytes(6) if bad_time else b"",
    )
    assert isinstance(record, TSIG)
    if request.key is not None and code in {dns.rcode.NOERROR, dns.rcode.BADTIME}:
        mac = request.record.mac
        record, _ = dns.tsig.sign(answer, request.key, record, record.time_signed, mac)  # type: ignore[no-untyped-call]  # as above
    data = record.to_wire()
    assert data is not None
    owner = request.owner.to_wire()
    assert owner is not None
    counted = answer[:10] + (int.from_bytes(answer[10:12]) + 1).to_bytes(2) + answer[12:]
    fixed = struct.pack("!HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(data))
    return counted + owner + fixed + data


def _last_record(wire: bytes) -> int:
    """Where the last record of a message that could be read begins."""
    parser = dns.wire.Parser(wire)
    _, _, questions, *counts = parser.get_struct("!HHHHHH")
    for _ in range(questions):
        dns.name.from_wire_parser(parser)
        parser.get_struct("!HH")
    start = parser.current
    for _ in range(sum(counts)):
        start = parser.current
        dns.name.from_wire_parser(parser)
        length = parser.get_struct("!HHIH")[3]
        parser.get_bytes(length)
    return start
