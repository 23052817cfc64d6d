"""views(): all readings of one text, nothing built that the text gives no reason for."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from guard.views import blobs, escapes, hiding
from guard.views.collapsing import collapse
from guard.views.folding import fold
from guard.views.maps import Map
from guard.views.triggers import find_reasons
from guard.views.view import View, Views
from guard.views.words import is_english

MAX_DEPTH = 4
"""Decodings within decodings."""

MAX_VIEWS = 32
"""Views of one text, the raw one counted."""

MAX_GROWTH = 12
"""Characters that all views together may hold, for each of the text."""

FREE = 4096
"""Characters that a short text's views may hold beyond that."""

SHORT = 48
"""Characters up to which a text without any English word is read under rot13 and backwards too."""

_Decoder = Callable[[str], tuple[str, Map] | None]

_DECODERS: tuple[tuple[str, _Decoder], ...] = (
    ("tags", hiding.show_tags),
    ("selectors", hiding.show_selectors),
    ("bidi", hiding.show_overridden),
    ("zero", hiding.show_zero_width),
    ("url", escapes.read_percent),
    ("html", escapes.read_entities),
    ("escapes", escapes.read_backslashes),
    ("quoted", escapes.read_quoted_printable),
    ("morse", blobs.read_morse),
    ("binary", blobs.read_binary),
    ("hex", blobs.read_hex),
    ("numbers", blobs.read_numbers),
    ("base32", blobs.read_base32),
    ("base64", blobs.read_base64),
)

_HIDING = frozenset({"tags", "selectors", "bidi", "zero"})
_FOLDING = frozenset("fold-step fold-always fold-regional fold-foreign fold-han fold-symbols".split())
_COLLAPSING = frozenset({"apart", "leet", "long"})


def views(text: str) -> Views:
    """All readings of a text in which something could stand that the text itself does not show.

    Never raises for a string, whatever is in it; the cost is linear in its length. A plain English text costs one
    pass. Cheap enough to be called on each window of a stream.
    """
    raw = View("raw", text)
    reasons = find_reasons(text)
    if not reasons and (len(text) > SHORT or not _is_riddle(text)):
        return Views((raw,))
    build = _Build(raw)
    build.expand(raw, reasons, 0)
    hidden = hiding.find_hidden(text) if reasons & _HIDING else ()
    return Views(tuple(build.made), tuple(hidden), build.capped)


class _Build:
    """The views made so far, and what may still be made."""

    def __init__(self, raw: View) -> None:
        self.made = [raw]
        self.capped = False
        self._seen = {raw.text}
        self._left = MAX_GROWTH * len(raw.text) + FREE

    def expand(self, view: View, reasons: frozenset[str], depth: int) -> None:
        """Add all that can be read out of a view, nearest first."""
        queue = [(view, reasons, depth)]
        while queue:
            view, reasons, depth = queue.pop(0)
            base = view
            if reasons & _FOLDING:
                folded = self._step(view, "folded", fold(view.text, reasons))
                if folded is not view:
                    base = folded
                    self._keep(folded)
                    reasons = reasons | find_reasons(folded.text) - _FOLDING
            if reasons & _COLLAPSING:
                self._collapse(base, reasons)
            if depth >= MAX_DEPTH:
                self.capped = self.capped or bool(reasons - _FOLDING - _COLLAPSING)
                continue
            # Folding takes hidden characters out, so what they say is read from the text before it.
            shown = self._decode(view, reasons & _HIDING) if reasons & _HIDING else None
            read = [new for new in (shown, self._decode(base, reasons - _HIDING)) if new]
            riddle = depth == 0 and len(base.text) <= SHORT and _is_riddle(base.text)
            if "rot13" in reasons or riddle:
                read.append(self._step(base, "rot13", (codecs.encode(base.text, "rot13"), None)))
            if "reversed" in reasons or riddle:
                read.append(self._step(base, "reversed", (base.text[::-1], Map.mirror(len(base.text)))))
            queue += [(new, find_reasons(new.text), depth + 1) for new in read if new is not base and self._keep(new)]

    def _collapse(self, base: View, reasons: frozenset[str]) -> None:
        for name, steps in collapse(base.text, reasons):
            view = base
            for text, made in steps:
                view = View(name if base.name == "raw" else f"{base.name}>{name}", text, view, made)
            if len(view.text) > self._left:
                self.capped = True
                return
            self._left -= len(view.text)
            self._keep(view)

    def _decode(self, base: View, reasons: frozenset[str]) -> View | None:
        """All that is encoded in a view decoded in its place, or None."""
        view = base
        for name, read in _DECODERS:
            if name not in reasons:
                continue
            new = self._step(view, name, read(view.text))
            if new is not view:
                view = new
                reasons = reasons | find_reasons(view.text) - _HIDING
        return None if view is base else view

    def _step(self, view: View, name: str, made: tuple[str, Map | None] | None) -> View:
        if made is None or made[0] == view.text or not made[0]:
            return view
        if len(made[0]) > self._left:
            self.capped = True
            return view
        self._left -= len(made[0])
        return View(name if view.name == "raw" else f"{view.name}>{name}", made[0], view, made[1])

    def _keep(self, view: View) -> bool:
        if view.text in self._seen:
            return False
        if len(self.made) >= MAX_VIEWS:
            self.capped = True
            return False
        self._seen.add(view.text)
        self.made.append(view)
        return True


def _is_riddle(text: str) -> bool:
    """Whether a short text is made of Latin letters and holds no English word."""
    return len(text) >= 4 and text.isascii() and any(char.isalpha() for char in text) and not is_english(text)
