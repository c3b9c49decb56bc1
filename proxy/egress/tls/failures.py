"""What went wrong in TLS, as an error with a reason and words: whose fault it is, and where to look.

What a peer says or shows under TLS is the peer's: a PrimaryError. What is cut or changed without a word of TLS about
it happened on the way: a TunnelError, and another tunnel may help.
"""

from __future__ import annotations

import ssl

from proxy.errors import PrimaryError, ProxyError, TunnelError

# X509_V_ERR_… of OpenSSL (openssl/x509_vfy.h): reason and words.
_CERTIFICATE = {
    9: ("tls-not-yet-valid", "its certificate is not valid yet; look at both clocks"),
    10: ("tls-expired", "its certificate has expired; it must be renewed there"),
    2: ("tls-unknown-authority", "no authority that is trusted here vouches for its certificate; name it with `ca`"),
    62: ("tls-wrong-name", "its certificate is for another name than `server_name`"),
    63: ("tls-wrong-name", "its certificate is for another name than `server_name`"),
    64: ("tls-wrong-name", "its certificate is for another address than `server_name`"),
}
_CERTIFICATE |= dict.fromkeys((18, 19, 20, 21, 24, 27), _CERTIFICATE[2])

_CLIENT_REFUSED = ("tls-client-refused", "it refuses our certificate, or wants one: set `certificate` and `key`")
_NO_VERSION = ("tls-version", "it has no TLS 1.3, which transfers over TLS need (RFC 9103 section 7.2)")
_NO_TLS = ("tls-not-tls", "what answers is not TLS; is the port of `address` that of DNS over TLS, 853 as a rule?")

# Reasons of OpenSSL's ssl library (openssl/sslerr.h), as Python shows them.
_REASONS = {
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "WRONG_SSL_VERSION": _NO_VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": ("tls-alert", "it finds no algorithms that both sides have"),
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": ("tls-no-alpn", "it does not know the protocol that we ask for (ALPN)"),
    "TLSV1_UNRECOGNIZED_NAME": ("tls-wrong-name", "it has no certificate for `server_name`"),
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "UNKNOWN_PROTOCOL": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
}
_REASONS |= dict.fromkeys(
    (
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_NO_CERTIFICATE",
    ),
    _CLIENT_REFUSED,
)
_CHANGED = {"DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "BAD_RECORD_TYPE"}


def of_ssl(peer: str, error: ssl.SSLError, *, begun: bool) -> ProxyError:
    """The error for one of OpenSSL's. `begun`: the handshake was done already."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason, words = _CERTIFICATE.get(error.verify_code, ("tls-certificate", "its certificate does not hold"))
        return PrimaryError(f"{peer}: {words} ({error.verify_message})", reason)
    name = error.reason or "unknown"
    if begun and name in _CHANGED:
        return TunnelError(f"{peer}: bytes were changed on the way: TLS does not authenticate them", "tls-changed")
    if name in _REASONS and not (begun and _REASONS[name] is _NO_TLS):
        reason, words = _REASONS[name]
        return PrimaryError(f"{peer}: {words}", reason)
    said = "_ALERT_" in name
    words = "it ended TLS with an alert" if said else "what it sends is not as TLS wants it"
    return PrimaryError(f"{peer}: {words} ({name.lower().replace('_', ' ')})", "tls-alert" if said else "tls-malformed")


def no_alpn(peer: str, wanted: str) -> PrimaryError:
    """It took the connection for something else, or does not say what for."""
    words = f'it did not select ALPN "{wanted}" (RFC 9103 section 7.1); with alpn = "offered" that is borne with'
    return PrimaryError(f"{peer}: {words}", "tls-no-alpn")


def wrong_pin(peer: str, shown: str | None) -> PrimaryError:
    """The key is none of those named. A public key is no secret: its pin helps whoever has to compare."""
    found = f"the pin of its key is {shown}" if shown is not None else "its certificate can't be read"
    return PrimaryError(f"{peer}: {found}, which is none of `pins`", "tls-wrong-pin")


def cut(peer: str, *, answered: bool) -> TunnelError:
    """An end that TLS did not announce (close_notify, RFC 8446 section 6.1): what came may not be all."""
    if answered:
        return TunnelError(f"{peer}: the stream ended without TLS saying so: what came may not be all", "cut")
    words = "closed behind the TLS handshake: it wants a certificate of ours, or refuses it without a word, or was cut"
    return TunnelError(f"{peer}: {words}", "tls-closed")


def cut_in_handshake(peer: str, *, heard: bool) -> TunnelError:
    """It ended before TLS stood. `heard`: something had come."""
    if heard:
        return TunnelError(f"{peer}: the stream ended in the TLS handshake", "tls-handshake-cut")
    words = "closed before any answer: the exit does not reach or may not open it, or it refuses us"
    return TunnelError(f"{peer}: {words}", "closed")


def stalled(peer: str, limit: float, *, heard: bool) -> ProxyError:
    """The handshake took too long. Silence may be the exit's as well, as it confirms nothing."""
    if heard:
        return PrimaryError(f"{peer}: the TLS handshake was not done within {limit:g} s", "tls-handshake-timeout")
    words = f"no answer to TLS within {limit:g} s: it is silent, or the exit is"
    return TunnelError(
        f"{peer}: {words}, as to a wrong key, a clock over 30 s off, and where it may not open it", "no-answer"
    )


def flooded(peer: str) -> PrimaryError:
    """It makes us answer (key updates, RFC 8446 section 4.6.3) and does not read the answers."""
    return PrimaryError(f"{peer}: it asks for more key updates than it reads", "tls-flood")
