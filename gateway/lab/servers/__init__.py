"""Name servers as child processes on loopback: NSD, BIND, Knot and PowerDNS, as primary or as secondary node.

Used by the lab, the tests and the benchmarks.
"""
