"""Finding, Coverage, Verdict: what the gate says of an exchange. Every log row and data row is a projection of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.schema import Action, Part


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule found broken at one span, by one detector."""

    rule: str
    part: Part
    span: tuple[int, int]
    """Character offsets, half open, in the original text of the part."""
    detector: str
    score: float
    """From 0 to 1; a probability only where `calibrated`."""
    threshold: float
    view: str = "raw"
    excerpt: str = ""
    calibrated: bool = False
    reason: str = ""
    """Why, in the words of the model that was asked; empty where none was."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was scanned, what was not, and what ran degraded."""

    scanned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Detector -> ids of the rules it looked for."""
    not_scanned: Mapping[str, str] = field(default_factory=dict)
    """Rule id -> why no detector looked for it."""
    degraded: Mapping[str, str] = field(default_factory=dict)
    """Detector -> what went wrong with it."""
    partial: Mapping[str, str] = field(default_factory=dict)
    """Detector -> what of the text it left out, because the text goes beyond its limits."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings for an exchange, the action they lead to, and the coverage."""

    action: Action
    findings: tuple[Finding, ...]
    coverage: Coverage
    constitution: str
    """Digest of the constitution judged by."""
    ms: Mapping[str, float]
    """Stage -> milliseconds."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Rule id -> the highest score any detector gave it, whether or not it reached the threshold."""
    topics: Mapping[str, float] = field(default_factory=dict)
    """Rule id -> how near the text is to what the rule is about, from -1 to 1; no sign of a break. Empty where no
    detector tells topics."""

    @property
    def broken(self) -> tuple[str, ...]:
        """Ids of the rules found broken, worst score first, each once."""
        ordered = sorted(self.findings, key=lambda finding: -finding.score)
        return tuple(dict.fromkeys(finding.rule for finding in ordered))

    @property
    def score(self) -> float:
        """The highest score of any rule; 0 where no detector looked."""
        return max(self.scores.values(), default=0.0)
