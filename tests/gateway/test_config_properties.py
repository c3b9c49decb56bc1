"""Whatever a file holds: settings or a list of problems, never another exception; and no secret is ever shown."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import ConfigError, load
from gateway.config.plain import read_plain, to_plain
from gateway.config.positions import Positions
from gateway.settings import GatewaySettings
from tests.gateway.configs import FULL, PLANTED

TOKENS = st.sampled_from(
    [
        "[",
        "]",
        "[[",
        "]]",
        "=",
        ".",
        ",",
        '"',
        "'",
        '"""',
        "{",
        "}",
        "\n",
        "#",
        "\\",
        "\0",
        "é",
        "1979-05-27",
        "0x1",
        "1e400",
        "nan",
    ]
)
WORDS = st.sampled_from(sorted(set(FULL.replace("=", " ").replace(".", " ").split())))


def check_outcome(content: bytes) -> str:
    """All that loading this content shows."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "zonegate.toml"
        file.write_bytes(content)
        try:
            return repr(load(file))
        except ConfigError as error:
            caught = error
    assert caught.problems
    assert all(problem.line is None or problem.line >= 1 for problem in caught.problems)
    return str(caught) + repr(caught)


@given(st.binary(max_size=300))
@settings(deadline=None)  # the CPUs are shared
def test_any_bytes(content: bytes) -> None:
    check_outcome(content)


@given(st.text(max_size=300) | st.lists(TOKENS | WORDS, max_size=40).map("".join))
@settings(deadline=None)  # the CPUs are shared
def test_any_text(text: str) -> None:
    check_outcome(text.encode("utf-8", "surrogatepass"))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """FULL with some lines taken out, doubled, moved, or with a word replaced."""
    lines = FULL.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case 2:
                lines[at] = lines[at].replace(draw(WORDS), draw(WORDS | TOKENS))
            case 3:
                key, equals, _ = lines[at].partition("=")
                values = [
                    "0",
                    "-1",
                    "true",
                    "[]",
                    "{}",
                    '""',
                    "[[1]]",
                    "{ env = 1 }",
                    '{ file = "." }',
                    "1.5",
                    draw(WORDS),
                ]
                lines[at] = f"{key}{equals} {draw(st.sampled_from(values))}"
            case _:
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + draw(st.text(max_size=3)) + lines[at][cut:]
    return "\n".join(lines)


@given(mutated())
@settings(max_examples=300, deadline=None)
def test_a_mutated_configuration(text: str) -> None:
    shown = check_outcome(text.encode("utf-8", "surrogatepass"))
    assert not any(secret in shown for secret in PLANTED if secret_in_place(text, secret))


def secret_in_place(text: str, secret: str) -> bool:
    """Whether the mutation left the secret only where secrets stand: at `url`, `key`, `token` and `secret`."""
    lines = [line for line in text.splitlines() if secret in line]
    return all(line.startswith(("url = ", "key = ", "token = ", "secret = ")) for line in lines)


@given(st.integers(0, 10))
@settings(deadline=None)  # the CPUs are shared
def test_every_line_of_a_tree_is_found(gap: int) -> None:
    text = FULL.replace("\n", "\n" * (gap + 1))
    positions = Positions(text.encode())
    lines = text.splitlines()

    def walk(tree: object, key: tuple[str | int, ...]) -> None:
        if isinstance(tree, dict):
            for name, value in tree.items():
                line = positions.line((*key, name))
                assert line is not None
                assert name in lines[line - 1]
                walk(value, (*key, name))
        elif isinstance(tree, list):
            for index, value in enumerate(tree):
                walk(value, (*key, index))

    walk(tomllib.loads(text), ())


@given(mutated())
@settings(deadline=None)  # the CPUs are shared
def test_settings_travel_as_a_plain_tree_unchanged(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "zonegate.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            loaded = load(file).settings
        except ConfigError:
            return
    assert read_plain(GatewaySettings, to_plain(loaded)) == loaded
