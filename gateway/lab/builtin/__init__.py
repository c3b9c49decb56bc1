"""Small built-in name servers for the lab: a primary and a secondary node on dnspython. Never part of a deployment.

They stand in where neither NSD nor BIND nor Knot is installed. Each runs as a process of its own, `python -m
gateway.lab.builtin CONFIGURATION`; `gateway.lab.servers.builtin` launches it. They know what the lab needs: answers
(RFC 1034 4.3.2, RFC 4035 3.1), AXFR (RFC 5936), IXFR (RFC 1995), NOTIFY (RFC 1996), TSIG (RFC 8945).
"""
