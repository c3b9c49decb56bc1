"""Tests of the data plane through its Python skin."""
