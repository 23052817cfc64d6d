"""One choice of a stream: its channels, and whether it has been stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from guard.verdict import Finding, Verdict
from guard.window.outcomes import Channel, Stopped
from guard.window.track import Track
from rules.schema import Action

_RANK = {action: place for place, action in enumerate(Action)}


def rank(action: Action) -> int:
    """How grave an action is."""
    return _RANK[action]


class Choice:
    """The state of one choice."""

    def __init__(self) -> None:
        """A choice of which nothing has come."""
        self.tracks: dict[Channel, Track] = {}
        self.stopped: Stopped | None = None
        self.ms: dict[str, float] = {}
        self.scores: dict[str, float] = {}
        self.degraded: dict[str, str] = {}
        self.partial: dict[str, str] = {}
        self._busy = False

    def note(self, verdict: Verdict) -> None:
        """Add up what the scan of a stretch has cost and seen."""
        for stage, ms in verdict.ms.items():
            self.ms[stage] = self.ms.get(stage, 0.0) + ms
        for rule, score in verdict.scores.items():
            self.scores[rule] = max(score, self.scores.get(rule, 0.0))
        self.degraded.update(verdict.coverage.degraded)
        self.partial.update(verdict.coverage.partial)

    def stop(
        self, channel: Channel, action: Action, findings: tuple[Finding, ...], degraded: Mapping[str, str]
    ) -> Stopped:
        """Drop what is held in all channels; nothing of the choice leaves any more."""
        released = {name: track.released for name, track in self.tracks.items()}
        dropped = {name: text for name, track in self.tracks.items() if (text := track.drop())}
        self.stopped = Stopped(action, findings, channel, released, dropped, dict(degraded))
        return self.stopped

    @contextmanager
    def taken(self, channel: Channel) -> Iterator[None]:
        """Keep others out for the time of one call.

        A call that is cut off midway leaves a hole in what was read, through which anything could pass: the choice is
        stopped.
        """
        if self._busy:
            raise RuntimeError("a choice was fed while it was being fed: its pieces must come one after another")
        self._busy = True
        try:
            yield
        except BaseException as error:
            if not self.stopped:
                cause = "the scan was cut off" if isinstance(error, GeneratorExit) else str(error) or repr(error)
                self.stop(channel, Action.BLOCK, (), {"window": cause})
            raise
        finally:
            self._busy = False
