"""The steps of a window: what is read and what is judged for each piece, and what it comes to.

They are generators, which ask for verdicts and know nothing of how these are had: a window runs them with or without an
event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from guard.verdict import Finding, Verdict
from guard.window.choice import Choice, rank
from guard.window.outcomes import Channel, Held, Outcome, Stopped
from guard.window.reader import Reader, Streaming
from guard.window.settings import WindowSettings
from guard.window.track import PIECE, Stretch, Track
from rules.schema import Action, Constitution

T = TypeVar("T")
Steps: TypeAlias = Generator[Stretch, Verdict, T]
"""Work that asks for verdicts on stretches, one after another, and comes to a T."""

_STOPS = frozenset({Action.REVISE, Action.RESAMPLE, Action.BLOCK})


class Scanning:
    """The choices of one stream."""

    def __init__(
        self,
        constitution: Constitution,
        readers: Sequence[Streaming],
        settings: WindowSettings,
        *,
        before: str,
        shadow: bool,
        patterns_only: bool,
        clock: Callable[[], float],
    ) -> None:
        """Nothing has come. Args: see `Window`."""
        self.choices: dict[int, Choice] = {}
        self._rules = {rule.id: rule for rule in constitution}
        self._readers = tuple(readers)
        self._settings = settings
        self._before = before
        self._shadow = shadow
        self._patterns_only = patterns_only
        self._clock = clock

    def feed(self, choice: int, channel: Channel, text: str) -> Steps[Outcome]:
        """See `Window.feed`."""
        state = self.choices.setdefault(choice, Choice())
        if state.stopped:
            return replace(state.stopped, dropped={channel: text} if text else {})
        track = self._track(state, channel)
        if track.ended:
            raise ValueError(f"{channel} of choice {choice} has ended")
        told: list[Finding] = []
        with state.taken(channel):
            for piece in track.pieces(text):
                found = track.read(piece, self._clock())
                late = track.since is not None and self._clock() - track.since >= self._settings.patience
                stopped = self._act(state, track, found) or (yield from self._scan(state, track, told, now=late))
                told += found
                if stopped:
                    return stopped
                if len(text) > PIECE:
                    track.advance()
            return track.release(tuple(told))

    def tick(self, choice: int) -> Steps[list[tuple[Channel, Outcome]]]:
        """See `Window.tick`."""
        outcomes: list[tuple[Channel, Outcome]] = []
        state = self.choices.get(choice)
        if state is None or state.stopped:
            return outcomes
        for channel, track in list(state.tracks.items()):
            if track.since is None or self._clock() - track.since < self._settings.patience:
                continue
            told: list[Finding] = []
            with state.taken(channel):
                stopped = yield from self._scan(state, track, told, now=True)
            outcomes.append((channel, stopped or track.release(tuple(told))))
            if stopped:
                break
        return outcomes

    def switch(self, choice: int, channel: Channel) -> Steps[list[tuple[Channel, Outcome]]]:
        """See `Window.switch`."""
        outcomes: list[tuple[Channel, Outcome]] = []
        state = self.choices.get(choice)
        if state is None or state.stopped or channel in state.tracks:
            return outcomes
        for other, track in list(state.tracks.items()):
            if track.ended:
                continue
            told: list[Finding] = []
            with state.taken(other):
                stopped = yield from self._scan(state, track, told)
                stretch = None if stopped else track.pause()
                if stretch is not None:
                    stopped = yield from self._judge(state, track, stretch, told)
            outcomes.append((other, stopped or track.release(tuple(told))))
            if stopped:
                break
        return outcomes

    def end(self, choice: int, channel: Channel) -> Steps[Outcome]:
        """See `Window.end`."""
        state = self.choices.setdefault(choice, Choice())
        if state.stopped:
            return replace(state.stopped, dropped={})
        track = self._track(state, channel)
        if track.ended:
            return Held()
        told: list[Finding] = []
        with state.taken(channel):
            told += track.end(self._clock())
            stopped = self._act(state, track, told) or (yield from self._scan(state, track, told))
            return stopped or track.release(tuple(told))

    def close(self, choice: int | None) -> Steps[list[tuple[int, Channel, Outcome]]]:
        """See `Window.close`."""
        outcomes: list[tuple[int, Channel, Outcome]] = []
        for place, state in list(self.choices.items()):
            if choice is not None and place != choice:
                continue
            for channel, track in list(state.tracks.items()):
                if not track.ended and not state.stopped:
                    outcomes.append((place, channel, (yield from self.end(place, channel))))
        return outcomes

    def _scan(self, state: Choice, track: Track, told: list[Finding], *, now: bool = False) -> Steps[Stopped | None]:
        """Have judged what is due, and act on it; what is found is added to `told`."""
        while stretch := track.stretch(now=now):
            if stopped := (yield from self._judge(state, track, stretch, told)):
                return stopped
        return None

    def _judge(self, state: Choice, track: Track, stretch: Stretch, told: list[Finding]) -> Steps[Stopped | None]:
        """Have a stretch judged, and act on it."""
        verdict = yield stretch
        state.note(verdict)
        found = track.settle(stretch, verdict.findings, self._clock())
        told += found
        # Where a detector failed, the verdict may be worse than its findings.
        failed = verdict.action if verdict.coverage.degraded else Action.ALLOW
        return self._act(state, track, found, failed, verdict.coverage.degraded)

    def _act(
        self,
        state: Choice,
        track: Track,
        findings: Iterable[Finding],
        action: Action = Action.ALLOW,
        degraded: Mapping[str, str] | None = None,
    ) -> Stopped | None:
        """Redact or stop, as the findings' rules say."""
        found = tuple(findings)
        if self._shadow:
            return None
        for finding in found:
            asked = self.action(finding)
            action = max(action, asked, key=rank)
            if asked is Action.REDACT and not track.redact(finding.span):
                action = Action.BLOCK
        if action not in _STOPS:
            return None
        return state.stop(track.channel, action, found, degraded or {})

    def action(self, finding: Finding) -> Action:
        """What a finding leads to."""
        rule = self._rules[finding.rule]
        return rule.action(finding.part) if rule.mode == "enforce" else Action.ALLOW

    def _track(self, state: Choice, channel: Channel) -> Track:
        track = state.tracks.get(channel)
        if track is None:
            reader = Reader(self._readers, channel, self._before if channel.kind == "text" else "")
            track = Track(channel, reader, self._settings, waits=not self._patterns_only)
            state.tracks[channel] = track
        return track
