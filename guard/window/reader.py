"""The pattern scan of one channel: its text as it comes and, of JSON, its strings as they will be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from guard.detectors.base import Detector
from guard.patterns.stream import PatternStream, StreamHit
from guard.verdict import Finding
from guard.window.outcomes import Channel
from guard.window.unescaping import Unescaper
from rules.schema import Part


@runtime_checkable
class Streaming(Protocol):
    """A detector that keeps its state over the pieces of a stream."""

    @property
    def name(self) -> str:
        """As in `Detector`."""

    def stream(self, part: Part) -> PatternStream:
        """A scan of one channel."""


def streaming(detectors: Sequence[Detector]) -> tuple[Streaming, ...]:
    """Those detectors that need not be shown stretches, since they read the stream itself."""
    return tuple(detector for detector in detectors if isinstance(detector, Streaming))


class Reader:
    """Feeds one channel to the detectors that read streams."""

    def __init__(self, detectors: Sequence[Streaming], channel: Channel, before: str = "") -> None:
        """At the channel's beginning. Args: before: text that the channel goes on from; a hit may begin in it."""
        self._part = channel.part
        self._names = [detector.name for detector in detectors]
        self._streams = [detector.stream(self._part) for detector in detectors]
        self._unescaper = Unescaper() if channel.kind == "tool" else None
        self._inner = [detector.stream(self._part) for detector in detectors] if self._unescaper else []
        self._length = 0
        self._before = len(before)
        for stream in self._streams:
            if before:
                stream.feed(before)

    def feed(self, text: str) -> Iterator[Finding]:
        """What the next piece decides, at its place in the channel's text."""
        self._length += len(text)
        inner = self._unescaper.feed(text) if self._unescaper else ""
        for name, stream in zip(self._names, self._streams, strict=True):
            yield from self._findings(name, stream.feed(text))
        yield from self._read_inner(inner)

    def close(self) -> Iterator[Finding]:
        """What only the end decides."""
        rest = self._unescaper.close() if self._unescaper else ""
        yield from self._read_inner(rest)
        for name, stream in zip(self._names, self._streams, strict=True):
            yield from self._findings(name, stream.close())
        for name, stream in zip(self._names, self._inner, strict=False):
            yield from (self._unescaped(name, hit) for hit in stream.close())
        self._streams, self._inner, self._names = [], [], []

    @property
    def settled(self) -> int:
        """Characters from the beginning that no later text can make part of a hit."""
        settled = min((stream.length - stream.tail - self._before for stream in self._streams), default=self._length)
        if self._unescaper:
            for stream in self._inner:
                settled = min(settled, self._unescaper.origin(stream.length - stream.tail))
        return max(0, settled)

    def _read_inner(self, text: str) -> Iterator[Finding]:
        if not text:
            return
        for name, stream in zip(self._names, self._inner, strict=True):
            yield from (self._unescaped(name, hit) for hit in stream.feed(text))

    def _findings(self, name: str, hits: Iterable[StreamHit]) -> Iterator[Finding]:
        for hit in hits:
            start, end = hit.span[0] - self._before, hit.span[1] - self._before
            if end > 0:
                yield Finding(hit.rule, self._part, (max(0, start), end), name, 1.0, 1.0, hit.view, hit.excerpt)

    def _unescaped(self, name: str, hit: StreamHit) -> Finding:
        start, end = hit.span
        if self._unescaper:
            start, end = self._unescaper.origin(start), self._unescaper.origin(end)
        view = "json" if hit.view == "raw" else f"json>{hit.view}"
        return Finding(hit.rule, self._part, (start, end), name, 1.0, 1.0, view, hit.excerpt)
