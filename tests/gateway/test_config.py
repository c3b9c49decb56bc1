"""Each kind of mistake in a configuration is reported with line, key, what was found and what would be right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config import ConfigError, Problem, load, load_admin, source
from tests.gateway.configs import FULL, INGRESS, KEY_32, PLANTED


def problems(tmp_path: Path, text: str | bytes) -> tuple[Problem, ...]:
    file = tmp_path / "zonegate.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    return caught.value.problems


def line_of(text: str, part: str) -> int:
    return text[: text.rindex(part)].count("\n") + 1


def test_the_full_configuration_is_read(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(FULL)
    file.chmod(0o600)
    loaded = load(file)
    assert loaded.warnings == ()
    settings = loaded.settings
    assert settings.ingress is not None
    assert [str(listener.address) for listener in settings.ingress.listeners] == ["192.0.2.1:53", "[2001:db8::1]:53"]
    assert settings.ingress.tcp.idle_timeout == 20.0
    assert settings.egress is not None
    assert settings.egress.tunnels[1].url.reveal().endswith("planted-password@198.51.100.10:1080")
    assert not any(secret in repr(loaded) for secret in PLANTED)


def test_a_secret_in_a_file_that_everyone_reads_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(FULL)
    file.chmod(0o644)
    (warning,) = load(file).warnings
    assert "chmod 600" in warning
    file.write_text(INGRESS)
    assert load(file).warnings == ()


EXIT = f'version = 1\n[exit]\nlisten = "127.0.0.1:8388"\nkey = "{KEY_32}"\n'

# What is appended or replaced, the key, and words of what was found and of what is right.
MISTAKES: list[tuple[str, str, str, str, str]] = [
    # text, the part whose line is meant, key, found, right
    (INGRESS + "[ingres]\n", "[ingres]\n", "ingres", "an unknown key", 'did you mean "ingress"?'),
    (INGRESS + "[zzz]\n", "[zzz]", "zzz", "an unknown key", "known here: version, state, ingress"),
    (INGRESS + "wieght = 2\n", "wieght", "ingress.backends[0].wieght", "an unknown key", 'did you mean "weight"?'),
    (INGRESS + '"a b".c = 2\n', '"a b"', "ingress.backends[0].'a b'", "an unknown key", "known here: name"),
    (INGRESS.replace("workers = 1", "workers = -1"), "workers", "ingress.workers", "-1", "from 0 to 256"),
    (INGRESS.replace("workers = 1", "workers = true"), "workers", "ingress.workers", "true", "a whole number"),
    (INGRESS.replace("workers = 1", "workers = 1.5"), "workers", "ingress.workers", "1.5", "a whole number"),
    (INGRESS + "timeout = 0\n", "timeout", "ingress.backends[0].timeout", "0", "a number above 0"),
    (INGRESS + "timeout = nan\n", "timeout", "ingress.backends[0].timeout", "nan", "a number above 0"),
    (INGRESS + "timeout = inf\n", "timeout", "ingress.backends[0].timeout", "inf", "up to 86400"),
    (INGRESS + "weight = []\n", "weight", "ingress.backends[0].weight", "an empty array", "from 1 to 1000"),
    (INGRESS.replace('"ns-a"', '"ns a"'), "ns a", "ingress.backends[0].name", '"ns a"', "letters, digits, dots"),
    (INGRESS.replace('name = "ns-a"\n', ""), "[[ingress.backends", "ingress.backends[0].name", "nothing", "required"),
    (INGRESS.replace(":5353", ""), '"127.0.0.1"', "ingress.backends[0].address", '"127.0.0.1"', "with a port"),
    (INGRESS.replace("127.0.0.1:5353", "ns:53"), "ns:53", "ingress.backends[0].address", '"ns:53"', "not an IP"),
    (INGRESS.replace(":5353", ":0"), ":0", "ingress.backends[0].address", '"127.0.0.1:0"', "from 1 to 65535"),
    (INGRESS.replace(":5353", ":99999"), "99999", "ingress.backends[0].address", "99999", "from 0 to 65535"),
    (INGRESS.replace("5353", "5300"), "5300", "ingress.backends[0].address", "5300", "go round"),
    (INGRESS.replace("version = 1", "version = 2"), "version", "version", "2", "write 1"),
    (INGRESS.replace("version = 1\n", ""), "[ingress]", "version", "nothing", "version is required"),
    (
        "version = 1\n",
        "",
        "",
        "nothing to run",
        "[ingress], [[forwarders]], [[socks_doors]], [[transparent_doors]] or [exit]",
    ),
    (
        INGRESS.replace("[[ingress.listeners]]", '[[ingress.listeners]]\ntransports = ["udp",\n\n"tpc"]'),
        '"tpc"',
        "ingress.listeners[0].transports[1]",
        '"tpc"',
        'did you mean "tcp"?',
    ),
    (
        INGRESS.replace("[[ingress.listeners]]", "[[ingress.listeners]]\ntransports = []"),
        "transports",
        "ingress.listeners[0].transports",
        "0 items",
        "at least 1",
    ),
    (
        INGRESS + '[[ingress.backends]]\nname = "ns-a"\naddress = "127.0.0.1:5354"\n',
        '"ns-a"',
        "ingress.backends[1].name",
        '"ns-a"',
        "ingress.backends[0].name has this one",
    ),
    (
        INGRESS + '[admin]\naddress = "0.0.0.0:5300"\ntoken = "x"\n',
        '"0.0.0.0:5300"',
        "admin.address",
        '"0.0.0.0:5300"',
        "ingress.listeners[0].address already takes 127.0.0.1:5300",
    ),
    (
        EXIT.replace("127.0.0.1", "[::]") + 'allow = ["192.0.2.0/24:53"]\n[admin]\naddress = "127.0.0.1:8388"\n',
        '"127.0.0.1:8388"',
        "admin.address",
        '"127.0.0.1:8388"',
        "exit.listen already takes [::]:8388",
    ),
    (INGRESS + '[admin]\naddress = "192.0.2.1:80"\n', "192", "admin.address", "without a token", "set admin.token"),
    (INGRESS + '[filters]\nzones = ["a..b"]\n', "a..b", "filters.zones[0]", '"a..b"', "1 to 63 octets"),
    (INGRESS + f'[filters]\nzones = ["{"a" * 64}"]\n', "zones", "filters.zones[0]", "aaaa", "1 to 63 octets"),
    (INGRESS + f'[filters]\nzones = ["{"a." * 128}"]\n', "zones", "filters.zones[0]", "a.a.a", "at most 255"),
    (INGRESS + '[filters]\nzones = ["é.example"]\n', "zones", "filters.zones[0]", "é", "A-label"),
    (INGRESS + '[ingress.health]\nzone = "\\\\999"\n', "999", "ingress.health.zone", "999", "escaped code"),
    (INGRESS + '[ingress.health]\nzone = "*"\nrise = 0\n', "rise", "ingress.health.rise", "0", "from 1 to 100"),
    (INGRESS + '[filters.cookies]\nsecret = "xy"\n', "xy", "filters.cookies.secret", "no cookie secret", "32 hex"),
    (
        INGRESS + f'[filters.cookies]\nsecret = "{"a" * 32}"\naccepted_secrets = ["{"b" * 31}"]\n',
        "accepted",
        "filters.cookies.accepted_secrets[0]",
        "no cookie secret",
        "`zonegate cookie-secret` makes one",
    ),
    (
        INGRESS + "[filters.cookies]\nslip = 2\n",
        "cookies",
        "filters.cookies",
        "without a secret",
        "leave the table",
    ),
    (INGRESS + "[filters]\nchecks = 3\n", "checks", "filters.checks", "3", "a table with the keys source_port"),
    (INGRESS + "tunnels = 3\n", "tunnels", "ingress.backends[0].tunnels", "an unknown key", "known here"),
    (
        'version = 1\n[[forwarders]]\nlisten = "127.0.0.1:1"\nprimary = "p"\n',
        "primary",
        "forwarders[0].primary",
        '"p"',
        "there is none",
    ),
    (
        INGRESS + '[[primaries]]\nname = "p"\naddress = "192.0.2.1:53"\ntunnels = ["x"]\n[[tunnels]]\nname = "y"\n'
        'url = "direct://"\n',
        '["x"]',
        "primaries[0].tunnels[0]",
        '"x"',
        "known names: y",
    ),
    (
        INGRESS + '[[primaries]]\nname = "p"\naddress = "[::ffff:192.0.2.1]:53"\ntunnels = ["y"]\n[[tunnels]]\n'
        'name = "y"\nurl = "direct://"\n',
        'address = "[::ffff',
        "primaries[0].address",
        "::ffff:",
        'write the IPv4 address: "192.0.2.1:53"',
    ),
    (
        INGRESS + '[[tunnels]]\nname = "y"\nurl = "http://192.0.2.1:1"\n',
        "url",
        "tunnels[0].url",
        "a URL that is no tunnel",
        "ss://",
    ),
    (EXIT.replace(KEY_32, "c2hvcnQ=") + 'allow = ["192.0.2.0/24:53"]', "key", "exit.key", "fit", "must have 32 bytes"),
    (EXIT + 'allow = ["192.0.2.1/24:53"]', "allow", "exit.allow[0]", "192.0.2.1/24:53", "host bits set"),
    (EXIT + 'allow = ["192.0.2.0/24:0"]', "allow", "exit.allow[0]", "192.0.2.0/24:0", "from 1 to 65535"),
    (EXIT + "allow = []", "allow", "exit.allow", "0 items", "at least 1, each destination in quotes"),
    (EXIT.replace("key", "kye") + 'allow = ["192.0.2.0/24:53"]', "kye", "exit.kye", "unknown", 'did you mean "key"?'),
    ("version = 1\nversion = 1\n", "version = 1\n", "", "not TOML", "Cannot overwrite a value"),
    ("version = 1\n[exit\n", "[exit", "", "not TOML", "Expected ']'"),
    ("version = 1\n[exit]\n[exit]\n", "[exit]\n[exit]", "", "not TOML", "Cannot declare"),
    (
        INGRESS + '[[ingress.backends]]\nname = "local"\naddress = "[fe80::1%eth0]:53"\n',
        "fe80",
        "ingress.backends[1].address",
        "[fe80::1%eth0]:53",
        "needs no interface",
    ),
    (
        INGRESS + '[[filters.lists]]\nname = "a"\naction = "drop"\nfile = "a\\u0000b"\n',
        "file",
        "filters.lists[0].file",
        "a",
        "without NUL",
    ),
    (
        INGRESS + '[filters.blocks]\nexempt = ["fe80::1%eth0"]\n',
        "exempt",
        "filters.blocks.exempt[0]",
        "fe80::1%eth0",
        "names an interface",
    ),
    (
        INGRESS + '[[filters.rate_limits]]\nkey = ["qname", "zone"]\nrate = 5\nscale = "knot"\n',
        "scale =",
        "filters.rate_limits[0].scale",
        "a prefix that has no effect",
        'add "client-prefix" to the key',
    ),
    (
        INGRESS
        + '[[filters.rules]]\nname = "r"\naction = "limit"\n[filters.rules.limit]\nkey = "global"\nrate = 5\n'
        + "prefix_v4 = 24\n",
        "prefix_v4",
        "filters.rules[0].limit.prefix_v4",
        "a prefix that has no effect",
        'add "client-prefix" to the key',
    ),
]


@pytest.mark.parametrize(("text", "part", "key", "found", "right"), MISTAKES, ids=[m[2] + " " + m[4] for m in MISTAKES])
def test_a_mistake_is_named(tmp_path: Path, text: str, part: str, key: str, found: str, right: str) -> None:
    matching = [p for p in problems(tmp_path, text) if p.key == key and found in p.found and right in p.right]
    assert len(matching) == 1, problems(tmp_path, text)
    (problem,) = matching
    assert problem.file == str(tmp_path / "zonegate.toml")
    if key == "version" and problem.found == "nothing":
        assert problem.line is None
    elif "not TOML" not in found and part:
        assert problem.line == line_of(text, part)
    elif part:
        assert problem.line in {line_of(text, part), line_of(text, part) + 1}
    assert f"{problem.line}: " in str(problem) or problem.line is None


def test_doors_of_other_families_transports_and_ports_do_not_clash(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(
        """
        version = 1
        [ingress]
        listeners = [
            { address = "0.0.0.0:53", transports = ["udp"] },
            { address = "127.0.0.1:53", transports = ["tcp"] },
            { address = "[::]:53" },
            { address = "0.0.0.0:54" },
        ]
        backends = [{ name = "a", address = "192.0.2.1:53" }]
        """
    )
    assert load(file).settings.ingress is not None


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        INGRESS.replace("workers = 1", "wrokers = 1").replace(":5300", ":0")
        + '[[tunnels]]\nname = ""\nurl = "x"\n[exit]\nlisten = "x"\nkey = ""\n'
    )
    found = problems(tmp_path, text)
    assert [problem.key for problem in found] == [
        "ingress.wrokers",
        "ingress.listeners[0].address",
        "tunnels[0].name",
        "tunnels[0].url",
        "exit.allow",
        "exit.listen",
        "exit.key",
    ]
    assert [problem.line for problem in found] == sorted(problem.line or 0 for problem in found)


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        (b"version = 1\n# \xff\n", 2, "not UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, None, "nested too deep"),
        (b"a = " + b"9" * 5000, None, "a number that is too long"),
        (b"\xef\xbb\xbfversion = 1\n", 1, "not TOML"),
        (b"a = 1\n\nb =", 3, "not TOML"),
    ],
)
def test_text_that_is_no_toml(tmp_path: Path, content: bytes, line: int | None, found: str) -> None:
    (problem,) = problems(tmp_path, content)
    assert problem.line == line
    assert found in problem.found


def test_a_key_as_deep_as_the_file_is_reported_at_its_line(tmp_path: Path) -> None:
    found = problems(tmp_path, "version = 1\n\n" + ".".join(["a"] * 2000) + " = 1\n[exit]\n")
    assert [(p.line, p.key) for p in found if p.found == "an unknown key"] == [(3, "a")]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file or directory.*zonegate init"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


def test_the_admin_table_is_read_while_the_rest_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text('version = 7\n[admin]\naddress = "127.0.0.1:9999"\n[ingress]\nx = 1\n')
    assert load_admin(file).address.port == 9999
    file.write_text("version = 7\n[admin]\nadress = 1\n")
    with pytest.raises(ConfigError, match=r"zonegate.toml:3: admin.adress: .* did you mean .address."):
        load_admin(file)


def test_a_pipe_is_read_and_one_that_nobody_writes_to_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    monkeypatch.setattr(source, "_PATIENCE", 0)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "nothing came" in caught.value.problems[0].found
    os.write(writer, INGRESS.encode())
    os.close(writer)
    assert load(path).settings.ingress is not None
    os.close(reader)


@pytest.mark.parametrize("token", ["a b", " padded ", "caf\u00e9", "\u20ac", "a\tb", "x" * 1025])
def test_a_token_that_no_header_carries(tmp_path: Path, token: str) -> None:
    (problem,) = problems(tmp_path, FULL.replace("planted-token", token))
    assert (problem.key, problem.found) == ("admin.token", "a token that nobody can send")


@pytest.mark.parametrize(
    ("pools", "key", "found"),
    [
        ('["a"]', "ingress.backends[0].pools", "no backend in the default pool"),
        (str([f"p{number}" for number in range(32)] + ["default"]).replace("'", '"'), "ingress.backends", "32 pools"),
    ],
)
def test_pools_that_can_not_be(tmp_path: Path, pools: str, key: str, found: str) -> None:
    (problem,) = problems(
        tmp_path, INGRESS.replace("[[ingress.backends]]\n", f"[[ingress.backends]]\npools = {pools}\n")
    )
    assert (problem.key, problem.found) == (key, found)
