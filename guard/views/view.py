"""View, Hidden, Views: the readings of one text."""

from __future__ import annotations

from typing import NamedTuple

from guard.views.maps import Map, Span


class Hidden(NamedTuple):
    """A stretch of characters that a reader does not see and that carry or hide text."""

    kind: str
    """`tags`, `selectors`, `bidi` or `zero-width`."""
    span: Span
    """Half-open character offsets in the original text."""


class View:
    """One reading of a text, with the way back to the original offsets."""

    __slots__ = ("_map", "_parent", "name", "text")

    def __init__(self, name: str, text: str, parent: View | None = None, map: Map | None = None) -> None:  # noqa: A002
        """A view made from `parent`; without a map its characters stand where the parent's stand."""
        self.name = name
        self.text = text
        self._parent = parent
        self._map = map

    def span(self, start: int, end: int) -> Span:
        """Half-open offsets in the original text for those in this view; O(log stretches) a step of the chain.

        A span of at least one character maps to at least one. Where the view does not keep the order (mirrored
        words), the span covers all that the characters came from.
        """
        view: View | None = self
        while view is not None:
            if view._map is not None:
                start, end = view._map.span(start, end)
            view = view._parent
        return start, end

    def __repr__(self) -> str:
        return f"View({self.name!r}, {self.text!r})"


class Views:
    """All readings of one text."""

    __slots__ = ("all", "capped", "hidden")

    def __init__(self, all: tuple[View, ...], hidden: tuple[Hidden, ...] = (), capped: bool = False) -> None:  # noqa: A002
        """The views, `raw` first."""
        self.all = all
        self.hidden = hidden
        self.capped = capped
        """Whether a reading was left out because the limits on depth, number or size were reached."""

    def __repr__(self) -> str:
        return f"Views({self.all!r}, hidden={self.hidden!r}, capped={self.capped})"
