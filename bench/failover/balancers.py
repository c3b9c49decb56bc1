"""The two balancers: ours, and a model of shadowsocks-rust's by its score.

The model follows crates/shadowsocks-service/src/local/loadbalancing/server_stat.rs of shadowsocks-rust 1.25:

    score = (median / worst * 1 + failed share * 3 + MAD / worst * 1) / 5,   the lowest is best

over the samples of 67 check intervals of 10 s, with 5 s as the worst delay. A flow that fails is not tried again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from ipaddress import ip_address
from statistics import median

from bench.failover.world import NODE_PATIENCE
from proxy.egress.pool.probe import Subject
from proxy.egress.pool.prober import LONGEST_PROBE, Prober
from proxy.egress.pool.way import Way
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.egress.tunnel import Tunnel
from proxy.egress.tunnels import make_tunnel
from proxy.errors import TunnelError
from proxy.settings import Tunnel as TunnelSettings
from proxy.values import Endpoint, Secret

TARGET = Endpoint(ip_address("192.0.2.1"), 53)
SILENCE = TunnelError("no answer", "no-answer")


class Ours:
    """The route and the prober of the gateway with their defaults, told what happens instead of seeing it."""

    def __init__(self, count: int, kind: str = "scored") -> None:
        self.now = 0.0
        self._tunnels = [_tunnel(number) for number in range(count)]
        self.events: list[str] = []
        self._route = Route(
            "p",
            TARGET,
            self._tunnels,
            lambda name, _: self.events.append(name),
            lambda: self.now,
            kind="scored" if kind == "scored" else "ordered",
            datagrams=False,
        )
        self._subject = Subject(self._route, PrimaryServer("p", TARGET), "example.com")
        self._prober = Prober(lambda _name, _fields: None, lambda: self.now)
        self._prober.configure([self._subject])

    @property
    def chosen(self) -> int:
        """The tunnel that the next query is sent to."""
        return self._tunnels.index(self._route.order("tcp")[0])

    def tick(self, now: float, delays: Sequence[float | None]) -> None:
        """Make the probes that are due."""
        self.now = now
        for way, delay in zip(self._route.ways, delays, strict=True):
            if self._prober.due(self._subject, way, now) <= now:
                self._probe(way, delay)

    def query(self, now: float, delays: Sequence[float | None]) -> tuple[int, float | None]:
        """One way after the other, as the forwarder does."""
        waited = 0.0
        for tunnel in self._route.order("tcp"):
            place = self._tunnels.index(tunnel)
            patience = self._route.patience(tunnel, "tcp", 3.0)
            delay = delays[place]
            if delay is not None and delay <= patience:
                self.now = now + waited + delay
                self._route.worked(tunnel, "tcp", delay)
                return place, waited + delay
            waited += patience
            self.now = now + waited
            self._route.failed(tunnel, "tcp", SILENCE)
            if waited >= NODE_PATIENCE:
                break
        return place, None

    def _probe(self, way: Way, delay: float | None) -> None:
        way.probes += 1
        if delay is not None and delay <= LONGEST_PROBE:
            self._route.worked(way.tunnel, "tcp", delay)
        else:
            self._route.failed(way.tunnel, "tcp", SILENCE)


def _tunnel(number: int) -> Tunnel:
    return make_tunnel(TunnelSettings(name=f"t{number}", url=Secret("socks5://127.0.0.1:1")))


class ShadowsocksRust:
    """The model."""

    INTERVAL = 10.0
    WINDOW = 67
    WORST = 5.0

    def __init__(self, count: int) -> None:
        self._samples: list[deque[float | None]] = [deque(maxlen=self.WINDOW) for _ in range(count)]
        self._next = 0.0
        self._best = 0

    @property
    def chosen(self) -> int:
        """The tunnel that the next query is sent to."""
        return self._best

    def tick(self, now: float, delays: Sequence[float | None]) -> None:
        """Every ten seconds, probe all."""
        if now < self._next:
            return
        self._next = now + self.INTERVAL
        for samples, delay in zip(self._samples, delays, strict=True):
            samples.append(delay if delay is not None and delay < self.WORST else None)
        self._best = min(range(len(self._samples)), key=lambda place: self._score(self._samples[place]))

    def query(self, _now: float, delays: Sequence[float | None]) -> tuple[int, float | None]:
        """To the best, and nowhere else."""
        delay = delays[self._best]
        return self._best, delay if delay is not None and delay <= NODE_PATIENCE else None

    def _score(self, samples: Sequence[float | None]) -> float:
        good = [each for each in samples if each is not None]
        middle = median(good) if good else self.WORST
        spread = median(abs(each - middle) for each in good) if good else self.WORST
        failed = 1 - len(good) / len(samples)
        return (middle / self.WORST + failed * 3 + spread / self.WORST) / 5
