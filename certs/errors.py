"""What is wrong with TLS material, said so that it can be mended. Never with a byte of a key."""

from __future__ import annotations

from pathlib import Path


class CertError(Exception):
    """Root of all errors of this package: what was found in `path` (None: in no file), and the `remedy`."""

    def __init__(self, path: Path | None, found: str, remedy: str) -> None:
        super().__init__(f"{path}: {found}; {remedy}" if path is not None else f"{found}; {remedy}")
        self.path = path
        self.found = found
        self.remedy = remedy
