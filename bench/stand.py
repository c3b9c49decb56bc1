"""What measurements of UDP, TCP and drops stand on: NSD with the small zone, dnsdist and zonegate in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.dnsperf import Load, Sample, costed
from bench.errors import BenchError
from bench.figures import Run, take_turns
from bench.peers.dnsdist import Dnsdist
from bench.peers.zonegate import UNREACHED, Zonegate, ingress_role, new_endpoint
from bench.served import await_served
from bench.zones import ZONE, query_file, small_zone
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Primary
from proxy.values import Endpoint


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared: where clients ask, and the process whose CPU time counts with its descendants."""

    endpoint: Endpoint
    pid: int
    dropped: Callable[[], int] = lambda: 0  # queries dropped for their rate so far


@dataclass(frozen=True, slots=True)
class Stand:
    """All of it, running."""

    nsd: Side
    dnsdist: Side
    zonegate: Side
    queries: Path

    @property
    def proxies(self) -> Mapping[str, Side]:
        """The two that are compared, in the order in which they take turns."""
        return {"dnsdist": self.dnsdist, "zonegate": self.zonegate}

    @property
    def all(self) -> Mapping[str, Side]:
        """The proxies, and before them the server behind both."""
        return {"NSD itself": self.nsd, **self.proxies}

    def costed(self, run: Run, load: Load, sides: Mapping[str, Side]) -> dict[str, list[Sample]]:
        """Sides under a load, in turns; name -> samples.

        Raises:
            BenchError: as `bench.dnsperf.costed`.
        """
        return costed_turns(run, load, sides)


def costed_turns(run: Run, load: Load, sides: Mapping[str, Side]) -> dict[str, list[Sample]]:
    """Sides under a load, in turns; name -> samples.

    Raises:
        BenchError: as `bench.dnsperf.costed`.
    """
    return take_turns(run, {name: partial(costed, load, side.endpoint, side.pid) for name, side in sides.items()}, str)


@contextmanager
def stand(run: Run, name: str, limit: int | None = None) -> Iterator[Stand]:
    """Start all of it in a directory `name`. `limit` is in queries a second of one client address.

    Raises:
        BenchError: a program is missing or does not start.
    """
    directory = run.directory / name
    directory.mkdir()
    queries = query_file(directory / "queries")
    entry = new_endpoint()
    try:
        with (
            Nsd(Primary({ZONE: small_zone()}), directory / "nsd") as nsd,
            Dnsdist(directory / "dnsdist", nsd.endpoint, ZONE, limit) as dnsdist,
            Zonegate(directory / "zonegate", ingress_role(entry, nsd.endpoint, ZONE, limit or UNREACHED)) as zonegate,
        ):
            await_served(zonegate.process, entry, ZONE)
            yield Stand(
                nsd=Side(nsd.endpoint, nsd.process.pid),
                dnsdist=Side(dnsdist.endpoint, dnsdist.process.pid, dnsdist.dropped),
                zonegate=Side(entry, zonegate.process.pid, zonegate.dropped),
                queries=queries,
            )
    except ChildError as error:
        raise BenchError(str(error)) from error
