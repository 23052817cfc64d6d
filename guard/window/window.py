"""The release window: takes a stream in as it comes and lets go of what has been scanned.

Two scans guard the way out. The patterns read every piece at once and keep their state, so that a hit is found
wherever it is cut, and they say how much of the end may still become one. The other detectors look at stretches: at the
end of a sentence or after some hundred bytes, together with a little of what was scanned before. Text leaves when both
have passed it. Each character is read once and shown to the models a bounded number of times, so a stream costs the
same a token at its end as at its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from guard.coverage import without
from guard.exchange import Exchange
from guard.gate import Gate
from guard.verdict import Finding, Verdict
from guard.window.choice import Choice, rank
from guard.window.outcomes import Channel, Outcome
from guard.window.reader import streaming
from guard.window.scanning import Scanning, Steps
from guard.window.settings import WindowSettings
from guard.window.track import Stretch
from rules.schema import Action

T = TypeVar("T")

_NOT_ASKED = "the stream is released on patterns alone"


class Window:
    """Guards one stream. Its choices may be fed by concurrent tasks; of one choice, one call at a time.

    `feed`, `tick`, `end` and `close` block while models run; on an event loop use `afeed`, `atick`, `aend`, `aclose`.
    """

    def __init__(
        self,
        gate: Gate,
        prompt: Exchange,
        settings: WindowSettings | None = None,
        *,
        before: str = "",
        shadow: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A window before the first piece of a stream.

        Args:
            gate: what scans.
            prompt: the conversation that is being answered.
            settings: sizes; the defaults where left out.
            before: what the text of each choice goes on from, where the client has begun the answer itself; patterns
                are found across the border.
            shadow: find and tell, and neither redact nor stop.
            clock: seconds, for `patience`.
        """
        self._gate = gate
        self._prompt = prompt
        self._settings = settings or WindowSettings()
        self._clock = clock
        readers = streaming(gate.detectors)
        self._read = frozenset(reader.name for reader in readers)
        self._others = frozenset(detector.name for detector in gate.detectors) - self._read
        self.patterns_only = self._settings.patterns_only or len(readers) == len(gate.detectors)
        """Whether text leaves without having been scanned for meaning."""
        self._scanning = Scanning(
            gate.constitution,
            readers,
            self._settings,
            before=before,
            shadow=shadow,
            patterns_only=self.patterns_only,
            clock=clock,
        )

    def feed(self, choice: int, channel: Channel, text: str) -> Outcome:
        """Take the next piece in.

        Returns:
            what of this channel may leave now, or that nothing may, or that the choice is over.

        Raises:
            ValueError: the channel has ended.
        """
        return self._run(self._scanning.feed(choice, channel, text))

    async def afeed(self, choice: int, channel: Channel, text: str) -> Outcome:
        """As `feed`."""
        return await self._arun(self._scanning.feed(choice, channel, text))

    def tick(self, choice: int) -> list[tuple[Channel, Outcome]]:
        """Scan what has waited for longer than `patience`; to be called when `waits` says so.

        Returns:
            what it comes to, a channel; a choice that is stopped says so once, as the last.
        """
        return self._run(self._scanning.tick(choice))

    async def atick(self, choice: int) -> list[tuple[Channel, Outcome]]:
        """As `tick`."""
        return await self._arun(self._scanning.tick(choice))

    def waits(self, choice: int) -> float | None:
        """Seconds until a `tick` of the choice is due; None where nothing waits."""
        state = self._scanning.choices.get(choice)
        if state is None or state.stopped or self.patterns_only:
            return None
        since = [track.since for track in state.tracks.values() if track.since is not None]
        return max(0.0, min(since) + self._settings.patience - self._clock()) if since else None

    def switch(self, choice: int, channel: Channel) -> list[tuple[Channel, Outcome]]:
        """A choice goes over to a channel: to be called before the first piece of each.

        What its other channels still hold is judged as if they had ended, and leaves: a model that has stopped to think
        and begins to speak would else be held to its end by the last word of its thought. Where such a channel goes on
        after all, what crosses the switch is found, and what comes after it is held as before.

        Returns:
            what it comes to, a channel; a choice that is stopped says so once, as the last.
        """
        return self._run(self._scanning.switch(choice, channel))

    async def aswitch(self, choice: int, channel: Channel) -> list[tuple[Channel, Outcome]]:
        """As `switch`."""
        return await self._arun(self._scanning.switch(choice, channel))

    def end(self, choice: int, channel: Channel) -> Outcome:
        """Nothing more comes in this channel: scan and release the rest. May be called twice."""
        return self._run(self._scanning.end(choice, channel))

    async def aend(self, choice: int, channel: Channel) -> Outcome:
        """As `end`."""
        return await self._arun(self._scanning.end(choice, channel))

    def close(self, choice: int | None = None) -> list[tuple[int, Channel, Outcome]]:
        """End all channels of a choice, or of all choices, that have not ended.

        Returns:
            choice, channel and what it comes to, for each of them; a choice that is stopped says so once.
        """
        return self._run(self._scanning.close(choice))

    async def aclose(self, choice: int | None = None) -> list[tuple[int, Channel, Outcome]]:
        """As `close`."""
        return await self._arun(self._scanning.close(choice))

    def abandon(self) -> None:
        """Drop all text, for a client that has gone away; what was found is still told."""
        for state in self._scanning.choices.values():
            for track in state.tracks.values():
                track.drop()
                track.ended = True

    @property
    def choices(self) -> tuple[int, ...]:
        """The choices of which something has come."""
        return tuple(self._scanning.choices)

    def found(self, choice: int) -> Iterator[tuple[Channel, Finding]]:
        """What has been found in a choice so far, and in which of its channels."""
        for channel, track in self._scanning.choices[choice].tracks.items():
            for finding in track.findings:
                yield channel, finding

    def verdict(self, choice: int) -> Verdict:
        """What has been found in a choice so far, in all its channels, and what was looked for."""
        state = self._scanning.choices.get(choice) or Choice()
        findings = tuple(finding for track in state.tracks.values() for finding in track.findings)
        action = max((self._scanning.action(finding) for finding in findings), key=rank, default=Action.ALLOW)
        if state.stopped:
            action = max(action, state.stopped.action, key=rank)
        skipped = dict.fromkeys(self._others, _NOT_ASKED) if self.patterns_only else {}
        under = tuple(dict.fromkeys(channel.part for channel in state.tracks))
        planned = self._gate.plan(under, skipped)
        coverage = without(planned.coverage, state.degraded, {}) if state.degraded else planned.coverage
        if state.partial:
            coverage = replace(coverage, partial=state.partial)
        scores = {**planned.scores, **state.scores}
        for finding in findings:
            scores[finding.rule] = max(finding.score, scores.get(finding.rule, 0.0))
        return Verdict(action, findings, coverage, self._gate.digest, state.ms, scores)

    def _no_need(self, stretch: Stretch) -> frozenset[str]:
        """The detectors that need not look at a stretch."""
        if not stretch.whole:
            return self._read
        return self._others if self.patterns_only else frozenset()

    def _run(self, steps: Steps[T]) -> T:
        try:
            stretch = next(steps)
            while True:
                exchange = stretch.channel.exchange(self._prompt, stretch.text)
                stretch = steps.send(self._gate.judge_stretch(exchange, self._no_need(stretch)))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    async def _arun(self, steps: Steps[T]) -> T:
        try:
            stretch = next(steps)
            while True:
                exchange = stretch.channel.exchange(self._prompt, stretch.text)
                stretch = steps.send(await self._gate.ajudge_stretch(exchange, self._no_need(stretch)))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()
