"""The state directory: what must survive a restart lies here, such as the lists as they were last built.

It is ours alone (mode 0700): workers map files in it, and trust that nobody else cuts one short meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import StartError

MODE = 0o700


LISTS = "lists"
"""Below the state directory: where what is fetched is kept."""


def state_directory(named: str | None, config: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where it is: as `state` says (relative to the configuration file), else where systemd says, else beside the file.

    systemd names several directories with colons between them; the first is meant (systemd.exec(5)).
    """
    beside = config.parent if config is not None else Path()
    if named is not None:
        return (beside / named).absolute()
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else (beside / "state").absolute()


def make_state_directory(path: Path) -> Path:
    """Make it where it is missing, with its parents. One that is there stays as it is, if nobody else can write there.

    Raises:
        StartError: it can't be made, or others can write there; with the remedy.
    """
    try:
        path.mkdir(mode=MODE, parents=True, exist_ok=True)
        mode = path.stat().st_mode
    except OSError as error:
        raise StartError(f"the state directory {path}: {error.strerror}; set `state` to one that can be made") from None
    if mode & 0o022:
        raise StartError(f"the state directory {path} can be written by others; chmod 700 {path}")
    return path
