"""Exchanges: each query of a node on its way to the primary and back, with quotas, pooled connections and the guard."""
