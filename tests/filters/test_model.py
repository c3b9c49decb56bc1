"""The engine's verdicts equal those of the model in tests/filters/model on random policies and messages.

A sequence of messages is put to both, by a clock that the test moves. Compared are the verdict, its reason, the reply
(RCODE, TC, what it repeats, EDE, cookie), what each rule did, the limits that
were over, and pool, delay and mirror.

Left out, because the documents leave it open or another test has it: the draw of a `probability` between 0 and 1, which
of several replies `slip` of the cookies answers, loads within 1 % of the bound of a decaying limit (the sequence ends
there), and the response limits (`engine/src/limits/responses.rs`, against a model of their own).

`MODEL_EXAMPLES=100000 pytest tests/filters/test_model.py` looks longer.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st

from dataplane import Blocks, Explanation, List, SharedMemory
from filters.lists import reading
from filters.policy import Surroundings, compile_policy
from filters.settings import FilterList, FilterSettings
from gateway.config.plain import read_plain
from tests.filters.model.cookies import check_reply_cookie, siphash
from tests.filters.model.decision import Client, Model, Verdict
from tests.filters.model.entries import Source, blocks, sources
from tests.filters.model.limits import Unsure
from tests.filters.model.lists import Blocked
from tests.filters.model.message import NOTIFY, QUERY, UPDATE
from tests.filters.model.messages import clients, messages
from tests.filters.model.policies import LISTENERS, LISTS, POOLS, Tree, policies

SECOND = 10**9
OF_THE_HEADER = {"authority-count"}
"""What is judged behind the question, and answered without it as all faults of the header."""
MONDAY = 1_704_067_200
"""2024-01-01 00:00 UTC."""
MILLISECONDS = [0, 0, 0, 1, 50, 100, 250, 500, 1000, 1700, 5000, 40_000]
PHASES = [Phase.reuse, Phase.generate, Phase.shrink]
"""Without the explanation by lines, which traces the whole model and takes minutes."""
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "400"))


@dataclass
class Step:
    """A message at its time."""

    message: bytes
    client: Client
    now: int
    unix: int

    def __str__(self) -> str:
        return f"{self.now} {self.client} {self.message.hex()}"


@dataclass
class Story:
    """A policy and what comes to it."""

    tree: Tree
    lists: list[Source]
    blocks: Blocked
    steps: list[Step]

    @property
    def settings(self) -> FilterSettings:
        return read_plain(FilterSettings, self.tree)

    def __str__(self) -> str:
        texts = [f"# {source.tree['file']}\n{source.text}" for source in self.lists]
        return "\n".join([toml(self.tree), *texts, str(self.blocks), *map(str, self.steps)])


def toml(tree: Tree) -> str:
    """As the configuration has it, each key on a line."""
    return "\n".join(f"{key} = {inline(value)}" for key, value in tree.items())


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A policy with its lists and blocks, and messages to it."""
    tree = draw(policies())
    lists = [draw(sources(name)) for name in LISTS]
    tree["lists"] = [source.tree for source in lists]
    read = read_plain(FilterSettings, tree)
    start, passed = draw(st.sampled_from([0, 5 * 3600, 86_400 * 6 + 22 * 3600])), 0
    few = draw(st.lists(clients(), min_size=1, max_size=3))
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 10))):
        passed += draw(st.sampled_from(MILLISECONDS))
        client, unix = draw(st.sampled_from(few)), MONDAY + start + passed // 1000
        again = bool(steps) and draw(st.booleans())
        if again:
            message = draw(st.sampled_from(steps)).message
        else:
            message = draw(messages(read.cookies, client.source[0], unix))
        steps.append(Step(message, client, 1000 * SECOND + passed * 1_000_000, unix))
    return Story(tree, lists, draw(blocks()), steps)


IN_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of our own below it; a list is synced to the disk when it is built


@functools.lru_cache(maxsize=1000)
def build(text: str, how: FilterList) -> List:
    """The list that the data plane makes of a text."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        source, built = Path(folder) / "source", Path(folder) / "list"
        source.write_text(text)
        List.build(source, built, reading(how), 1)
        return List.open(built)


class Engine:
    """The engine with what it remembers."""

    def __init__(self, story: Story) -> None:
        read = story.settings
        opened = {
            how.name: build(source.text, how)
            for source, how in zip(story.lists, read.lists, strict=True)
            if source.text
        }
        self.policy = compile_policy(read, Surroundings(pools=POOLS, listeners=LISTENERS, lists=opened))
        self.memory = SharedMemory.create(1, 4096)
        self.blocks = Blocks(
            prefixes=[
                (str(entry.prefix.network_address), entry.prefix.prefixlen, entry.action, number)
                for number, entry in enumerate(story.blocks.prefixes)
            ],
            names=[(wire(entry.name), entry.action, number) for number, entry in enumerate(story.blocks.names, 100)],
        )

    def decide(self, step: Step) -> Explanation:
        client = step.client
        return self.policy.explain(
            step.message,
            (client.transport, client.source, client.local, list(client.allow)),
            memory=self.memory,
            now=step.now,
            unix=step.unix,
            listener=client.listener,
            tlvs=b"".join(bytes([kind]) + len(value).to_bytes(2) + value for kind, value in client.tlvs),
            server_name=b".".join(client.server_name) if client.server_name else None,
            blocks=self.blocks,
        )


def wire(name: tuple[bytes, ...]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def check_same(step: Step, model: Model, expected: Verdict, got: Explanation) -> None:
    """The engine has decided as the model."""
    verdict = (got.verdict, got.reason)
    slipped = expected.slips is not None and verdict == ("drop", expected.slips)
    assert slipped or verdict == (expected.verdict, expected.reason)
    assert got.rules == expected.rules.trace
    assert got.over_limits == expected.over_limits
    assert (got.reply is not None) == (got.verdict == "reply")
    if got.verdict == "forward":
        mirror = ("", *mirrors(model.settings))[got.mirror]
        pool = ("default", *POOLS)[got.pool]
        assert (pool, got.delay, mirror) == (expected.rules.pool, expected.rules.delay, expected.rules.mirror or "")
    if got.reply is not None:
        check_reply(step, model, expected, got.reply)


def mirrors(read: FilterSettings) -> list[str]:
    return list(dict.fromkeys(rule.mirror for rule in read.rules if rule.mirror is not None))


def check_reply(step: Step, model: Model, expected: Verdict, reply: bytes) -> None:
    """ID, opcode, RD, CD and question are the query's; RCODE, TC, EDE and cookie as they should be."""
    sent, read = step.message, expected.read
    assert read is not None
    assert reply[:2] == sent[:2]
    is_known = read.header.opcode in {QUERY, NOTIFY, UPDATE}
    assert reply[2] & 0xFD == (0x80 | sent[2] & (0x79 if is_known else 0x78)), "QR, the opcode, RD"
    assert bool(reply[2] & 2) == expected.truncated, "TC"
    assert reply[3] & 0xF0 == (sent[3] & 0x10 if is_known else 0), "CD"
    # Read as a reply to a QUERY: of an UPDATE dnspython judges the zone section, which may be the very fault.
    answer = dns.message.from_wire(reply[:2] + bytes([reply[2] & 0x87]) + reply[3:])
    assert answer.rcode() == expected.rcode
    question = read.question.wire if read.question is not None and expected.reason not in OF_THE_HEADER else b""
    assert (reply[12 : 12 + len(question)], reply[5]) == (question, len(question) > 0)
    assert reply[6:11] == bytes(5), "no records but OPT"
    if read.edns is not None:
        assert answer.edns == 0
        assert bool(answer.ednsflags & 0x8000) == read.edns.dnssec_ok
    given = {int(option.otype): option for option in answer.options}
    ede = given.pop(15, None)
    if expected.ede is None:
        assert ede is None
    else:
        assert isinstance(ede, dns.edns.EDEOption)
        assert (int(ede.code), ede.text or "") == expected.ede
    cookie = given.pop(10, None)
    assert (cookie is not None) == (expected.shown != "none")
    if cookie is not None:
        assert read.edns is not None
        shown = read.edns.cookie()
        assert shown is not None
        check_reply_cookie(model.settings.cookies, shown, cookie.to_wire() or b"", step.client.source[0], step.unix)
    assert not given, "other options"


def check_story(story: Story) -> None:
    """Put the story to both.

    Raises:
        AssertionError: they differ.
    """
    engine = Engine(story)
    lists = {source.tree["name"]: source.entries for source in story.lists}
    model = Model(story.settings, lists, story.blocks, LISTENERS)
    for step in story.steps:
        try:
            expected = model.decide(step.message, step.client, step.now, step.unix)
        except Unsure:
            event("too near to a bound to say")
            return
        got = engine.decide(step)
        event(f"{got.verdict} {got.reason}")
        said = f"{got.verdict} {got.reason} {got.rules} {got.reply and got.reply.hex()}"
        note(f"{step}\n  model: {expected}\n  engine: {said}")
        check_same(step, model, expected, got)


@settings(max_examples=EXAMPLES, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(stories())
def test_the_engine_decides_as_the_model(story: Story) -> None:
    note(str(story))
    check_story(story)


def test_the_hash_of_the_cookies_is_that_of_the_rfc() -> None:
    key = bytes(range(16))
    assert siphash(key, bytes(range(15))) == (0xA129CA6149BE45E5).to_bytes(8, "little")
