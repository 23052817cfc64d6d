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

    __slots__ = ("came", "cuts", "upto")

    def __init__(self) -> None:
        self.came = 0
        self.upto = 0
        self.cuts: list[tuple[int, int, str]] = []  # from, to, what stands there; in order

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

    __slots__ = ("cut", "deltas", "event", "said", "texts")

    def __init__(self, event: Event, texts: list[tuple[Key, int, int]], deltas: Sequence[Delta]) -> None:
        self.event = event
        self.texts = texts  # channel, from, to
        self.deltas = deltas
        self.cut = 0  # characters of its one text that have left
        self.said: tuple[Key, str] | None = None  # what it says, where it was cut before it could leave


class Sent(Mapping[Key, str]):
    """What has left of each channel. Joined only where it is looked at, so that a stream's cost stays linear."""

    def __init__(self) -> None:
        self._pieces: dict[Key, list[str]] = {}

    def add(self, key: Key, text: str) -> None:
        """Text has left."""
        self._pieces.setdefault(key, []).append(text)

    def __getitem__(self, key: Key) -> str:
        pieces = self._pieces[key]
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]
        return pieces[0]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)


class EventQueue:
    """Takes events in as they come and lets them out as their texts are released."""

    def __init__(self, streamed: Streamed, *, keep: bool) -> None:
        """An empty queue.

        Args:
            streamed: the stream's dialect.
            keep: whether what was sent is to be kept, for the audit; it is in any case where the dialect repeats texts.
        """
        self.sent = Sent()
        self.held = 0
        """The most characters that were held at one time."""
        self.stopped: set[int] = set()
        """The choices that were stopped."""
        self._streamed = streamed
        self._settles = streamed.repeats
        self._keep = keep or streamed.repeats
        self._flows: dict[Key, _Flow] = {}
        self._waiting: deque[_Waiting] = deque()
        self._textless: list[Event] = []  # on their way, behind the last text
        self._closing: Event | None = None
        self._holding = 0

    def push(self, event: Event, deltas: Sequence[Delta]) -> None:
        """Take in the next event with the texts that it adds."""
        if event.kind == "done":
            self._closing = event  # what takes a stopped choice's place comes before it: nobody reads on behind it
            return
        if self.stopped:
            remaining = self._streamed.without(event, self.stopped)
            if remaining is None:
                return
            event, deltas = remaining, [delta for delta in deltas if delta[0] not in self.stopped]
        texts = []
        for choice, channel, text in deltas:
            flow = self._flows.get((choice, channel))
            if flow is None:
                flow = self._flows[choice, channel] = _Flow()
            texts.append(((choice, channel), flow.came, flow.came + len(text)))
            flow.came += len(text)
            self._holding += len(text)
        if self._holding > self.held:
            self.held = self._holding
        self._waiting.append(_Waiting(event, texts, deltas))

    def release(self, choice: int, channel: Channel, released: Released, mask: str) -> None:
        """Note what the window has let go."""
        flow = self._flows[choice, channel]
        start, end = released.span
        self._holding -= end - start
        flow.upto = end
        if not released.redacted:
            return
        masked = len(released.text) - (end - start) + sum(high - low for low, high in released.redacted)
        # A span whose mask left with an earlier release has none here: only the first span of a release can be such.
        missing = len(released.redacted) - (masked // len(mask) if mask else 0)
        for place, (low, high) in enumerate(released.redacted):
            flow.cuts.append((low, high, "" if place < missing else mask))

    def stop(self, choice: int, released: Mapping[Channel, int]) -> None:
        """Drop what has not been released of a choice, and whatever else there is of it behind that."""
        self.stopped.add(choice)
        waiting, self._waiting = self._waiting, deque()
        over = False
        for each in waiting:
            mine = [(key, end) for key, _, end in each.texts if key[0] == choice]
            if not over and all(end <= released.get(key[1], 0) for key, end in mine):
                self._waiting.append(each)
                continue
            # Only the first of its events that is not wholly released may leave in part: what follows belongs to
            # something whose beginning has gone.
            kept = self._remaining(each, choice) if over else self._shortened(each, choice, released)
            over = over or bool(mine)
            if kept is not None:
                self._waiting.append(kept)
        self._holding = sum(
            end - max(start, self._flows[key].upto)
            for each in self._waiting
            for key, start, end in each.texts
            if end > self._flows[key].upto
        )

    def add(self, events: Sequence[Event]) -> None:
        """Put events of the proxy's own at the end."""
        self._waiting.extend(_Waiting(event, [], ()) for event in events)

    def ready(self) -> Iterator[Event]:
        """The events that may leave now, in order, as far as the last that carries text.

        What follows it stays, since a stream's end must not leave before its decision is kept.
        """
        while self._waiting:
            waiting = self._waiting[0]
            if any(end > self._flows[key].upto for key, _, end in waiting.texts):
                if len(waiting.texts) == 1:
                    piece = self._piece(waiting)
                    if piece is not None:
                        yield from self._before()
                        yield self._out(piece)
                return
            self._waiting.popleft()
            if not waiting.texts and waiting.said is None:
                self._textless.append(waiting.event)
                continue
            event = self._finished(waiting) if waiting.texts else waiting.event
            if waiting.said is not None and self._keep:
                self.sent.add(*waiting.said)
            if event is not None:
                yield from self._before()
                yield self._out(event)

    def rest(self) -> Iterator[Event]:
        """All events that may still leave, and the one that closes the stream if it has come."""
        yield from self.ready()
        yield from self._before()
        if self._closing is not None:
            yield self._closing

    def _before(self) -> Iterator[Event]:
        textless, self._textless = self._textless, []
        for event in textless:
            yield self._out(event)

    def _out(self, event: Event) -> Event:
        return self._streamed.settled(event, self.sent) if self._settles else event

    def _piece(self, waiting: _Waiting) -> Event | None:
        """The part of an event's text that may leave before the rest of it."""
        key, start, _ = waiting.texts[0]
        flow = self._flows[key]
        begin = start + waiting.cut
        if flow.upto <= begin:
            return None
        text = flow.text(waiting.deltas[0][2][waiting.cut :], begin, flow.upto)
        if not text:
            return None  # it is all masked by what has left: the event's last piece will see to it
        piece = self._streamed.cut(waiting.event, {key: text}, first=not waiting.cut, last=False)
        waiting.cut = flow.upto - start
        if self._keep:
            self.sent.add(key, text)
        return piece

    def _finished(self, waiting: _Waiting) -> Event | None:
        """An event all of whose texts have been released."""
        texts: dict[Key, str] = {}
        changed = waiting.cut > 0
        for (key, start, end), (_, _, raw) in zip(waiting.texts, waiting.deltas, strict=True):
            flow = self._flows[key]
            if flow.cuts or waiting.cut:
                text = flow.text(raw[waiting.cut :], start + waiting.cut, end)
                changed = changed or flow.touched(start, end)
                flow.forget(end)
            else:
                text = raw
            texts[key] = texts.get(key, "") + text
            if self._keep:
                self.sent.add(key, text)
        if not changed:
            return waiting.event
        return self._streamed.cut(waiting.event, texts, first=not waiting.cut, last=True)

    def _shortened(self, waiting: _Waiting, choice: int, released: Mapping[Channel, int]) -> _Waiting | None:
        """An event that has lost what was not released of a stopped choice; None where nothing of it is left."""
        if len(waiting.texts) == 1 and waiting.texts[0][0][0] == choice:
            key, start, _ = waiting.texts[0]
            upto, begin = released.get(key[1], 0), start + waiting.cut
            if upto <= begin:
                return None
            text = self._flows[key].text(waiting.deltas[0][2][waiting.cut :], begin, upto)
            piece = self._streamed.cut(waiting.event, {key: text}, first=not waiting.cut, last=False)
            if piece is None:
                return None
            shortened = _Waiting(piece, [], ())
            shortened.said = (key, text)
            return shortened
        return self._remaining(waiting, choice)

    def _remaining(self, waiting: _Waiting, choice: int) -> _Waiting | None:
        """An event without a stopped choice; None where nothing of it is left."""
        remaining = self._streamed.without(waiting.event, {choice})
        if remaining is None:
            return None
        texts, deltas = [], []
        for each, delta in zip(waiting.texts, waiting.deltas, strict=True):
            if each[0][0] != choice:
                texts.append(each)
                deltas.append(delta)
        return _Waiting(remaining, texts, deltas)
