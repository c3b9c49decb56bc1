"""Values that settings are made of, as far as the filters need them; `proxy.values` has the others."""

from __future__ import annotations


class Secret:
    """Text that must not be seen. Only `reveal` gives it; printing, logging and comparing by repr show nothing."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
