"""The tally: what one watch has seen and done so far, from which its decision is made."""

from __future__ import annotations

import time
from collections.abc import Iterable

from guard.guarding.decision import Decision, Placed
from guard.guarding.incoming import Unscannable
from guard.guarding.post import Post, worse
from guard.verdict import Coverage, Finding, Verdict
from guard.window.choice import rank
from guard.window.outcomes import Channel
from guard.window.window import Window
from rules.schema import Action

_NAMED = 8
"""Unscannable things that coverage names one by one."""


class Tally:
    """What has been seen and done for one request. Not thread-safe: a request is handled on one event loop."""

    __slots__ = (
        "_at",
        "_coverages",
        "_placed",
        "_post",
        "_unmended",
        "action",
        "drawn",
        "id",
        "ms",
        "rounds",
        "unscannable",
        "withheld",
        "would",
    )

    def __init__(self, post: Post, decision: str) -> None:
        """Nothing has been seen. Args: decision: its id."""
        self._post = post
        self.id = decision
        self._at = time.time()
        self._placed: list[tuple[str, Finding]] = []
        self._coverages: dict[int, Coverage] = {}
        self.ms: dict[str, float] = {}
        self.action = Action.ALLOW
        """The worst that was done."""
        self.would = Action.ALLOW
        """The worst that would have been done, if everything were enforced."""
        self.unscannable: list[Unscannable] = []
        self.withheld: list[str] = []
        self.rounds = 0
        self.drawn = 0
        self._unmended: dict[str, None] = {}

    def take(self, verdict: Verdict) -> None:
        """Add a verdict's coverage and times."""
        self.cover(verdict.coverage)
        for stage, ms in verdict.ms.items():
            self.ms[stage] = self.ms.get(stage, 0.0) + ms

    def cover(self, coverage: Coverage) -> None:
        """Add a coverage."""
        self._coverages[id(coverage)] = coverage

    def found(self, where: str, findings: Iterable[Finding]) -> None:
        """Add findings at a place."""
        self._placed += [(where, finding) for finding in findings]

    def did(self, action: Action) -> None:
        """Note what was done."""
        self.action = worse(self.action, action)

    def spare(self, action: Action) -> None:
        """Note what would have been done."""
        self.would = worse(self.would, action)

    def unmended(self, why: str) -> None:
        """Note why an answer was not mended."""
        self._unmended[why] = None

    def spent(self, stage: str, seconds: float) -> None:
        """Note what a stage took."""
        self.ms[stage] = self.ms.get(stage, 0.0) + seconds * 1000

    def decide(self, window: Window | None, *, complete: bool) -> Decision:
        """The decision as it stands.

        Args:
            window: of the stream, if there is one; what it has found is added.
            complete: whether nothing more will come.
        """
        post = self._post
        action, would, ms = self.action, self.would, dict(self.ms)
        placed, coverages = self._placed, list(self._coverages.values())
        if window is not None:
            placed = list(placed)
            for choice in window.choices:
                verdict = window.verdict(choice)
                coverages.append(verdict.coverage)
                for stage, spent in verdict.ms.items():
                    ms[stage] = ms.get(stage, 0.0) + spent
                for channel, finding in window.found(choice):
                    placed.append((f"choices[{choice}].{name_of(channel)}", finding))
                    would = worse(would, post.spared(finding))
                    # A choice that was stopped has been told of by what took its place.
                    if post.enforced(finding) and rank(post.acts(finding)) <= rank(Action.REDACT):
                        action = worse(action, post.acts(finding))
                if post.shadow:
                    would = worse(would, verdict.action)
        if self.unscannable:
            coverages.append(Coverage(partial={"guard": _told(self.unscannable)}))
        return Decision(
            id=self.id,
            at=self._at,
            action=action,
            would=worse(would, action),
            findings=tuple([Placed(finding, where, post.enforced(finding)) for where, finding in placed]),
            coverage=post.merger.merge(coverages) if coverages else Coverage(),
            constitution=post.gate.digest,
            mode=post.settings.mode,
            ms=ms,
            unscannable=tuple(self.unscannable),
            withheld=tuple(self.withheld),
            rounds=self.rounds,
            drawn=self.drawn,
            amend="; ".join(self._unmended),
            complete=complete,
            rules=post.ranked(finding for _, finding in placed) if placed and not post.shadow else (),
        )


def name_of(channel: Channel) -> str:
    """A channel as places name it: `text`, `tool[1]`."""
    return f"{channel.kind}[{channel.index}]" if channel.kind == "tool" or channel.index else channel.kind


def _told(things: list[Unscannable]) -> str:
    named = ", ".join(f"`{thing.what}` at {thing.where}" for thing in things[:_NAMED])
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    return f"no detector can read {named}{more}"
