"""An answer's text while its tokens still come: what of it stands for sure, and in which channel.

Three things keep text back until more is known: a character whose bytes are not all there, the beginning of a stop
string, and the marks round a reasoning. What comes out, joined, is the text as it would be cut out of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guard.models.base import Piece

if TYPE_CHECKING:
    from guard.models._draw import RowState

_THINK, _THOUGHT = "<think>", "</think>"
_UNREADABLE = "\ufffd"
_LONGEST_CHARACTER = 16
"""Tokens that are waited for before a character that cannot be read is taken for one that never will."""


class Teller:
    """Tells of one row's tokens as pieces.

    A batch that is begun again, since the memory did not hold it, draws the same tokens again: what was told before
    is not told twice.
    """

    def __init__(self, told: Callable[[Piece], None]) -> None:
        self._told = told
        self._text = 0
        self._reasoning = 0

    def begin(
        self, read: Callable[[list[int]], str], ends: frozenset[int], stops: Sequence[str], *, thinking: bool
    ) -> Callable[[RowState], None]:
        """What is called after every token of the row.

        Args:
            read: the text of some tokens.
            ends: tokens that end an answer and are not part of it.
            stops: strings that do.
            thinking: whether the prompt has opened the reasoning.
        """
        spelling, until, thoughts = Spelling(read), Stops(stops), Thoughts(thinking=thinking)
        text_left, reasoning_left = self._text, self._reasoning
        heard = 0

        def tell(row: RowState) -> None:
            nonlocal heard, text_left, reasoning_left
            ended = bool(row.finish)
            ids = row.ids[:-1] if row.ids[-1] in ends else row.ids
            reasoning, text = thoughts.feed(until.feed(spelling.next(ids, last=ended)))
            if ended:
                for more in (thoughts.feed(until.close()), thoughts.close()):
                    reasoning, text = reasoning + more[0], text + more[1]
            text_left, text = max(0, text_left - len(text)), text[text_left:]
            reasoning_left, reasoning = max(0, reasoning_left - len(reasoning)), reasoning[reasoning_left:]
            if reasoning or text:
                self._text += len(text)
                self._reasoning += len(reasoning)
                self._told(Piece(text, reasoning, tuple(row.drawn[heard : len(ids)])))
                heard = len(ids)

        return tell


class Spelling:
    """Tokens to text, each token decoded a bounded number of times.

    Source: the incremental decoding of text-generation-inference: a token is decoded behind a few earlier ones, since
    its text may hang on them.
    """

    def __init__(self, read: Callable[[list[int]], str]) -> None:
        """Args: read: the text of some tokens."""
        self._read = read
        self._before = 0
        self._given = 0

    def next(self, ids: Sequence[int], *, last: bool = False) -> str:
        """The text that the tokens add to what was given; `last`: even where a character is not whole."""
        known = self._read(list(ids[self._before : self._given]))
        text = self._read(list(ids[self._before :]))
        waits = text.endswith(_UNREADABLE) and not last and len(ids) - self._given < _LONGEST_CHARACTER
        if len(text) <= len(known) or waits:
            return ""
        self._before, self._given = self._given, len(ids)
        return text[len(known) :]


class Stops:
    """Text up to the first stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self._stopped = False

    def feed(self, text: str) -> str:
        """What of the text so far can be in no stop string."""
        if self._stopped:
            return ""
        self._held += text
        places = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if places:
            self._stopped = True
            held, self._held = self._held[: min(places)], ""
            return held
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        given, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return given

    def close(self) -> str:
        """What was kept back, and was no stop string after all."""
        held, self._held = self._held, ""
        return held


class Thoughts:
    """Text parted into reasoning and answer, as `split_reasoning` of `hf` does it with a whole text."""

    def __init__(self, *, thinking: bool) -> None:
        """Args: thinking: whether the prompt has opened the reasoning."""
        self._state = "thinking" if thinking else "unknown"
        self._opened = False
        self._held = ""
        self._blank = True
        """Whether nothing but white space has come in this channel."""

    def feed(self, text: str) -> tuple[str, str]:
        """Reasoning and answer that stand for sure."""
        if self._state == "answer":
            return "", text
        self._held += text
        if not self._opened and self._state in ("unknown", "thinking"):
            start = self._held.lstrip()
            if _THINK.startswith(start) and start != _THINK:
                return "", ""
            self._opened = True
            if start.startswith(_THINK):
                self._state, self._held = "thinking", start.removeprefix(_THINK)
            elif self._state == "unknown":
                self._state = "answer"
                return "", self._drain()
        reasoning = ""
        if self._state == "thinking":
            reasoning = self._think()
        return reasoning, self._answer() if self._state == "after" else ""

    def close(self) -> tuple[str, str]:
        """Reasoning and answer that were kept back: white space at the end of a reasoning is dropped."""
        held = self._drain()
        if self._state == "unknown":
            return "", held
        return (held.strip() if self._blank else held.rstrip(), "") if self._state == "thinking" else ("", "")

    def _think(self) -> str:
        """Reasoning without the white space round it."""
        if self._blank:
            self._held = self._held.lstrip()
        inner, mark, rest = self._held.partition(_THOUGHT)
        if mark:
            self._state, self._held, self._blank = "after", rest, True
            return inner.rstrip()
        sure = len(inner) - _overlap(inner, _THOUGHT)
        sure = len(inner[:sure].rstrip())
        self._held = inner[sure:]
        self._blank = self._blank and not sure
        return inner[:sure]

    def _answer(self) -> str:
        """The answer without the white space before it."""
        text = self._drain().lstrip()
        if text:
            self._state = "answer"
        return text

    def _drain(self) -> str:
        held, self._held = self._held, ""
        return held


def _overlap(text: str, mark: str) -> int:
    """The length of the longest end of `text` that begins `mark` and is not all of it."""
    for length in range(min(len(text), len(mark) - 1), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
