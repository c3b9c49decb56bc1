"""SOCKS5 servers that are not ours: Dante with accounts, microsocks, and OpenSSH's `ssh -D`. All on 127.0.0.1 only."""

from __future__ import annotations

import subprocess
from pathlib import Path

from proxy.values import Endpoint
from tests.support.accounts import PASSWORD, USER, with_account
from tests.support.peers import ChildProcess, require
from tests.support.tunnels import DANTE_CONFIGURATION, DANTE_USERS

SSHD_CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host
AuthorizedKeysFile /run/user.pub
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding local
PermitTTY no
"""


def dante_with_password(directory: Path, listen: Endpoint) -> ChildProcess:
    """`danted` that asks for user and password, `accounts.USER` and `accounts.PASSWORD`; TCP and UDP."""
    home = directory / "dante"
    home.mkdir()
    configuration = home / "danted.conf"
    text = DANTE_CONFIGURATION.replace("socksmethod: none", "socksmethod: username")
    configuration.write_text(text.format(port=listen.port, users=DANTE_USERS, commands="connect udpassociate udpreply"))
    argv = [require("danted"), "-f", str(configuration), "-p", str(home / "danted.pid"), "-N", "1"]
    return ChildProcess(with_account(home, argv), home / "danted.log", name="danted")


def microsocks(directory: Path, listen: Endpoint, user: str = "", password: str = "") -> ChildProcess:
    """`microsocks`: TCP only."""
    host, port = listen.sockaddr
    argv = [require("microsocks"), "-i", host, "-p", str(port)]
    if user:
        argv += ["-u", user, "-P", password]
    return ChildProcess(argv, directory / f"microsocks-{port}.log", name="microsocks")


def ssh_server(directory: Path, listen: Endpoint) -> ChildProcess:
    """A private `sshd` with keys of its own, which only forwards."""
    home = directory / "ssh"
    (home / "run").mkdir(parents=True)
    for name in ("host", "user"):
        subprocess.run([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
    (home / "user.pub").rename(home / "run" / "user.pub")
    configuration = home / "sshd.conf"
    configuration.write_text(SSHD_CONFIGURATION.format(port=listen.port, home=home))
    argv = [require("sshd"), "-D", "-e", "-f", str(configuration)]
    return ChildProcess(with_account(home, argv), home / "sshd.log", name="sshd")


def ssh_socks(directory: Path, listen: Endpoint, server: Endpoint) -> ChildProcess:
    """`ssh -D` to the `ssh_server` of that directory: TCP only, no authentication."""
    host, port = server.sockaddr
    home = directory / "ssh"
    argv = [require("ssh"), "-F", "none", "-N", "-D", str(listen), "-i", str(home / "user"), "-p", str(port)]
    for option in (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "ExitOnForwardFailure=yes",
    ):
        argv += ["-o", option]
    return ChildProcess([*argv, f"{USER}@{host}"], home / "ssh.log", name="ssh")


__all__ = ["PASSWORD", "USER", "dante_with_password", "microsocks", "ssh_server", "ssh_socks"]
