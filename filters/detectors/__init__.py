"""Detectors of attacks: samples of what passed in, findings out. No clock, no I/O, nothing that an attack lets grow.

A detector that can be overloaded is a weapon itself (CVE-2026-33597 was one), so all is bounded: samples a second by
their reservoirs, subjects by `MOST_SUBJECTS`, different names by sketches of fixed size, seconds by the window.
"""

from filters.detectors.detectors import MOST_SUBJECTS, Detectors
from filters.detectors.measures import Finding, Measure, measure_of
from filters.detectors.subjects import Kind, is_canonical, parse_subject, read_name, show_name

__all__ = [
    "MOST_SUBJECTS",
    "Detectors",
    "Finding",
    "Kind",
    "Measure",
    "is_canonical",
    "measure_of",
    "parse_subject",
    "read_name",
    "show_name",
]
