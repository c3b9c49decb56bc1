"""The embedded demonstration: a whole ring on loopback, with no root and nothing installed.

A primary with real zones, a Shadowsocks exit, secondary nodes, the gateway in front, and a stream of queries and
changes. Nothing here is part of a deployment: the gateway runs as a child process, as an operator would start it.
"""
