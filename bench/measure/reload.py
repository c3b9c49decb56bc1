"""Reloads under load: 50,000 queries a second, and the policy is changed all the while. None may be lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from statistics import median

from bench.dnsperf import Answers, Load, ask
from bench.errors import BenchError
from bench.figures import Figure, Run, take_turns
from bench.measure.loads import lost
from bench.peers.zonegate import Zonegate, ingress_role, new_endpoint
from bench.served import await_served
from bench.zones import ZONE, query_file, small_zone
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Primary
from proxy.values import Endpoint

RATE = 50_000  # queries a second


@dataclass(frozen=True, slots=True)
class Reloaded:
    """One turn."""

    answers: Answers
    reloads: int

    def __str__(self) -> str:
        answers = self.answers
        return f"{answers.unserved} of {answers.sent} lost at {answers.kqps:.1f} kqps, over {self.reloads} reloads"


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed, or a reload was not taken.
    """
    directory = run.directory / "reload"
    directory.mkdir()
    entry = new_endpoint()
    load = Load(query_file(directory / "queries"), clients=8, in_flight=500, seconds=run.seconds, rate=RATE)
    try:
        with ExitStack() as stack:
            nsd = stack.enter_context(Nsd(Primary({ZONE: small_zone()}), directory / "nsd"))
            roles = ingress_role(entry, nsd.endpoint, ZONE)
            zonegate = stack.enter_context(Zonegate(directory / "zonegate", roles))
            await_served(zonegate.process, entry, ZONE)
            turns = take_turns(run, {"zonegate": partial(_reloaded, zonegate, entry, roles, load)}, str)["zonegate"]
    except ChildError as error:
        raise BenchError(str(error)) from error
    rate = median(turn.answers.kqps for turn in turns)
    detail = f"at {rate:.1f} kqps, over {sum(turn.reloads for turn in turns)} reloads"
    return [lost("reload: lost while the policy changes", [turn.answers for turn in turns], detail, 0)]


def _reloaded(zonegate: Zonegate, entry: Endpoint, roles: str, load: Load) -> Reloaded:
    """Ask, and put another rule into the policy again and again until all is asked."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, load, entry)
        for number in count():
            if asked.done():
                return Reloaded(asked.result(), number)
            condition = f"when = {{ qtype = 'TYPE{65000 + number % 500}' }}"
            zonegate.reload(f"{roles}\n[[filters.rules]]\nname = 'turn-{number}'\n{condition}\naction = 'drop'\n")
    raise AssertionError("the loop has no other end")
