"""Zones between primaries and backends: who is told of a change, and whether it has arrived."""
