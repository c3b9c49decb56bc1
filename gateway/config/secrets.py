"""How a secret is written: as text, as `{ env = "NAME" }`, or as `{ file = "path" }`.

The path is relative to the configuration file. A file that every user of the machine can read keeps no secret, so it is
refused. Nothing of a secret is in any error.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from gateway.config.problems import quote
from gateway.config.reader import WrongValueError, read_literal
from proxy.values import Secret

_FORMS = 'write text in quotes, { env = "NAME" } or { file = "path" }'
_MOST_BYTES = 65_536


class SecretSource:
    """Reads secrets for one configuration file; `literal` tells whether one stood in the file itself."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self.literal = False

    def __call__(self, value: object) -> Secret:
        """Read one secret.

        Raises:
            WrongValueError: no such variable or file, empty, not text, or readable by everyone.
        """
        if isinstance(value, str):
            self.literal = True
            return read_literal(value)
        if not isinstance(value, dict) or len(value) != 1 or not isinstance(next(iter(value.values())), str):
            raise WrongValueError(_FORMS)
        ((form, name),) = value.items()
        if form == "env":
            return self._from_environment(name)
        if form == "file":
            return self._from_file(name)
        raise WrongValueError(_FORMS)

    def _from_environment(self, name: str) -> Secret:
        text = self._environment.get(name)
        if text is None:
            raise WrongValueError(f"set the environment variable {quote(name)}, which is not set")
        if not text:
            raise WrongValueError(f"set the environment variable {quote(name)}, which is empty")
        if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
            raise WrongValueError(f"set the environment variable {quote(name)} to UTF-8 text")
        return Secret(text)

    def _from_file(self, name: str) -> Secret:
        try:
            path = self._directory / name
            text = _read(path)
        except WrongValueError:
            raise
        except UnicodeDecodeError:
            raise WrongValueError(f"the secret file {quote(name)} is not UTF-8 text; write keys in base64") from None
        except OSError as error:
            where = "" if Path(name).is_absolute() else f", in {self._directory.absolute()}, where the configuration is"
            raise WrongValueError(
                f"the secret file {quote(name)} can't be read: {error.strerror or 'bad path'}{where}"
            ) from None
        except ValueError:  # a NUL in the path
            raise WrongValueError(f"{quote(name)} is not a path") from None
        if not text:
            raise WrongValueError(f"the secret file {quote(str(path))} is empty")
        return Secret(text)


def _read(path: Path) -> str:
    """The text of a secret file without its last line end. O_NONBLOCK, so that a FIFO can't hold us up."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise WrongValueError(f"{quote(str(path))} is not a regular file")
        if status.st_mode & stat.S_IROTH:
            raise WrongValueError(f"every user can read the secret file: chmod 600 {quote(str(path))}")
        if status.st_size > _MOST_BYTES:
            raise WrongValueError(f"the secret file {quote(str(path))} is larger than {_MOST_BYTES} bytes")
        return file.read(_MOST_BYTES).decode().removesuffix("\n").removesuffix("\r")
