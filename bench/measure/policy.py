"""The cost of a whole policy: 50 rules, a list of 100,000 suffixes and five limits, in zonegate and in dnsdist.

No query of the load meets any of them, so each is looked at for each query.
"""

from __future__ import annotations

from contextlib import ExitStack

from bench.dnsperf import Load
from bench.errors import BenchError
from bench.figures import Figure, Run
from bench.measure.loads import cost, lost, rates
from bench.peers.dnsdist import Dnsdist
from bench.peers.zonegate import Zonegate, new_endpoint
from bench.policies import dnsdist_whole, listed_names, zonegate_whole
from bench.served import await_served
from bench.stand import Side, costed_turns
from bench.zones import ZONE, query_file, small_zone
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Primary

CPU_TARGET = 0.65  # × dnsdist


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed.
    """
    directory = run.directory / "policy"
    directory.mkdir()
    names = directory / "listed.txt"
    names.write_text("".join(f"{name}\n" for name in listed_names()))
    entry = new_endpoint()
    load = Load(query_file(directory / "queries"), clients=8, in_flight=500, seconds=run.seconds)
    try:
        with ExitStack() as stack:
            nsd = stack.enter_context(Nsd(Primary({ZONE: small_zone()}), directory / "nsd"))
            dnsdist = stack.enter_context(
                Dnsdist(directory / "dnsdist", nsd.endpoint, ZONE, rules=dnsdist_whole(names))
            )
            zonegate = stack.enter_context(
                Zonegate(directory / "zonegate", zonegate_whole(entry, nsd.endpoint, ZONE, names))
            )
            await_served(zonegate.process, entry, ZONE)
            sides = {
                "dnsdist": Side(dnsdist.endpoint, dnsdist.process.pid),
                "zonegate": Side(entry, zonegate.process.pid),
            }
            samples = costed_turns(run, load, sides)
    except ChildError as error:
        raise BenchError(str(error)) from error
    answers = [sample.answers for sample in samples["zonegate"]]
    return [
        cost("policy: CPU a query, 50 rules, 100,000 suffixes, five limits", samples, CPU_TARGET),
        lost("policy: lost at full load, zonegate", answers, "8 clients, 500 in flight"),
        *rates("policy", samples),
    ]
