"""All rules over one stream of samples.

```
samples of a second -> by each view that a rule needs: counts of each subject -> windows -> rules -> findings
```
Rules that look by the same prefix lengths or suffixes share the counting, and with the same window the sums too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dataplane import SampleTally
from filters.detectors.measures import Finding, judge, measure_of
from filters.detectors.subjects import show_name
from filters.detectors.window import Counts, Window
from filters.errors import FilterError
from filters.names import zone_wire
from filters.settings import FilterSettings
from filters.settings.blocks import DynamicBlock
from filters.values import IPNetwork

MOST_SUBJECTS = 2000
"""Subjects of one second and view that are looked at: those with the most messages. An attack is among them."""

View = tuple[str, int, int]


class Detectors:
    """The detectors of a configuration. `exempt` are prefixes besides those of the configuration."""

    def __init__(self, settings: FilterSettings, exempt: Iterable[IPNetwork] = ()) -> None:
        """Raises FilterError: a rule or a name can't be read; with what would be right."""
        self._rules = settings.dynamic_blocks
        for rule in self._rules:
            measure_of(rule)
        prefixes = [*exempt, *(network.prefix for network in settings.blocks.exempt)]
        exempt_prefixes = [(str(prefix.network_address), prefix.prefixlen) for prefix in prefixes]
        exempt_names = [zone_wire(name) for name in settings.blocks.exempt_names]
        zones = [zone_wire(zone) for zone in settings.zones if zone != "*"]
        self._tallies: dict[View, SampleTally] = {}
        self._windows: dict[tuple[View, int], Window] = {}
        for rule in self._rules:
            view = _view(rule)
            if view not in self._tallies:
                by_prefix = view[0] == "prefix"
                self._tallies[view] = SampleTally(
                    prefix=view[1:] if by_prefix else None,
                    labels=None if by_prefix else view[1],
                    zones=zones,
                    exempt_prefixes=exempt_prefixes,
                    exempt_names=exempt_names,
                )
            self._windows.setdefault((view, rule.window), Window(rule.window))

    def look(self, batches: Sequence[bytes], presumed: Mapping[tuple[str, str], float] | None = None) -> list[Finding]:
        """What is found with one second more of samples. `presumed`: the mix of each block in force, by rule and
        subject (see `filters.detectors.measures`)."""
        for view, tally in self._tallies.items():
            for batch in batches:
                tally.add(batch)
            second = {
                prefix or show_name(name): Counts(counts, samples, hashes)
                for prefix, name, samples, counts, hashes in tally.take(MOST_SUBJECTS)
            }
            for (other, _), window in self._windows.items():
                if other == view:
                    window.push(second)
        presumed = presumed or {}
        return [finding for rule in self._rules for finding in self._judge(rule, presumed)]

    def _judge(self, rule: DynamicBlock, presumed: Mapping[tuple[str, str], float]) -> Iterable[Finding]:
        window = self._windows[_view(rule), rule.window]
        distinct = measure_of(rule).distinct
        for subject, held in window.sums():
            if held.samples < rule.samples:  # most of them, under a flood with forged sources
                continue
            hashes = window.hashes(subject) if distinct else ()
            finding = judge(rule, subject, held.counts, held.samples, hashes, presumed.get((rule.name, subject)))
            if finding is not None:
                yield finding


def _view(rule: DynamicBlock) -> View:
    return ("prefix", rule.prefix_v4, rule.prefix_v6) if rule.by == "prefix" else ("suffix", rule.suffix_labels, 0)


def check(settings: FilterSettings) -> Iterable[tuple[tuple[str | int, ...], str, str]]:
    """What is wrong in the settings of dynamic blocks: the key, what was found, and what would be right."""
    seen: set[str] = set()
    for index, rule in enumerate(settings.dynamic_blocks):
        key = ("dynamic_blocks", index)
        if rule.name in seen:
            yield (*key, "name"), f'"{rule.name}"', "another rule has this name; names are unique"
        seen.add(rule.name)
        try:
            measure_of(rule)
        except FilterError as error:
            yield key, f'the rule "{rule.name}"', str(error)
        order = ("warn", "truncate", "drop")
        places = [order.index(step) for step in rule.steps]
        if places != sorted(set(places)):
            yield (*key, "ladder"), ", ".join(rule.steps), "each step is stronger: warn, truncate, drop"
    for index, name in enumerate(settings.blocks.exempt_names):
        try:
            zone_wire(name)
        except FilterError as error:
            yield ("blocks", "exempt_names", index), f'"{name}"', str(error)
