"""The Rust data plane. One call does a bounded amount of work; nothing here waits, starts a thread or owns a socket."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypedDict, final, type_check_only

_Address = tuple[IPv4Address | IPv6Address, int]

__all__ = [
    "Answers",
    "Blocks",
    "Explanation",
    "GuardLimits",
    "List",
    "Piece",
    "Policy",
    "Reading",
    "SampleTally",
    "SharedMemory",
    "StreamRelay",
    "TsigKeys",
    "UdpRelay",
    "Verdict",
    "check_message",
    "count_soas",
    "distinct_names",
    "proxy_header",
    "put_cookie",
    "strip_cookies",
]

@final
class Blocks:
    """Dynamic blocks, compiled: immutable, shared by the relays of a worker, which count its hits."""

    def __new__(cls, *, prefixes: list[tuple[str, int, str, int]], names: list[tuple[bytes, str, int]]) -> Blocks:
        """Address, bits, action and number of the block of each prefix; name in wire form, action and number of each
        suffix. An action is drop, truncate (over UDP alone) or pass (exempt from all other blocks).

        Raises:
            ValueError: a prefix, name or action that is none.
        """

    def take_hits(self) -> list[tuple[int, int]]:
        """Number and hits since the last call of each block that has any."""

@type_check_only
class ListReading(TypedDict):
    """How the source of a list is to be read.

    `format` is plain, hosts, csv, rpz or transfer (the answers to an AXFR as they came over TCP); `kind` is names,
    prefixes or either; `column` counts from 0; `zone` is in wire form; `strict` refuses a list with garbage; `most` is
    how many entries it may have.
    """

    format: str
    kind: str
    column: int
    zone: bytes | None
    subdomains: bool
    strict: bool
    most: int

@final
class List:
    """A list of names and client prefixes in a file that was built once and is mapped read-only. Immutable."""

    @staticmethod
    def open(path: Path) -> List:
        """Map a file that `build` wrote. Other threads run meanwhile.

        Raises:
            OSError: it can't be read, or is not our own read-only file.
            ValueError: it is no list of this version, or was cut or changed.
        """

    @staticmethod
    def build(
        source: Path, into: Path | None, how: ListReading, stamp: int
    ) -> tuple[int, int, int, list[tuple[int, str]], int, int]:
        """Read a source and put its list in place of `into` in one step; without `into` only check it. Other threads
        run meanwhile. `stamp` (128 bits) says later what it was built from.

        Names, prefixes, lines of garbage, the first five of them with what is wrong, RPZ triggers that need an answer,
        and RPZ records that are answers of their own.

        Raises:
            OSError: the source can't be read or the list not be written.
            ValueError: the source is refused; the text names the line and what is wrong.
        """

    @property
    def names(self) -> int:
        """Different names."""

    @property
    def prefixes(self) -> int:
        """Different prefixes."""

    @property
    def garbage(self) -> int:
        """Lines that were skipped."""

    @property
    def not_applicable(self) -> int:
        """RPZ records that mean nothing before an answer is there."""

    @property
    def stamp(self) -> int:
        """What it was built from."""

@final
class SampleTally:
    """Groups the samples of relays by prefix, by name, or in total, and counts them."""

    ONE: int
    """The units of the counts: so many make one message."""

    def __new__(
        cls,
        *,
        prefix: tuple[int, int] | None = None,
        labels: int | None = None,
        zones: list[bytes] = ...,
        exempt_prefixes: list[tuple[str, int]] = ...,
        exempt_names: list[bytes] = ...,
    ) -> SampleTally:
        """By prefixes of so many bits (IPv4, IPv6), by the last `labels` of the name, or in total. 0 labels: by the
        deepest of `zones` that the name lies in, else by its parent. What is exempt is left out, but from the total.

        Raises:
            ValueError: both are given, or a prefix or name that is none.
        """

    def add(self, samples: bytes) -> bool:
        """Count what `take_samples` gave. False: these are no samples."""

    def take(self, most: int) -> list[tuple[str, bytes, int, dict[str, int], list[int]]]:
        """The groups with the most messages: prefix or "", name in wire form or b"", how many samples, counts, and
        hashes of the different names below a suffix that did not exist or were blocked. Begins anew.

        Counts of queries: queries, query-bytes, malformed, blocked, qtype:NUMBER, reason:VERDICT:REASON. Of answers:
        answers, answer-bytes, rcode:NUMBER. In total also transport:NAME, backend:SLOT, latency:SLOT (microseconds).
        """

def distinct_names(hashes: list[int]) -> int:
    """How many different names are behind the hashes of one suffix, of one second or several."""

@final
class SharedMemory:
    """Counters and rate limits that all processes of one gateway share: a memory file, inherited by its descriptor."""

    @staticmethod
    def create(workers: int, limit_slots: int) -> SharedMemory:
        """Lay out a fresh one for `workers` ingress workers and `limit_slots` buckets of 18 bytes.

        Raises:
            ValueError: a size is out of range.
            OSError: the kernel has no memory for it.
        """

    @staticmethod
    def attach(fd: int) -> SharedMemory:
        """Map the memory behind an inherited descriptor, which is taken over.

        Raises:
            ValueError: it was not laid out by this version.
            OSError: the descriptor is not a file that can be mapped.
        """

    @property
    def fd(self) -> int:
        """Its descriptor, closed on exec unless passed on."""

    @property
    def workers(self) -> int:
        """How many workers it has counters for."""

    def received(self) -> dict[str, int]:
        """Messages from clients, by transport."""

    def verdicts(self) -> list[tuple[str, str, str, int]]:
        """Transport, verdict (forward, reply, drop, shed), reason and count, where the count is not 0."""

    def answers_dropped(self) -> list[tuple[str, str, int]]:
        """Answers of backends that were not passed on: transport, reason and count, where the count is not 0."""

    def observed(self) -> list[tuple[str, str, int]]:
        """Messages that a row of the wire check only observed: transport, reason and count, where it is not 0."""

    def io(self) -> dict[str, int]:
        """What happened besides verdicts, by name."""

    def backend(self, slot: int) -> dict[str, int]:
        """Queries, answers, timeouts and errors of the backend in `slot` (0 to 63).

        Raises:
            ValueError: no such slot.
        """

    def over_limit(self, index: int) -> int:
        """Queries over the rate limit with this counter, whatever its action."""

    def cookies(self) -> list[tuple[str, str, int]]:
        """What messages showed of a DNS cookie while cookies were on: transport; none, client, valid, expired or bad;
        and count, where the count is not 0."""

    def listed(self, cell: int) -> int:
        """Messages that the list of this cell decided about."""

    def rule_hits(self) -> list[tuple[int, int, int]]:
        """Slot of a rule, messages that it matched, and those over its own limit, where any matched."""

    def limited_answers(self) -> list[tuple[str, str, int]]:
        """Answers over a response limit: their class, what became of them (drop, truncate, observe), and count, where
        the count is not 0."""

    @property
    def limit_evictions(self) -> int:
        """Buckets that gave way to others before they were full again: the table is too small."""

@final
class Explanation:
    """What a decision came to, and what it came past."""

    @property
    def verdict(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def reply(self) -> bytes | None: ...
    @property
    def passed(self) -> list[str]:
        """The steps that the message got past, in order: source, wire-check, cookie, grants, zone, lists, rules,
        limits."""
    @property
    def observed(self) -> str | None:
        """The fault that the wire check only observed."""
    @property
    def cookie(self) -> str | None:
        """What it showed of a DNS cookie: none, client, valid, expired or bad; None while cookies are off."""
    @property
    def zone(self) -> bytes | None:
        """The served zone that the name lies in, in wire form; None if only `*` lets it in, or it came not so far."""
    @property
    def listed(self) -> int | None:
        """The cell of the list that knows the client or the name."""
    @property
    def looked(self) -> list[int]:
        """Places of the rules that were looked at; the others can't match, as the index says."""
    @property
    def rules(self) -> list[tuple[str, str]]:
        """The rules that matched, in order, by name, and what each did: an action, under-limit or over-limit."""
    @property
    def over_limits(self) -> list[int]:
        """Places of the rate limits that the message was over."""
    @property
    def pool(self) -> int:
        """The number of the pool that a forwarded query goes to; 0 is the default one."""
    @property
    def delay(self) -> int:
        """Milliseconds that a forwarded query waits."""
    @property
    def mirror(self) -> int:
        """Which of the mirrors gets a copy, from 1; 0: none."""

@final
class Policy:
    """The compiled filters: immutable, shared by the relays of a worker. `filters.policy` makes it from settings."""

    def __new__(
        cls,
        *,
        zones: list[bytes],
        pass_all: bool,
        rate_limits: list[dict[str, object]],
        checks: list[tuple[str, str]],
        error_budget: tuple[int, int],
        lists: Sequence[tuple[List | None, str, int]] = ...,
        mirrors: list[tuple[str, int]] = ...,
        cookies: Mapping[str, object] | None = None,
        responses: Mapping[str, object] | None = None,
        rules: list[dict[str, Any]] = ...,
        memory: int | None = None,
        notifies: list[tuple[bytes, list[tuple[str, int]], list[bytes]]] = ...,
    ) -> Policy:
        """Zones in wire form; a row for each limit, as `filters.limits` makes them; reason and choice of each row of
        the wire check that is not to be as usual; the error budget; each list, or None if it could not be loaded, with
        its action (none, given, drop, refuse, nxdomain, nodata, truncate, allow) and the cell (0 to 63) that counts its
        hits; where copies of queries may go; the row of `[filters.cookies]` (see filters.cookies.CookieRow) and that of
        `[filters.response_limits]` (see filters.responses), None while they are off; rules (name, slot, when, action)
        as `filters.rules` makes them; the bytes that all of it may take; the zones whose NOTIFY is handed to Python,
        with the prefixes that may send it and the names of the keys that may sign it, names in wire form.

        Raises:
            ValueError: a name, word or number that is none of the allowed; the text says which.
        """

    @property
    def memory_size(self) -> int:
        """What the compiled policy takes in memory, about."""

    @property
    def mirrors(self) -> list[tuple[IPv4Address | IPv6Address, int]]:
        """Where copies of queries may go."""

    def decide(
        self,
        message: bytes,
        client: tuple[str, tuple[str, int], tuple[str, int], list[str]],
        *,
        memory: SharedMemory,
        now: int,
    ) -> tuple[str, str, bytes | None]:
        """What is decided about a message, without a socket: verdict, reason, and the reply if there is one.

        `client` is the transport (udp, tcp, tls), where it asks from, the address of ours that it asked, and what the
        listener allows (transfer, notify, update). `now` is in nanoseconds. Rate limits are charged in `memory`;
        nothing is counted as received.

        Raises:
            ValueError: an address or word that is none of the allowed.
        """

    def explain(
        self,
        message: bytes,
        client: tuple[str, tuple[str, int], tuple[str, int], list[str]],
        *,
        memory: SharedMemory,
        now: int,
        unix: int,
        listener: int = 0,
        tlvs: bytes | None = None,
        server_name: bytes | None = None,
        blocks: Blocks | None = None,
    ) -> Explanation:
        """As `decide`, with all that is known of a client, and what the decision came past. `unix` counts seconds since
        1970 (`decide` takes it from `now`), `listener` is the place among the listeners, `tlvs` stand as in a PROXY
        header, `blocks` are in force. Hits of rules are counted in `memory`.

        Raises:
            ValueError: an address or word that is none of the allowed.
        """

@final
class UdpRelay:
    """The UDP relay of one worker."""

    def __new__(
        cls,
        *,
        memory: SharedMemory,
        worker: int,
        policy: Policy,
        sockets: list[tuple[int, bool]],
        flows: int,
        segmentation: bool,
    ) -> UdpRelay:
        """`sockets` are the descriptors towards the backends and whether each is IPv6; they stay the caller's.

        Raises:
            ValueError: the memory has no such worker.
        """

    def add_listener(self, fd: int, address: str, port: int, *, allow: list[str], number: int = 0) -> int:
        """Add a socket bound to `address` and `port`; returns the number for `listener_ready`. The `number` given is
        its place among all listeners, by which the policy knows it.

        Raises:
            ValueError: `allow` has other words than transfer, notify and update.
        """

    def set_proxies(
        self,
        listener: int,
        accept: str,
        proxies: list[tuple[str, int]],
        *,
        required: bool,
        idle: float,
        sessions: int,
    ) -> None:
        """Expect the clients of a listener to come by `proxies` (address and prefix bits), with the header `accept`:
        "v2" or "spp" before each datagram, "spectrum" once, where `sessions` clients are remembered until they were
        idle for `idle` seconds; "off" ends it. What else comes is dropped if `required`.

        Raises:
            IndexError: there is no such listener.
            ValueError: a word, prefix or time that is none.
        """

    def add_socket(self, fd: int, ipv6: bool) -> int:
        """Add a socket towards the backends of a family; returns its number for `backend_ready`."""

    def set_notified(self, notified: Callable[[], object]) -> None:
        """Call this when NOTIFY messages wait to be taken. It must not call the relay itself."""

    def take_notifies(self) -> list[tuple[int, _Address, _Address, int, bytes]]:
        """The NOTIFY messages that came since the last call: what names it, the client, the address of ours that was
        asked, the number of the listener, and the message. Each is to be answered once with `answer_notify`."""

    def answer_notify(self, number: int, answer: bytes | None) -> None:
        """Send the answer from the address that was asked, or let go of the NOTIFY without one."""

    def set_mirrors(self, ipv4: int | None, ipv6: int | None) -> None:
        """The descriptors that copies for mirrors leave by; they stay the caller's."""

    def set_policy(self, policy: Policy) -> None:
        """Decide by another policy from the next packet on."""

    def set_blocks(self, blocks: Blocks) -> None:
        """Block this and nothing else from the next message on."""

    def set_samples(self, most: int) -> None:
        """Keep at most so many samples of queries, and as many of answers, from one `take_samples` to the next."""

    def take_samples(self) -> bytes:
        """The samples since the last call, for `SampleTally.add`."""

    def set_backends(self, backends: list[tuple[int, str, int, int, int, float, str, bool]]) -> None:
        """Slot, address, port, weight, pools (bit n: in pool n), time-out in seconds, PROXY header ("off", "v1", "v2"
        or "spp") and whether it has a checksum, of each. One that is known in its slot keeps its state.

        Raises:
            ValueError: no such slot, a time-out that is none, or no such header.
        """

    def set_health(self, slot: int, healthy: bool) -> None:
        """Let the backend have queries, or not."""

    def set_overload(self, row: dict[str, object]) -> None:
        """Take what the windows of the backends aim at; `proxy.ingress.overload` makes the row.

        Raises:
            KeyError: the row lacks an item.
            ValueError: a number is out of range, or the reply is none.
        """

    def windows(self) -> list[tuple[int, int, int, int]]:
        """Of each backend: slot, size of its window, queries in it, and nanoseconds of the fastest answer lately."""

    def admitted(self) -> list[tuple[str, int]]:
        """Queries that were let in while a window was tight, by class of the client."""

    def listener_ready(self, listener: int) -> None:
        """Work through what waits at a listener: at most four batches of 64.

        Raises:
            IndexError: no such listener.
        """

    def backend_ready(self, socket: int) -> bool:
        """Work through what waits at a backend socket, by its place in `sockets`: at most four batches of 64.

        True: the socket had an error (ICMP), which was counted. libuv watches a socket no longer after that.

        Raises:
            IndexError: no such socket.
        """

    def expire(self) -> list[int]:
        """Give up queries whose time is over. The slots of backends that missed one since the last call, and answered
        none that was sent with it or later."""

    @property
    def in_flight(self) -> int:
        """Queries that wait for an answer."""

    def outstanding(self) -> list[tuple[int, int]]:
        """Slot and unanswered queries of each backend."""

    def answered(self, slot: int) -> int:
        """When the newest query was sent that the backend has answered: nanoseconds of CLOCK_MONOTONIC; 0: none was."""

@final
class StreamRelay:
    """The TCP relay of one worker, without its sockets: it hears what happened to them, and says what to write and do.

    A client connection and a connection to a backend (a link) are named by tokens, which are never used twice. `now` is
    nanoseconds of the monotonic clock. Bounds are: idle, read and write time-out in seconds; connections; connections
    of one client address; queries in flight of one connection; connections to one backend, and connections to one
    backend that belong to one client each.
    """

    def __new__(
        cls,
        *,
        memory: SharedMemory,
        worker: int,
        policy: Policy,
        bounds: tuple[float, float, float, int, int, int, int, int],
    ) -> StreamRelay:
        """A relay without backends; `configure` gives it some.

        Raises:
            ValueError: the memory has no such worker, or a time-out that is none.
        """

    def configure(
        self,
        policy: Policy,
        bounds: tuple[float, float, float, int, int, int, int, int],
        backends: list[tuple[int, str, int, int, int, float, str, bool]],
        allow: list[list[str]],
        now: int,
    ) -> None:
        """Take new settings. `backends` as for UdpRelay; `allow` is what each listener grants, by its number.

        Raises:
            ValueError: no such slot, a time-out that is none, or `allow` has other words than transfer, notify and
                update.
        """

    def set_overload(self, row: dict[str, object]) -> None:
        """Take what the windows of the backends aim at; `proxy.ingress.overload` makes the row.

        Raises:
            KeyError: the row lacks an item.
            ValueError: a number is out of range, or the reply is none.
        """

    def windows(self) -> list[tuple[int, int, int, int]]:
        """Of each backend: slot, size of its window, queries in it, and nanoseconds of the fastest answer lately."""

    def set_guard(self, row: dict[str, object]) -> None:
        """Take the bounds of the TCP door; `proxy.ingress.tcp_guard` makes the row.

        Raises:
            KeyError: the row lacks an item.
            ValueError: a number is out of range, or an action is none.
        """

    def accept(self, fd: int, listener: int, now: int, most: int) -> tuple[list[tuple[int, int]], int]:
        """Take up to `most` connections from a listening socket: the descriptor and token of each. The descriptors are
        the caller's. Those that are refused are counted, and reset.

        The second item: 0, none waits any more; 1, more may wait; 2, there are no descriptors for those that wait.
        """

    @property
    def overloaded(self) -> bool:
        """Whether the door is in overload mode."""

    def set_proxies(self, rows: list[tuple[str, bool, float, list[tuple[str, int]]]]) -> None:
        """The PROXY header that each listener expects by its number: "off", "v1" or "v2", whether it is required, the
        seconds until it is whole, and the prefixes of the proxies that may send it.

        Raises:
            ValueError: no such header, no prefix, or a time-out that is none.
        """

    def client_data(self, token: int, data: bytes, now: int) -> int:
        """Bytes of a client.

        Bits of the result: 1, there is something to flush; 2, don't read from it until the order `resume`; 4, a message
        has begun and more of it is due.
        """

    def client_blocked(self, token: int, unsent: int, now: int) -> int:
        """The client's connection is not to be written to: `unsent` bytes stand in its buffer. With 0, it takes again.

        The result is as that of `client_data`.
        """

    def client_progressed(self, token: int, unsent: int, now: int) -> None:
        """A blocked client's socket took some bytes; `unsent` are left."""

    def client_ended(self, token: int, now: int) -> None:
        """The client will send no more; it is still answered, then closed."""

    def client_lost(self, token: int, now: int) -> None:
        """The client's connection is gone."""

    def link_opened(self, token: int) -> None:
        """The connection stands."""

    def link_data(self, token: int, data: bytes, now: int) -> int:
        """Bytes of a backend.

        Bits of the result: 1, there is something to flush; 2, don't read from it until the order `resume-link`; 4, more
        answers are due on this link.
        """

    def link_blocked(self, token: int, blocked: bool, now: int) -> None:
        """The link's socket takes no more, or takes again."""

    def link_failed(self, token: int, now: int) -> None:
        """The connection could not be opened. Its queries move on."""

    def link_lost(self, token: int, now: int) -> None:
        """The connection is gone. Its queries move on."""

    def set_blocks(self, blocks: Blocks, now: int) -> None:
        """Block this and nothing else from the next message on.

        Connections of prefixes whose queries are dropped are closed, and let in no more.
        """

    def set_samples(self, most: int) -> None:
        """Keep at most so many samples of queries, and as many of answers, from one `take_samples` to the next."""

    def take_samples(self) -> bytes:
        """The samples since the last call, for `SampleTally.add`."""

    def set_health(self, slot: int, healthy: bool, now: int) -> None:
        """Let the backend have queries, or not."""

    def drain(self, now: int) -> None:
        """Let no client in any more, and order each closed as soon as nothing is owed to it."""

    def tick(self, now: int) -> None:
        """Give up what is overdue."""

    @property
    def wants_flush(self) -> bool:
        """Whether there is anything for `flush`."""

    def flush(self, now: int) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]], list[tuple[str, int, int]]]:
        """What to write to clients, what to write to links, each at most once, and then the orders: kind, token, slot.

        Kinds: resume, close, abort (a client); connect (open a connection to the backend in the slot; it is the link of
        this token); close-link, pause-link, resume-link; again (flush once more); notified (take the NOTIFY
        messages); failed (a sign that the backend
        in the slot is not well).
        """

    def take_copies(self) -> list[tuple[IPv4Address | IPv6Address, int, bytes]]:
        """Copies of queries for mirrors, since the last call: address, port, message."""

    def take_notifies(self) -> list[tuple[int, _Address, _Address, int, bytes]]:
        """As `UdpRelay.take_notifies`. The order `notified` of `flush` says that there are some."""

    def answer_notify(self, number: int, answer: bytes | None, now: int) -> None:
        """Answer a NOTIFY on the connection that it came by; without an answer that connection ends."""

    def mirrored(self, sent: int, failed: int) -> None:
        """Count copies that left, and that could not."""

    def endings(self) -> dict[str, int]:
        """Clients that were closed or refused, by reason."""

    def status(self) -> dict[str, int]:
        """Now: clients, links, in-flight, transfers, buffered (bytes). Since the start: resent, given-up (queries),
        over-time (reads after which a prefix was over its time). overloaded: 1 in overload mode. uncounted: connections
        of all workers that no prefix is charged for.
        """

@final
class Reading:
    """What the wire check read of a message that passed."""

    @property
    def id(self) -> int: ...
    @property
    def flags(self) -> int:
        """The second 16 bits of the header."""
    @property
    def opcode(self) -> int: ...
    @property
    def qname(self) -> bytes | None:
        """In wire form, case as sent; None for a query without a question (RFC 7873 section 5.4)."""
    @property
    def qtype(self) -> int | None: ...
    @property
    def qclass(self) -> int | None: ...
    @property
    def udp_size(self) -> int | None:
        """At least 512; None without EDNS."""
    @property
    def dnssec_ok(self) -> bool: ...
    @property
    def signed(self) -> bool:
        """Carries TSIG or SIG(0), which was not verified."""

def check_message(message: bytes, transport: str) -> tuple[Reading | None, str, bytes | None]:
    """The wire check alone, with its choices open except for trailing bytes.

    Returns the reading, the reason ("ok" if it passed), and the reply to a message that did not pass. Neither reading
    nor reply: it is dropped.

    Raises:
        ValueError: no such transport; udp, tcp and tls are.
    """

def proxy_header(kind: str, source: tuple[str, int], destination: tuple[str, int], *, checksum: bool = False) -> bytes:
    """What stands before a datagram: LOCAL of PROXY v2 ("local"), or a client as v2 ("v2") or SPP ("spp") has it.

    Raises:
        ValueError: another kind, or what is no address.
    """

def strip_cookies(query: bytes) -> bytes:
    """What a backend gets of a query with DNS cookies: without them, and with a UDP size that leaves room for one in
    the answer. As it was, if it has none or is not good."""

def put_cookie(answer: bytes, cookie: tuple[bytes, bytes, bytes], room: int) -> bytes | None:
    """What a client gets of a backend's answer: with the client cookie (8 bytes), time stamp (4) and tag (8).

    At most `room` bytes: else TC, the question and OPT are left. None: it has no OPT, is signed, or can't be changed.
    """

def count_soas(message: bytes) -> int | None:
    """How many SOA records the answer section of a message has; None if it is an error, no answer, or malformed."""

@final
class GuardLimits:
    """What the answer to one query may cost at most. Immutable; limits that are not named keep their defaults."""

    def __new__(
        cls,
        *,
        size: int = ...,
        records: int = ...,
        messages: int = ...,
        rrset: int = ...,
        seconds: float = ...,
        idle: float = ...,
        rate_bytes: int = ...,
        rate_seconds: float = ...,
        names: int = ...,
        held: int = ...,
        allow_older: bool = ...,
        allow_out_of_zone: bool = ...,
    ) -> GuardLimits:
        """`size`, bytes of all messages with their length prefixes (4 GiB), `records` and `messages` (100 million),
        records of one owner and type (`rrset`, 5461); `seconds` from the query to the end of its answer (7200) and
        without a byte (`idle`, 60); the connection must bring `rate_bytes` (10240) in `rate_seconds` (300) while
        anything is due. `names`: bytes of owner names to keep for the verdict (0: none). `held`: bytes of an IXFR with
        several sequences that wait for its end (16 MiB). `allow_older`: the answer to an IXFR may lead to a serial that
        is older than the query's (RFC 1982); else it may not. `allow_out_of_zone`: a transfer may have records outside
        the zone, which are not counted as its own; else it may not.

        Raises:
            KeyError: no such limit.
            ValueError, TypeError, OverflowError: not a number that it can have.
        """

@final
class TsigKeys:
    """Keys that answers are verified with (RFC 8945). Immutable; has nothing to show of the secrets."""

    ALGORITHMS: tuple[str, ...]
    """The words for algorithms."""

    def __new__(cls, keys: list[tuple[bytes, str, bytes]]) -> TsigKeys:
        """Name in wire form, algorithm, and secret (not in base64) of each.

        Raises:
            ValueError: a name or an algorithm that is none.
        """

    def __len__(self) -> int: ...

@final
class Verdict:
    """What is said of the answer to one query when it ended, well or not."""

    @property
    def accepted(self) -> bool:
        """All checks have passed. So they may for an RCODE, a lone SOA or a truncated answer: see `kind`."""
    @property
    def reason(self) -> str:
        """`accepted`, or the label of what was wrong: one of `Answers.REASONS` (docs/guard.md)."""
    @property
    def detail(self) -> str:
        """What was wrong, in words."""
    @property
    def kind(self) -> str:
        """soa, axfr, ixfr (differences), axfr-style (an IXFR answered with the whole zone), up-to-date, error (an
        RCODE), truncated (over UDP: ask again over TCP). What was wrong before that showed has the kind asked for."""
    @property
    def tsig(self) -> str:
        """none (the query was not signed), unverified (its key is not known here), verified; or the primary refused the
        query: badsig, badkey, badtime."""
    @property
    def zone(self) -> bytes:
        """In wire form and lower case."""
    @property
    def rcode(self) -> int:
        """12 bits."""
    @property
    def serial(self) -> int | None:
        """Of the first SOA."""
    @property
    def from_serial(self) -> int | None:
        """Of the query, if it was an IXFR."""
    @property
    def messages(self) -> int: ...
    @property
    def records(self) -> int:
        """In answer sections."""
    @property
    def size(self) -> int:
        """Bytes of the messages, length prefixes included."""
    @property
    def counts(self) -> dict[int, int]:
        """How many records of each type were added or deleted; of a whole zone, its SOA once."""
    @property
    def added(self) -> int:
        """Records of the zone, or that an IXFR adds, SOA included."""
    @property
    def removed(self) -> int:
        """Records that an IXFR deletes, SOA included."""
    @property
    def digest(self) -> bytes:
        """32 bytes: order-independent, of the records of the zone, or of those that an IXFR adds."""
    @property
    def removed_digest(self) -> bytes:
        """32 bytes: the same of the records that an IXFR deletes; zeros for a whole zone."""
    @property
    def names(self) -> bytes | None:
        """Owner names of what was added, each once, in wire form and lower case, one behind the other. None: they were
        not asked for, or are more than the limit."""
    @property
    def seconds(self) -> float:
        """From the query to the verdict."""

    def digest_after(self, before: bytes) -> bytes:
        """The digest of a zone that had the digest `before`, with this applied to it. Of an IXFR.

        Raises:
            ValueError: not 32 bytes.
        """

@final
class Piece:
    """What may be passed on to whoever asked a query."""

    @property
    def id(self) -> int: ...
    @property
    def data(self) -> bytes:
        """Whole messages with their length prefixes, unchanged; empty with a verdict that rejects at once."""
    @property
    def verdict(self) -> Verdict | None:
        """None: more is expected."""

@final
class Answers:
    """What comes back for the queries of one connection to a primary, or for UDP queries: cut into messages, each
    matched to its query by ID and question, and judged as it passes. Any chunking gives the same pieces, put together.

    The last message of an answer, and the first that is wrong with all behind it, is passed only after every check.
    `now` is in seconds since the epoch throughout, because signatures are dated.
    """

    REASONS: tuple[str, ...]
    """Every reason of a verdict, `accepted` first."""
    FAULTS: tuple[str, ...]
    """Every key of `faults`."""

    def __new__(cls, *, limits: GuardLimits, keys: TsigKeys | None = None) -> Answers: ...
    def expect(self, query: bytes, now: float) -> None:
        """A query for SOA, AXFR or IXFR (without length prefix) was sent.

        Raises:
            ValueError: it can't be read, or its ID is in use: its answer is due, or was given up and may still come.
        """

    def feed(self, data: bytes, now: float, start: int = 0, end: int | None = None) -> list[Piece]:
        """Bytes that the primary sent over TCP: those of `data` from `start` to `end`. At most one piece that is not
        closed for each query."""

    def datagram(self, message: bytes, now: float) -> list[Piece]:
        """One datagram of the primary; in the piece it has a length prefix too. What is no answer to a query of this ID
        and question, or lacks the signature that is due, is only counted: it may be forged, and the query waits on."""

    def tick(self, now: float) -> list[Piece]:
        """Verdicts on queries that take too long or bring too little. To be called about once a second: between two
        calls of this object at most ten seconds count, so that a clock that is set, or a machine that slept, rejects
        nothing."""

    def finish(self) -> list[Piece]:
        """The connection ended: every open query gets the verdict "cut"."""

    def forget(self, number: int) -> None:
        """Nobody waits for this answer any more: its messages are discarded, its ID stays in use."""

    @property
    def outstanding(self) -> int:
        """Queries whose answers are not complete."""

    def faults(self) -> dict[str, int]:
        """What came and belongs to no query, by kind, since the start."""
