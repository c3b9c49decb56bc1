"""Errors of the measurements."""


class BenchError(RuntimeError):
    """A measurement could not be made; the text says why. Its figures are reported as not measured."""
