"""Reading PEM files (RFC 7468): regular, of a sensible size, and a private key readable by its owner and group only."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from certs.errors import CertError

MOST_BYTES = 4 << 20
"""The bundle of a whole system has some 250 kB."""

_PEM = b"-----BEGIN "


def read_pem(path: Path, *, private: bool = False) -> bytes:
    """The bytes of a PEM file. O_NONBLOCK, so that a FIFO can't hold us up.

    Raises:
        CertError: it can't be read, is no PEM, is too large, or is `private` and every user can read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise CertError(path, "not a regular file", "name a PEM file")
            if private and status.st_mode & stat.S_IROTH:
                raise CertError(path, "a private key that every user can read", f"chmod 600 {_quoted(path)}")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MOST_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = error.strerror or "bad path"
        raise CertError(path, f"a file that can't be read ({reason})", "put it there, or correct the path") from None
    except ValueError:  # a NUL in the path
        raise CertError(path, "no path", "write the path of a PEM file") from None
    if len(data) > MOST_BYTES:
        raise CertError(path, f"more than {MOST_BYTES} bytes", "name a PEM file")
    if _PEM not in data:
        kind = "pkey" if private else "x509"
        remedy = f"convert it: openssl {kind} -inform DER -in {_quoted(path)} -out FILE.pem"
        raise CertError(path, "no PEM", remedy)
    return data


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
