"""What an explanation is made of."""

from __future__ import annotations

from dataclasses import dataclass

from guard.exchange import Exchange
from guard.explaining.advice import Advice
from guard.explaining.looking import Looking
from guard.explaining.nearest import Near
from guard.explaining.otherwise import Otherwise
from guard.explaining.patterns import NearMiss
from guard.explaining.windows import Window
from guard.explaining.words import Carried
from guard.verdict import Finding, Verdict
from rules.schema import Action, Part, Rule


@dataclass(frozen=True, slots=True)
class ViewSeen:
    """One reading of a part."""

    part: Part
    name: str
    characters: int
    shows: str
    """Its beginning, or for a view what of it is not in the text."""


@dataclass(frozen=True, slots=True)
class StageSeen:
    """What one stage said."""

    stage: str
    needless: str
    """Why it did not look; empty where it did."""
    findings: int
    clear: bool = False
    failed: str = ""
    ms: float | None = None
    margin: float | None = None
    """Of the static tier: how far the least harmless window lies over the border, in logits; below 0 it is clear."""
    windows: int | None = None
    """Of the meaning stage: how many windows it has to read."""


@dataclass(frozen=True, slots=True)
class Found:
    """One finding, and where it comes from."""

    finding: Finding
    pattern: int | None
    """Which of the rule's patterns; None where it was none."""
    action: Action
    """What it leads to by itself: `allow` where the rule only records."""
    by_rule: Action
    """What the rule says it leads to, were it enforced."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What the meaning detector makes of a rule, whether or not it had to look."""

    score: float
    threshold: float
    looked: bool
    window: Window
    """Where the score is highest."""
    unsure: bool
    """Whether the score lies in the band below the threshold in which a dearer detector is asked."""
    nearest: tuple[Near, ...]
    carried: tuple[Carried, ...]


@dataclass(frozen=True, slots=True)
class RuleSeen:
    """What there is to say of one rule and the text."""

    rule: Rule
    broken: bool
    named: bool
    """Whether it was asked about."""
    looking: tuple[Looking, ...]
    """Who looks for it in the parts under judgement."""
    meant: Meant | None
    near: tuple[NearMiss, ...]
    """Patterns that nearly hit; only of a rule that none of its patterns found."""
    otherwise: tuple[Otherwise, ...]
    advice: tuple[Advice, ...]


@dataclass(frozen=True, slots=True)
class Turns:
    """The look over joined turns."""

    texts: tuple[str, ...]
    """The earlier turns, oldest first."""
    left_out: int
    """Turns that broke a rule when they came, and are not joined again."""
    found: tuple[str, ...]
    """Rules that only the joined text breaks."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an exchange is judged as it is."""

    exchange: Exchange
    verdict: Verdict
    views: tuple[ViewSeen, ...]
    capped: bool
    """Whether some readings were left out, for the limits on them."""
    stages: tuple[StageSeen, ...]
    findings: tuple[Found, ...]
    lead: str
    """The rule that leads: the gravest action, then the highest score; empty where nothing is found."""
    unsure: tuple[str, ...]
    turns: Turns | None
    rules: tuple[RuleSeen, ...]
    looked_at: int
    """Windows that were looked at again, of those in `stages`."""
