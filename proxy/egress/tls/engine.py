"""One TLS connection without I/O: bytes in, bytes out, any chunking the same.

    peer's bytes ─▶ feed ─▶ payload            payload ─▶ send ─▶ take ─▶ bytes for the peer

`ssl.MemoryBIO` below, since uvloop starts TLS on its own sockets only. Nothing leaves for a peer that was not
authenticated: pins and ALPN are looked at before our Finished (and our certificate) is taken out.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Set
from dataclasses import dataclass, field

from certs.peers import PeerCertificate, read_peer
from certs.pins import show_pin
from proxy.egress.tls.failures import cut, cut_in_handshake, no_alpn, of_ssl, wrong_pin
from proxy.errors import ProxyError

RECORD = 16 << 10  # bytes of payload that a record holds at most (RFC 8446 section 5.1); a read gives one record


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a connection must be. `peer` is what people call the other side; `alpn` None does not look at it."""

    peer: str
    server_name: str | None
    pins: Set[bytes] = field(default_factory=frozenset)
    alpn: str | None = None


class TlsEngine:
    """The client's side. After a `failure` it is of no further use, but `take` may hold an alert for the peer."""

    def __init__(self, context: ssl.SSLContext, wanted: Wanted, session: ssl.SSLSession | None = None) -> None:
        self._wanted = wanted
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=wanted.server_name, session=session)
        self.ready = False  # the handshake is done, and the peer is whom we want
        self.ended = False  # the peer said that nothing more comes
        self.heard = False  # something came at all
        self.answered = False  # payload came
        self.failure: ProxyError | None = None  # it is not whom we want, does not speak TLS, or bytes were changed
        self.certificate: PeerCertificate | None = None

    def start(self) -> bytes:
        """The first flight."""
        self._shake_hands()
        return self.take()

    def feed(self, data: bytes) -> list[bytes]:
        """Bytes of the peer; gives the payload in them, up to what is wrong, which is in `failure` then.

        What comes behind the peer's end, or behind a failure, is ignored.
        """
        self.heard = True
        pieces: list[bytes] = []
        if self.ended or self.failure is not None:
            return pieces
        self._incoming.write(data)
        try:
            if not self.ready:
                self._shake_hands()
            if self.ready:
                self._read(pieces)
        except ProxyError as error:
            self.failure = error
        return pieces

    def eof(self) -> None:
        """No more bytes come.

        Raises:
            TunnelError: and the peer did not say so: "cut"; before any payload "tls-closed"; in the handshake
                "tls-handshake-cut", "closed".
        """
        if not self.ready:
            raise cut_in_handshake(self._wanted.peer, heard=self.heard)
        if not self.ended:
            raise cut(self._wanted.peer, answered=self.answered)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Seal payload, once `ready`; `take` has it then.

        Raises:
            ProxyError: the connection is broken already.
        """
        view = memoryview(data)
        while view:
            try:
                view = view[self.tls.write(view) :]
            except ssl.SSLError as error:
                raise of_ssl(self._wanted.peer, error, begun=True) from None

    def take(self) -> bytes:
        """What is to be sent to the peer now."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> None:
        """Say that nothing more comes from us (close_notify). Nothing is to be read after."""
        # It wants to read the peer's own end, or to have read what came before it: neither matters any more.
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()

    def _shake_hands(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise of_ssl(self._wanted.peer, error, begun=False) from None
        try:
            self._check_peer()
        except BaseException:
            self._outgoing.read()  # our Finished, and maybe our certificate: not for this peer
            raise
        self.ready = True

    def _check_peer(self) -> None:
        wanted = self._wanted
        if wanted.alpn is not None and self.tls.selected_alpn_protocol() != wanted.alpn:
            raise no_alpn(wanted.peer, wanted.alpn)
        with contextlib.suppress(ValueError):  # it stays None, which fits no pin
            self.certificate = read_peer(self.tls.getpeercert(binary_form=True) or b"")
        if wanted.pins and (self.certificate is None or self.certificate.digest not in wanted.pins):
            raise wrong_pin(wanted.peer, show_pin(self.certificate.digest) if self.certificate is not None else None)

    def _read(self, pieces: list[bytes]) -> None:
        while True:
            try:
                piece = self.tls.read(RECORD)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                piece = b""
            except ssl.SSLError as error:
                raise of_ssl(self._wanted.peer, error, begun=True) from None
            if not piece:
                self.ended = True
                return
            pieces.append(piece)
            self.answered = True
