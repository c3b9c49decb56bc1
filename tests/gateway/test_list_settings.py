"""`[[filters.lists]]` in the configuration, and what `zonegate check` says of the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.files import check
from gateway.config import ConfigError, load
from tests.gateway.configs import INGRESS, KEY_32

TUNNEL = f"""
[[tunnels]]
name = "fra"
url = "ss://2022-blake3-aes-256-gcm:{KEY_32}@198.51.100.9:8388"
[[primaries]]
name = "p"
address = "203.0.113.5:53"
tunnels = ["fra"]
"""
HEAD = '[[filters.lists]]\nname = "a"\n'
URL = 'url = "https://lists.example/a.txt"\ntunnels = ["fra"]\naddress = "203.0.113.9"\naction = "drop"\n'


def write(directory: Path, lists: str) -> Path:
    file = directory / "zonegate.toml"
    file.write_text(INGRESS + lists + TUNNEL)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("lists", "key", "right"),
    [
        (HEAD + 'action = "drop"\n', "filters.lists[0]", "write one of file, url, and primary"),
        (HEAD + 'file = "a"\n' + URL, "filters.lists[0]", "write one of file, url, and primary"),
        (HEAD + 'file = "a"\n', "filters.lists[0]", "write action = drop"),
        (HEAD + 'file = "a"\naction = "drop"\nformat = "csv"\n', "filters.lists[0]", "write column = 1"),
        (HEAD + 'file = "a"\naction = "drop"\ncolumn = 1\n', "filters.lists[0].column", 'format = "csv"'),
        (HEAD + 'file = "a"\naction = "drop"\ntunnels = ["fra"]\n', "filters.lists[0].tunnels", "goes with `url`"),
        (HEAD + URL.replace("fra", "ams"), "filters.lists[0].tunnels[0]", "name one of the [[tunnels]]"),
        (HEAD + URL.replace('["fra"]', "[]"), "filters.lists[0]", "name the tunnels that lead there"),
        (HEAD + URL.replace("https", "http"), "filters.lists[0].url", "write https://host"),
        (HEAD + URL.replace("lists.example", "me:secret@lists.example"), "filters.lists[0].url", "without user"),
        (HEAD + URL.replace("203.0.113.9", "lists"), "filters.lists[0].address", "write an IP address"),
        (HEAD + URL.replace('address = "203.0.113.9"\n', ""), "filters.lists[0]", "write the IP address of its host"),
        (HEAD + 'primary = "p"\nformat = "rpz"\n', "filters.lists[0]", "name the response policy zone"),
        (HEAD + 'primary = "x"\nzone = "r"\nformat = "rpz"\n', "filters.lists[0].primary", "name one of the [[prim"),
        (HEAD + 'file = "a"\nformat = "rpz"\nzone = "a..b"\n', "filters.lists[0].zone", "labels of 1 to 63"),
        ((HEAD + URL) * 2, "filters.lists[1].name", "names are unique"),
    ],
)
def test_a_mistake_in_a_list_is_named(tmp_path: Path, lists: str, key: str, right: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, lists))
    (problem,) = caught.value.problems
    assert (problem.key, right in problem.right) == (key, True), problem
    assert problem.line is not None
    assert "secret" not in str(problem)


def test_lists_to_fetch_start_the_transfer_process(tmp_path: Path) -> None:
    rpz = HEAD.replace('"a"', '"b"') + 'primary = "p"\nzone = "rpz.example"\nformat = "rpz"\n'
    egress = load(write(tmp_path, HEAD + URL + rpz)).settings.egress
    assert egress is not None
    assert [each.name for each in egress.lists] == ["a", "b"]
    assert load(write(tmp_path, "")).settings.egress is None


def test_check_reads_the_files_and_names_the_first_line_of_garbage(tmp_path: Path) -> None:
    plain = HEAD + 'file = "a.txt"\naction = "drop"\n'
    file, source = write(tmp_path, plain), tmp_path / "a.txt"
    source.write_text("good.example\n<html>\n<body>\n")
    result = CliRunner().invoke(check, [str(file), "--json"])
    assert json.loads(result.output)["warnings"] == [f"{source}:2: no domain name, and 1 more lines: skipped"]
    assert result.exit_code == 0
    write(tmp_path, plain + 'garbage = "refuse"\n')
    result = CliRunner().invoke(check, [str(file), "--json"])
    (problem,) = json.loads(result.output)["problems"]
    assert (problem["file"], problem["line"], problem["found"]) == (str(source), 2, "no domain name")
    assert result.exit_code == 1
    source.unlink()
    result = CliRunner().invoke(check, [str(file), "--json"])
    (problem,) = json.loads(result.output)["problems"]
    assert (problem["key"], "No such file" in problem["found"]) == ("filters.lists[0].file", True)
