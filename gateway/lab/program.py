"""`zonegate run` as a child process: the gateway and the exit of the lab run as an operator would start them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import gateway
from gateway.lab.asking import is_ready
from gateway.lab.servers.process import ChildProcess
from proxy.values import Endpoint

SOURCES = Path(gateway.__file__).parent.parent
PATH = os.pathsep.join(filter(None, [str(SOURCES), os.environ.get("PYTHONPATH")]))


class Zonegate(ChildProcess):
    """One `zonegate run` with a configuration file in `directory`.

    Attributes:
        admin: its admin address, the one in its configuration.
    """

    def __init__(self, name: str, directory: Path, admin: Endpoint) -> None:
        self.admin = admin
        self.file = directory / f"{name}.toml"
        argv = [sys.executable, "-m", "gateway.cli", "run", "--config", str(self.file)]
        # Found from any directory, also when this program runs from its source tree.
        super().__init__(argv, directory / f"{name}.log", name=name, env={"PYTHONPATH": PATH}, cwd=directory)

    async def answers(self, page: str) -> bool:
        """Whether a page of its admin address, such as /readyz, says 200."""
        return await is_ready(self.admin, page)
