"""A stream's events on their way out: each is held until all its texts may leave, and then leaves in its place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from guard.window.outcomes import Channel, Released
from server.dialects.base import Delta, Streamed
from server.upstreams.base import Event

Key = tuple[int, Channel]


class _Flow:
    """One channel of one choice: how far its text has been released, and what of that is replaced."""

    __slots__ = ("came", "cuts", "stopped", "upto")

    def __init__(self) -> None:
        self.came = 0
        self.upto = 0
        self.cuts: list[tuple[int, int, str]] = []  # from, to, what stands there; in order
        self.stopped = False

    def text(self, raw: str, start: int, end: int) -> str:
        """What is sent for raw[0:end-start], which are the characters from `start` to `end`."""
        if not self.cuts:
            return raw[: end - start]
        said, at = [], start
        for low, high, stands in self.cuts:
            if high <= at or low >= end:
                continue
            said.append(raw[at - start : max(low, at) - start])
            if low >= start:  # the event in which what is replaced begins carries the mask
                said.append(stands)
            at = min(high, end)
        said.append(raw[at - start : end - start])
        return "".join(said)

    def touched(self, start: int, end: int) -> bool:
        return any(low < end and high > start for low, high, _ in self.cuts)

    def forget(self, upto: int) -> None:
        while self.cuts and self.cuts[0][1] <= upto:
            self.cuts.pop(0)


class _Waiting:
    """An event and the stretches of text that it carries."""

    __slots__ = ("cut", "deltas", "event", "texts")

    def __init__(self, event: Event, texts: list[tuple[Key, int, int]], deltas: Sequence[Delta]) -> None:
        self.event = event
        self.texts = texts  # channel, from, to
        self.deltas = deltas
        self.cut = 0  # characters of its one text that have left


class EventQueue:
    """Takes events in as they come and lets them out as their texts are released."""

    def __init__(self, streamed: Streamed, *, keep: bool) -> None:
        """An empty queue.

        Args:
            streamed: the stream's dialect.
            keep: whether what was sent is to be kept as `sent`, for the audit; it is in any case where the dialect
                repeats texts.
        """
        self.sent: dict[Key, str] = {}
        self.held = 0
        """The most characters that were held at one time."""
        self._streamed = streamed
        self._keep = keep or streamed.repeats
        self._pieces: dict[Key, list[str]] = {}
        self._flows: dict[Key, _Flow] = {}
        self._waiting: deque[_Waiting] = deque()
        self._stopped: set[int] = set()
        self._holding = 0

    @property
    def stopped(self) -> frozenset[int]:
        """The choices that were stopped."""
        return frozenset(self._stopped)

    def push(self, event: Event, deltas: Sequence[Delta]) -> None:
        """Take in the next event with the texts that it adds."""
        if self._stopped:
            remaining = self._streamed.without(event, self._stopped)
            if remaining is None:
                return
            if remaining is not event:
                event, deltas = remaining, [delta for delta in deltas if delta[0] not in self._stopped]
        texts = []
        for choice, channel, text in deltas:
            flow = self._flows.get((choice, channel))
            if flow is None:
                flow = self._flows[choice, channel] = _Flow()
            texts.append(((choice, channel), flow.came, flow.came + len(text)))
            flow.came += len(text)
            self._holding += len(text)
        self.held = max(self.held, self._holding)
        self._waiting.append(_Waiting(event, texts, deltas))

    def release(self, choice: int, channel: Channel, released: Released, mask: str) -> None:
        """Note what the window has let go."""
        flow = self._flows[choice, channel]
        start, end = released.span
        self._holding -= end - start
        flow.upto = end
        at, spare = start, len(released.text) - (end - start) + sum(high - low for low, high in released.redacted)
        # A span whose mask left with an earlier release has none here: only the first span of a release can be such.
        masks = spare // len(mask) if mask else 0
        missing = len(released.redacted) - masks
        for place, (low, high) in enumerate(released.redacted):
            flow.cuts.append((max(low, at), high, "" if place < missing else mask))
            at = high

    def stop(self, choice: int, released: Mapping[Channel, int], ending: Sequence[Event]) -> None:
        """End a choice: what has not been released of it goes, and the events of its ending come behind the rest."""
        self._stopped.add(choice)
        kept: deque[_Waiting] = deque()
        for waiting in self._waiting:
            mine = [each for each in waiting.texts if each[0][0] == choice]
            if all(end <= released.get(key[1], 0) for key, _, end in mine) and mine:
                kept.append(waiting)
                continue
            replaced = self._shortened(waiting, choice, released)
            if replaced is not None:
                kept.append(replaced)
        self._waiting = kept
        self._waiting.extend(_Waiting(event, [], ()) for event in ending)
        self._holding = sum(
            end - max(start, self._flows[key].upto)
            for waiting in kept
            for key, start, end in waiting.texts
            if end > self._flows[key].upto
        )

    def add(self, events: Sequence[Event]) -> None:
        """Put events of the proxy's own at the end."""
        self._waiting.extend(_Waiting(event, [], ()) for event in events)

    def ready(self) -> Iterator[Event]:
        """The events that may leave now, in order."""
        while self._waiting:
            waiting = self._waiting[0]
            if not waiting.texts:
                self._waiting.popleft()
                yield self._out(waiting.event)
                continue
            if any(end > self._flows[key].upto for key, _, end in waiting.texts):
                if len(waiting.texts) == 1:
                    piece = self._piece(waiting)
                    if piece is not None:
                        yield self._out(piece)
                return
            self._waiting.popleft()
            event = self._finished(waiting)
            if event is not None:
                yield self._out(event)

    def _out(self, event: Event) -> Event:
        if not self._streamed.repeats:
            return event
        return self._streamed.settled(event, self._said())

    def _said(self) -> Mapping[Key, str]:
        for key, pieces in self._pieces.items():
            if len(pieces) > 1:
                pieces[:] = ["".join(pieces)]
            self.sent[key] = pieces[0] if pieces else ""
        return self.sent

    def text_sent(self) -> Mapping[Key, str]:
        """All that was sent, a channel of a choice; empty unless it was to be kept."""
        return self._said()

    def _piece(self, waiting: _Waiting) -> Event | None:
        """The part of an event's text that may leave before the rest of it."""
        key, start, end = waiting.texts[0]
        flow = self._flows[key]
        begin = start + waiting.cut
        if flow.upto <= begin:
            return None
        raw = waiting.deltas[0][2]
        text = flow.text(raw[waiting.cut :], begin, flow.upto)
        piece = self._streamed.cut(waiting.event, {key: text}, first=not waiting.cut, last=False) if text else None
        if piece is None and not waiting.cut:
            return None  # nothing to say yet: the event leaves whole, with what must come once
        waiting.cut = flow.upto - start
        self._note(key, text)
        return piece

    def _finished(self, waiting: _Waiting) -> Event | None:
        """An event all of whose texts have been released."""
        texts: dict[Key, str] = {}
        changed = waiting.cut > 0
        for (key, start, end), (_, _, raw) in zip(waiting.texts, waiting.deltas, strict=True):
            flow = self._flows[key]
            begin = start + waiting.cut
            text = flow.text(raw[waiting.cut :], begin, end)
            changed = changed or flow.touched(start, end)
            flow.forget(end)
            self._note(key, text)
            texts[key] = texts.get(key, "") + text
        if not changed:
            return waiting.event
        return self._streamed.cut(waiting.event, texts, first=not waiting.cut, last=True)

    def _shortened(self, waiting: _Waiting, choice: int, released: Mapping[Channel, int]) -> _Waiting | None:
        """An event that has lost what was not released of a stopped choice; None where nothing of it is left."""
        mine = {key for key, _, _ in waiting.texts if key[0] == choice}
        if not mine:
            remaining = self._streamed.without(waiting.event, {choice})
            if remaining is None:
                return None
            waiting.event = remaining
            return waiting
        if len(waiting.texts) == 1:
            key, start, _ = waiting.texts[0]
            upto = released.get(key[1], 0)
            if upto <= start + waiting.cut:
                return None
            raw = waiting.deltas[0][2]
            text = self._flows[key].text(raw[waiting.cut :], start + waiting.cut, upto)
            self._note(key, text)
            piece = self._streamed.cut(waiting.event, {key: text}, first=not waiting.cut, last=False)
            return None if piece is None else _Waiting(piece, [], ())
        others = [
            (each, delta) for each, delta in zip(waiting.texts, waiting.deltas, strict=True) if each[0] not in mine
        ]
        event = self._streamed.without(waiting.event, {choice})
        if event is None:
            return None
        return _Waiting(event, [each for each, _ in others], [delta for _, delta in others])

    def _note(self, key: Key, text: str) -> None:
        if self._keep:
            self._pieces.setdefault(key, []).append(text)
