"""SSL contexts made of checked material.

A client makes sure who is there by name (RFC 9525: chain to an authority, and the name in the certificate), or its
user does so by pin; a context without either does not exist.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from certs.authorities import Authorities
from certs.chains import Chain, load_chain
from certs.errors import CertError
from certs.keys import check_key


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: a chain, and the file of its key."""

    chain: Chain
    key: Path


def load_identity(certificate: Path, key: Path) -> Identity:
    """Read and check both files.

    Raises:
        CertError: as `load_chain` and `check_key`.
    """
    chain = load_chain(certificate)
    check_key(key, chain)
    return Identity(chain, key)


def client_context(
    *,
    authorities: Authorities | None = None,
    by_name: bool = True,
    identity: Identity | None = None,
    alpn: str | None = None,
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """A context for connections that we open.

    `by_name`: chain and name are checked, against `authorities` or else those of the system. Without it nothing is:
    whoever uses the context must compare pins.

    Raises:
        CertError: what OpenSSL refuses of the identity.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = lowest
    if not by_name:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is not None:
        context.load_verify_locations(cadata=authorities.der)
        # Whoever names an intermediate trusts it, and not what else its root has issued.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    if identity is not None:
        _present(context, identity)
    return context


def _present(context: ssl.SSLContext, identity: Identity) -> None:
    path = identity.chain.path
    try:
        # Checked to need no password; had the file changed since, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(path, identity.key, password=lambda: "")
    except ssl.SSLError as error:
        found = f"a certificate or key that OpenSSL refuses ({error.reason or 'unreadable'})"
        raise CertError(path, found, "use ECDSA, Ed25519 or RSA of 2048 bits or more") from None
    except OSError as error:
        raise CertError(path, f"a file that can't be read ({error.strerror})", "put it there again") from None
