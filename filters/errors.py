"""Errors of the filters."""


class FilterError(Exception):
    """Root of all errors of this package: settings that no policy can be compiled from. Retrying does not help."""
