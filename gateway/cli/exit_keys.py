"""`zonegate exit keys`: fresh keys for an exit and its users, with the TOML of the exit and the URLs of the tunnels.

With users there is an identity key, which all of them know, and a key for each (SIP023); the URL of a user holds both.
A method without identity headers has one key. Secrets go to the terminal, or with `--output` into files of mode 600.
"""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.cli.common import json_option
from gateway.cli.secrets import hand_over

DEFAULT_PORT = 8388
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
METHODS = (
    "2022-blake3-aes-256-gcm",
    "2022-blake3-aes-128-gcm",
    "2022-blake3-chacha20-poly1305",
    "aes-256-gcm",
    "aes-128-gcm",
    "chacha20-ietf-poly1305",
)

_EPILOG = """\
\b
Examples:
  zonegate exit keys --host exit.example.net:8388
  zonegate exit keys --host exit.example.net:8388 --user berlin --user oslo --output keys
  zonegate exit keys --host exit.example.net:8388 --user rome --key-file keys/exit.key --qr
  zonegate exit keys --method aes-256-gcm --host 192.0.2.1:8388 --json

The second writes exit.key (the identity key), and a .key and a .url for each user, into the directory `keys`, and shows
no secret. The third adds a user to an exit that is there.
"""


@dataclass(frozen=True, slots=True)
class _User:
    """Someone who gets a key, and where the exit's host is known a URL. An exit without users has one, called exit."""

    name: str
    key: str
    url: str | None


@dataclass(frozen=True, slots=True)
class _Keys:
    """All that was made. `key` is exit.key: the identity key, or that of the one client; None: the one user's is."""

    method: str
    host: str | None
    key: str | None
    users: tuple[_User, ...]
    url: str | None  # of the one client of an exit without users


@click.command("keys", epilog=_EPILOG, short_help="Make keys for an exit and its users, and the URLs of the tunnels.")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True, help="The method.")
@click.option("--host", help=f"Where the tunnels will find the exit, as HOST:PORT.  [default port: {DEFAULT_PORT}]")
@click.option("--user", "names", multiple=True, help="A user's name; may be given more than once.")
@click.option("--key-file", type=click.Path(path_type=Path), help="Use the identity key in FILE, to add users to it.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the secrets into files in DIRECTORY.")
@click.option("--qr", is_flag=True, help="Show each URL as a QR code, too.")
@json_option
def keys(
    method: str,
    host: str | None,
    names: tuple[str, ...],
    key_file: Path | None,
    output: Path | None,
    qr: bool,
    as_json: bool,
) -> None:
    """Make fresh keys for an exit and its users, and print the exit's TOML and the ss:// URLs of the tunnels."""
    _check(names, host, key_file, output, qr, as_json)
    made = _make(method, host, names, _read_key(key_file))
    if as_json:
        click.echo(_json(made))
        return
    if output is not None:
        _write(made, output, known=key_file is not None)
    click.echo(_exit_table(made, output, known=key_file is not None))
    click.echo(_tunnel_tables(made, output))
    if qr:
        for name, url in _urls(made):
            click.echo(f"# {name}\n{_qr_code(url)}")


def _check(
    names: tuple[str, ...], host: str | None, key_file: Path | None, output: Path | None, qr: bool, as_json: bool
) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise click.UsageError(f"{name!r} is no name: write letters, digits, dots, hyphens and underscores")
        if name == "exit" and output is not None:
            raise click.UsageError("exit.key is the exit's own: name the user otherwise")
    if len(set(names)) < len(names):
        raise click.UsageError("a user is named twice")
    if qr and host is None:
        raise click.UsageError("--qr shows a URL, which needs --host")
    if as_json and (qr or output is not None):
        raise click.UsageError("--json stands alone: it prints all, secrets too")
    if key_file is not None and not names:
        raise click.UsageError("--key-file is for adding users: name them with --user")


def _read_key(file: Path | None) -> str | None:
    try:
        return file.read_text().strip() if file is not None else None
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {getattr(error, 'strerror', None) or 'not text'}") from None


def _make(method: str, host: str | None, names: tuple[str, ...], identity_key: str | None) -> _Keys:
    # Imported here, because the ciphers are slow to load and --help needs none.
    from proxy.protocol.identity import supports_identity
    from proxy.protocol.methods import find_method

    able = supports_identity(find_method(method))
    if not able and (len(names) > 1 or identity_key is not None):
        raise click.UsageError(f"{method} can't tell users apart (SIP023): take one of 2022-blake3-aes-*, or one user")
    if identity_key is not None:
        try:
            find_method(method).key_from_text(identity_key)
        except ValueError as error:
            raise click.UsageError(f"--key-file: {error}") from None
    key = None if names and not able else identity_key or fresh_key(method)
    users = []
    for name in names:
        own = fresh_key(method)
        users.append(_User(name, own, _url(method, f"{key}:{own}" if key else own, host, name)))
    return _Keys(method, host, key, tuple(users), None if names or key is None else _url(method, key, host, ""))


def fresh_key(method: str) -> str:
    """A random key as `exit.key` takes it for this method."""
    from proxy.protocol.methods import find_method

    found = find_method(method)
    if found.edition == 2017:
        return secrets.token_urlsafe(24)  # a password: 192 random bits
    return base64.b64encode(secrets.token_bytes(found.key_size)).decode()


def _url(method: str, key: str, host: str | None, tag: str) -> str | None:
    from proxy.protocol.methods import find_method
    from proxy.protocol.share_urls import shadowsocks_url
    from proxy.protocol.tunnel_urls import TunnelHost, parse_tunnel_url

    if host is None:
        return None
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, str(DEFAULT_PORT)
    try:
        if not port.isascii() or not port.isdigit():
            raise ValueError("write HOST:PORT, or [IPV6]:PORT")
        address = TunnelHost(name.removeprefix("[").removesuffix("]"), int(port))
        url = shadowsocks_url(find_method(method), key, address, tag)
        parse_tunnel_url(url)
    except ValueError as error:
        raise click.UsageError(f"--host or --key-file: {error}") from None
    return url


def _urls(made: _Keys) -> list[tuple[str, str]]:
    """Each tunnel's name and URL."""
    named = [(user.name, user.url) for user in made.users] or [("exit", made.url)]
    return [(name, url) for name, url in named if url is not None]


def _write(made: _Keys, directory: Path, *, known: bool) -> None:
    """Each secret in a file of its own."""
    files = {} if made.key is None or known else {"exit.key": made.key}
    files |= {f"{user.name}.key": user.key for user in made.users}
    files |= {f"{name}.url": url for name, url in _urls(made)}
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"{directory}: {error.strerror}") from None
    for name, secret in files.items():
        hand_over(secret, directory / name)
    click.echo()


def _exit_table(made: _Keys, output: Path | None, *, known: bool) -> str:
    """`[exit]` as it goes into zonegate.toml; of one that is there, the new users."""
    beside = "" if output is None else ", with the .key files beside it"
    if known:
        lines = [f"# The exit: add to zonegate.toml on its machine{beside}; then: zonegate reload"]
    else:
        lines = [f"# The exit: into zonegate.toml on its machine, below `version = 1`{beside}", "[exit]"]
        lines += [f'listen = "0.0.0.0:{_port(made)}"', f'method = "{made.method}"']
        if made.key is not None:
            lines.append(f"key = {_secret(made.key, output, 'exit.key')}")
        lines.append(
            'allow = ["203.0.113.5/32:53"]     # change this: the primaries that it may open, and nothing else'
        )
    for user in made.users:
        lines += ["", "[[exit.users]]", f'name = "{user.name}"']
        lines.append(f"key = {_secret(user.key, output, f'{user.name}.key')}")
    return "\n".join(lines) + "\n"


def _tunnel_tables(made: _Keys, output: Path | None) -> str:
    """`[[tunnels]]` of each gateway that comes through the exit."""
    lines = []
    for name, url in _urls(made):
        beside = "" if output is None else f", with {name}.url beside it"
        whose = name if made.users else "the gateway"
        lines += [f"# The tunnel: into zonegate.toml of {whose}{beside}", "[[tunnels]]"]
        lines += [f'name = "{name}"', f"url = {_secret(url, output, f'{name}.url')}", ""]
    return "\n".join(lines)


def _port(made: _Keys) -> str:
    port = (made.host or "").rpartition(":")[2]
    return port if port.isdigit() else str(DEFAULT_PORT)


def _secret(text: str, output: Path | None, file: str) -> str:
    """As TOML. What is written here needs no escapes: base64, and URLs with theirs already."""
    return f'"{text}"' if output is None else f'{{ file = "{file}" }}'


def _json(made: _Keys) -> str:
    users = [{"name": user.name, "key": user.key, "url": user.url} for user in made.users]
    return json.dumps({"method": made.method, "key": made.key, "url": made.url, "users": users}, indent=2)


def _qr_code(url: str) -> str:
    import segno

    output = io.StringIO()
    segno.make(url, error="m", micro=False).terminal(output, border=2, compact=True)
    return output.getvalue()
