"""Shadowsocks by others as a way to a primary: shadowsocks-libev (2017 edition), shadowsocks-rust (2022 edition)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.peers.programs import program
from bench.peers.zonegate import METHOD, new_endpoint, new_key
from gateway.lab.servers.process import ChildProcess
from proxy.values import Endpoint


@contextmanager
def libev(directory: Path, primary: Endpoint) -> Iterator[Endpoint]:
    """ss-tunnel and ss-server; yields the address that leads to `primary`.

    Raises:
        BenchError: a program is not installed.
    """
    entry, far_end = new_endpoint(), new_endpoint()
    common = ["-s", str(far_end.address), "-p", str(far_end.port), "-m", "aes-256-gcm", "-k", secrets.token_urlsafe()]
    tunnel = ["-b", str(entry.address), "-l", str(entry.port), "-L", str(primary)]
    with _running(
        directory,
        [program("ss-server"), *common, "-u"],
        [program("ss-tunnel"), *common, *tunnel, "-u"],
    ):
        yield entry


@contextmanager
def rust(directory: Path, primary: Endpoint) -> Iterator[Endpoint]:
    """sslocal as a tunnel and ssserver; yields the address that leads to `primary`.

    Raises:
        BenchError: a program is not installed.
    """
    entry, far_end = new_endpoint(), new_endpoint()
    common = ["-s", str(far_end), "-m", METHOD, "-k", new_key(), "-U"]
    tunnel = ["--protocol", "tunnel", "-b", str(entry), "-f", str(primary)]
    with _running(directory, [program("ssserver"), *common], [program("sslocal"), *common, *tunnel]):
        yield entry


@contextmanager
def client(directory: Path, far_end: Endpoint, key: str, primary: Endpoint) -> Iterator[Endpoint]:
    """sslocal alone, towards the exit of another; yields the address that leads to `primary`.

    Raises:
        BenchError: it is not installed.
    """
    entry = new_endpoint()
    common = ["-s", str(far_end), "-m", METHOD, "-k", key]
    with _running(
        directory, [program("sslocal"), *common, "--protocol", "tunnel", "-b", str(entry), "-f", str(primary)]
    ):
        yield entry


@contextmanager
def _running(directory: Path, *commands: list[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for command in commands:
            stack.enter_context(ChildProcess(command, directory / f"{Path(command[0]).name}.log"))
        yield
