"""One channel of one choice: what of its text has been scanned, what has left, what is held."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from guard.verdict import Finding
from guard.window.ending import unsettled
from guard.window.outcomes import Channel, Held, Released
from guard.window.pace import Pace
from guard.window.reader import Reader
from guard.window.settings import WindowSettings
from guard.window.strings import Strings

PIECE = 256
"""Characters that are scanned at a time: the views of patterns look back over not much more."""

_BLANK = "█"
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SPACES = re.compile(r"\s")
_UNIT = 8  # characters after which base64, base32, hexadecimal and octets begin anew


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is to be judged by the detectors that do not read streams."""

    channel: Channel
    text: str
    start: int
    """Of the text in the channel's text; what has been scanned before is scanned with it."""
    end: int
    whole: bool = False
    """Whether the patterns are to read it too, as a text that has ended."""


class Track:
    """The state of one channel. Offsets count characters from the start of the channel's text."""

    def __init__(self, channel: Channel, reader: Reader, settings: WindowSettings, *, waits: bool) -> None:
        """A channel in which nothing has been said.

        Args:
            channel: which it is.
            reader: of its patterns.
            settings: of the window.
            waits: whether text waits for a scan for meaning.
        """
        self.channel = channel
        self.released = 0
        self.ended = False
        self.findings: list[Finding] = []
        self.since: float | None = None
        """When the oldest text came that waits for a scan."""
        self._reader = reader
        self._settings = settings
        self._pace = Pace(settings)
        self._waits = waits
        self._scanned = 0
        self._text = ""  # all that is held, and before it what a scan looks at once more
        self._start = 0  # of `_text`
        self._run = 0  # where the word began in which `_text` begins
        self._passed = 0  # `released`, and what is about to be
        self._passing: list[tuple[str, str, list[tuple[int, int]]]] = []  # raw, as it is to be sent, redacted
        self._carried = ""  # half a character
        self._unread: list[str] = []  # pieces of the last text, the next one at the end
        self._redactions: list[tuple[int, int]] = []
        self._masked = 0  # the end of what the last mask that left stands for
        self._paused = -1  # the length at which all was judged as if the channel had ended
        self._strings = Strings() if channel.kind == "tool" else None

    @property
    def length(self) -> int:
        """Characters that have come."""
        return self._start + len(self._text)

    def pieces(self, text: str) -> Iterator[str]:
        """The text in pieces to be read one by one, with characters whole that came in halves."""
        text, self._carried = self._carried + text, ""
        if not text.isascii():
            if _PAIR.search(text):
                text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            if "\ud800" <= text[-1] <= "\udbff":
                text, self._carried = text[:-1], text[-1]
        pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        self._unread = pieces[::-1]
        while self._unread:
            yield self._unread.pop()

    def read(self, piece: str, now: float) -> list[Finding]:
        """Take the next piece in.

        Returns:
            what the patterns newly find.
        """
        if self.since is None:
            self.since = now
        self._text += piece
        if self._strings:
            self._strings.feed(piece)
        return self._note(self._reader.feed(piece))

    def end(self, now: float) -> list[Finding]:
        """Nothing more comes; what has not been scanned still has to be.

        Returns:
            what the patterns find at the end.
        """
        self.ended = True
        rest, self._carried = self._carried, ""
        found = self.read(rest, now) if rest else []
        return found + self._note(self._reader.close())

    def stretch(self, *, now: bool = False) -> Stretch | None:
        """What is due to be judged; None where nothing is.

        Args:
            now: whether it is due however little it is.
        """
        if not self._waits or self._scanned == self.length:
            return None
        fresh = self._text[self._scanned - self._start :]
        whole = (now or self.ended) and len(fresh) <= self._settings.stride
        size = len(fresh) if whole else self._pace.cut(fresh)
        if not size:
            return None
        start, end = self._context(), self._scanned + size
        return Stretch(self.channel, self._blanked(start, end), start, end)

    def pause(self) -> Stretch | None:
        """What is held, to be judged as a text that has ended, so that it may leave; None where nothing is.

        The patterns keep their state: should the channel go on, what crosses the pause is found.
        """
        self._paused = self.length
        if self._passed == self.length:
            return None
        low = max(self._start, self._passed - max(self._settings.overlap, _UNIT))
        start = low + _last_space(self._slice(low, self._passed)) + 1 if low else 0
        return Stretch(self.channel, self._blanked(start, self.length), start, self.length, whole=True)

    def settle(self, stretch: Stretch, findings: Iterable[Finding], now: float) -> list[Finding]:
        """Take in what was found in a stretch, with spans within it.

        Returns:
            what is new in it, with spans within the channel's text.
        """
        self._scanned = stretch.end
        self._pace.step()
        self.since = None if self._scanned == self.length else now
        at = stretch.start
        return self._note(
            replace(finding, span=(finding.span[0] + at, finding.span[1] + at))
            for finding in findings
            if finding.part == self.channel.part
        )

    def redact(self, span: tuple[int, int]) -> bool:
        """Let the mask stand for what of the span has not left.

        Returns:
            False where it cannot: JSON would no longer be JSON.
        """
        if span[1] <= self._passed:
            return True
        fitted: list[tuple[int, int]] | None = [span]
        if self._strings:
            start = max(span[0], self._start)
            fitted = self._strings.fit((start, span[1]), self._slice(start, span[1]))
        for each in fitted or ():
            self._cover(*each)
        return fitted is not None

    def _cover(self, start: int, end: int) -> None:
        kept = []
        for other in self._redactions:
            if other[0] < end and start < other[1]:
                start, end = min(start, other[0]), max(end, other[1])
            else:
                kept.append(other)
        self._redactions = sorted([*kept, (start, end)])

    def release(self, findings: tuple[Finding, ...]) -> Released | Held:
        """Let go of all that may leave now."""
        self.advance()
        begin, self.released = self.released, self._passed
        passing, self._passing = self._passing, []
        if begin == self.released:
            return Held(findings)
        redacted = tuple(span for _, _, spans in passing for span in spans)
        return Released("".join(sent for _, sent, _ in passing), (begin, self.released), redacted, findings)

    def advance(self) -> None:
        """Set apart what may leave, which the next release lets go; a stop before that still drops it.

        Without it a very long piece would be held whole, and copied again with each part of it that is read.
        """
        upto = self._upto()
        for start, end in self._redactions:
            if start < upto < end:
                upto = max(start, self._passed)
        if upto <= self._passed:
            return
        at, said, redacted = self._passed, [], []
        for start, end in self._redactions:
            if start >= upto or end <= at:
                continue
            said.append(self._slice(at, max(start, at)))
            if start >= at or self._masked < start:
                said.append(self._settings.mask)
            redacted.append((max(start, at), end))
            at = self._masked = end
        said.append(self._slice(at, upto))
        self._passing.append((self._slice(self._passed, upto), "".join(said), redacted))
        self._passed = upto
        self._trim()

    def drop(self) -> str:
        """Let go of the patterns' state and of all that is held.

        Returns:
            what was held.
        """
        for _ in self._reader.close():
            pass
        passing = "".join(raw for raw, _, _ in self._passing)
        held = passing + self._slice(self._passed, self.length) + "".join(reversed(self._unread)) + self._carried
        self._text, self._start, self._scanned = "", self.length, self.length
        self._unread, self._passing, self._carried = [], [], ""
        self.since = None
        return held

    def _upto(self) -> int:
        upto = self._scanned if self._waits else self.length
        if self.ended or self._paused == self.length or upto <= self._passed:
            return upto
        upto = min(upto, self._reader.settled)
        if upto <= self._passed:
            return upto
        return min(upto, self.length - unsettled(self._text[self._passed - self._start :], self._settings.hold))

    def _slice(self, start: int, end: int) -> str:
        return self._text[start - self._start : end - self._start]

    def _context(self) -> int:
        """Where a scan begins: the overlap before what is new, from a space on if there is one near. In a code without
        spaces it begins a whole number of code units after the code's beginning, without which none could be read."""
        want = self._scanned - self._overlap()
        if want <= 0:
            return 0
        low = max(self._start, want - self._settings.overlap)
        space = _last_space(self._slice(low, want))
        if space >= 0:
            return low + space + 1
        run = self._start + _last_space(self._text[: want - self._start]) + 1
        run = run if run > self._start else self._run
        return max(self._start, want - (want - run) % _UNIT)

    def _overlap(self) -> int:
        """Characters of the overlap, which is said in bytes."""
        before = self._slice(max(self._start, self._scanned - self._settings.overlap), self._scanned)
        if before.isascii():
            return len(before)
        return len(before.encode("utf-8", "replace")[-self._settings.overlap :].decode("utf-8", "ignore"))

    def _blanked(self, start: int, end: int) -> str:
        """A stretch of the text without what was redacted, which would be found again, with every offset kept."""
        text = self._slice(start, end)
        for first, last in self._redactions:
            low, high = max(first - start, 0), min(last - start, len(text))
            if low < high:
                text = text[:low] + _BLANK * (high - low) + text[high:]
        return text

    def _note(self, findings: Iterable[Finding]) -> list[Finding]:
        """Keep what is found; what is found again is one finding, which may have grown.

        Returns:
            the new and the grown ones.
        """
        told = []
        for finding in findings:
            place = self._known(finding)
            if place is None:
                self.findings.append(finding)
                told.append(finding)
                continue
            known = self.findings[place]
            span = (min(known.span[0], finding.span[0]), max(known.span[1], finding.span[1]))
            if span != known.span or finding.score > known.score:
                self.findings[place] = replace(finding if finding.score > known.score else known, span=span)
                told.append(self.findings[place])
        return told

    def _known(self, finding: Finding) -> int | None:
        """Which finding of the same rule and detector it overlaps."""
        start, end = finding.span
        for place in range(len(self.findings) - 1, -1, -1):
            known = self.findings[place]
            if known.span[1] <= start:
                return None  # they stand nearly in the order of their ends
            if (known.rule, known.detector) == (finding.rule, finding.detector) and known.span[0] < end:
                return place
        return None

    def _trim(self) -> None:
        """Forget what no scan will look at again."""
        keep = min(self._passed, self._scanned if self._waits else self._passed) - 2 * self._settings.overlap - _UNIT
        over = keep - self._start
        if over <= 0:
            return
        space = _last_space(self._text[:over])
        if space >= 0:
            self._run = self._start + space + 1
        self._text = self._text[over:]
        self._start = keep
        self._redactions = [span for span in self._redactions if span[1] > keep]


def _last_space(text: str) -> int:
    """Offset of the last white space; -1 where there is none."""
    place = -1
    for match in _SPACES.finditer(text):
        place = match.start()
    return place
