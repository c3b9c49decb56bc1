"""Errors of the filters."""


class FilterError(Exception):
    """Root of all errors of this package: settings that no policy can be compiled from. Retrying does not help.

    `place` is the key below `filters`, as far as it is known.
    """

    def __init__(self, text: str, place: tuple[str | int, ...] = ()) -> None:
        super().__init__(text)
        self.place = place
