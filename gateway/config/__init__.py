"""The configuration file: TOML in, frozen settings out, or every error at once with file, line, key and remedy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from gateway.config.checks import cross_check
from gateway.config.problems import ConfigError, Problem, show_key
from gateway.config.reader import Fault, Reader
from gateway.config.secrets import SecretSource
from gateway.config.source import parse, read_file
from gateway.config.tls_checks import tls_faults
from gateway.settings import AdminSettings, GatewaySettings

__all__ = ["ConfigError", "Loaded", "Problem", "check_effective", "load", "load_admin", "load_tree"]


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration that can be used. `warnings` are worth mending, but don't stop it."""

    settings: GatewaySettings
    warnings: tuple[str, ...] = ()


def load(path: Path) -> Loaded:
    """Read and check a configuration file.

    Raises:
        ConfigError: with all that is wrong.
    """
    content = read_file(path)
    tree = parse(str(path), content)
    secrets = SecretSource(path.parent, os.environ)
    settings = _read(str(path), tree, secrets, content, path.parent)
    warnings = []
    if secrets.literal and path.stat().st_mode & 0o004:
        warnings.append(f"{path}: holds a secret and every user can read it: chmod 600, or use {{ env }} or {{ file }}")
    warnings += _dead_rules(str(path), content, settings)
    warnings += _stale_files(path, content, settings)
    return Loaded(settings=settings, warnings=tuple(warnings))


def _dead_rules(name: str, content: bytes, settings: GatewaySettings) -> list[str]:
    if settings.ingress is None or not settings.filters.rules:
        return []
    from filters.shadows import dead_rules

    faults = [
        Fault(
            ("filters", "rules", place),
            f'the rule "{settings.filters.rules[place].name}"',
            f"it can never match: {why}",
        )
        for place, why in dead_rules(settings.filters.rules)
    ]
    return [str(problem) for problem in _place(name, content, faults)] if faults else []


def _stale_files(path: Path, content: bytes, settings: GatewaySettings) -> list[str]:
    if not any(primary.tls for primary in settings.primaries):
        return []
    from gateway.config.tls_checks import tls_warnings

    return [str(problem) for problem in _place(str(path), content, tls_warnings(settings.primaries, path.parent))]


def load_admin(path: Path) -> AdminSettings:
    """Only `[admin]`: enough to reach a running gateway, even while the rest of the file is being mended.

    Raises:
        ConfigError: the file is not TOML, or `[admin]` is wrong.
    """
    content = read_file(path)
    tree = parse(str(path), content)
    reader = Reader(SecretSource(path.parent, os.environ))
    settings = reader.table(AdminSettings, tree.get("admin", {}), ("admin",))
    if settings is None:
        raise ConfigError(_place(str(path), content, reader.faults))
    return settings


def load_tree(name: str, tree: dict[str, object]) -> GatewaySettings:
    """Settings from a tree that isn't a file's, such as options of the command line; `name` says where it is from.

    Raises:
        ConfigError: with all that is wrong.
    """
    return _read(name, tree, SecretSource(Path(), os.environ), b"")


def check_effective(path: Path, settings: GatewaySettings, kept: Sequence[str]) -> None:
    """Check the settings that a reload would take, of which `kept` are those of before, because they need a restart.

    Raises:
        ConfigError: they don't go together.
    """
    faults = _policy(settings) if settings.ingress is not None else []
    if faults:
        right = f"; {', '.join(kept)} can't change without a restart: restart the gateway to take all of it"
        content = read_file(path)
        raise ConfigError(
            _place(str(path), content, (Fault(fault.key, fault.found, fault.right + right) for fault in faults))
        )


def _read(
    name: str, tree: dict[str, object], secrets: SecretSource, content: bytes, base: Path | None = None
) -> GatewaySettings:
    reader = Reader(secrets)
    settings = reader.table(GatewaySettings, tree)
    faults = [*reader.faults, *cross_check(reader.tables, tree), *tls_faults(reader.tables, tree, base)]
    if not faults and settings is not None and settings.ingress is not None:
        faults += _policy(settings)
    if faults or settings is None:
        raise ConfigError(_place(name, content, faults))
    return settings


def _policy(settings: GatewaySettings) -> list[Fault]:
    """What only compiling the policy shows: combinations that the data plane can't carry."""
    # Imported here, because only a gateway with a way in needs the data plane.
    from filters.detectors.detectors import check
    from filters.errors import FilterError
    from filters.policy import compile_policy
    from filters.rule_checks import check_rules
    from proxy.ingress.surroundings import surroundings

    assert settings.ingress is not None
    faults = [Fault(("filters", *key), found, right) for key, found, right in check(settings.filters)]
    around = surroundings(settings.ingress, notify=settings.notify)
    found_in_rules = check_rules(settings.filters, listeners=around.listeners, pools=around.pools)
    faults += [Fault(("filters", *key), found, right) for key, found, right in found_in_rules]
    if faults:
        return faults
    try:
        compile_policy(settings.filters, around)
    except FilterError as error:
        faults.append(Fault(("filters", *error.place), "filters that can't be compiled", str(error)))
    return faults


def _place(name: str, content: bytes, faults: Iterable[Fault]) -> list[Problem]:
    # Imported here, because a configuration without errors needs no line numbers.
    from gateway.config.positions import Positions

    positions = Positions(content)
    return [
        Problem(
            file=name, line=positions.line(fault.key), key=show_key(fault.key), found=fault.found, right=fault.right
        )
        for fault in faults
    ]
