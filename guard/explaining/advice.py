"""What would help where a verdict is not as it should be: which key of the rule to change, and when it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.explaining.looking import Looking
from rules.schema import Part, Rule

WORTH_LOWERING = 0.2
"""Scores from which a lower threshold is worth naming: one below would find half of all texts."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One change of a rule."""

    keys: tuple[str, ...]
    """Where in the rule, as `("examples", "breaks")`."""
    do: str
    """What to do there."""


def advice(
    rule: Rule,
    *,
    broken: bool,
    under: Sequence[Part],
    looking: Sequence[Looking],
    score: float | None,
    spared: bool = False,
) -> tuple[Advice, ...]:
    """What would turn the verdict for one rule, the gentlest change first.

    Args:
        rule: as it stands.
        broken: whether it was found broken, and perhaps should not have been; else the other way round.
        under: the parts under judgement.
        looking: who looks for it in them.
        score: its highest score by meaning, where it has one.
        spared: whether meaning would have found it, and an earlier stage spared it the look.
    """
    side = "keeps" if broken else "breaks"
    headed = any(each.by in ("meaning", "meaning:stale") for each in looking)
    if rule.detect is None:
        return (Advice(("detect",), "let the gate look for it: take `detect: null` out, and add examples"),)
    if not set(under) & set(rule.watches):
        names = " and ".join(sorted(set(under)))
        return (Advice(("watches",), f"the rule does not watch the {names}: add it"),)
    counts = "it counts once the heads are taught again: `wardlaw gate train`" if headed else "it counts at once"
    told = [Advice(("examples", side), f"add an example like this text; {counts}")]
    if not broken:
        told.append(Advice(("detect", "patterns"), "or a pattern, where some words are a sure sign; it counts at once"))
        if spared:
            own = next((each.threshold for each in looking if each.by.startswith("meaning") and each.threshold), 0.5)
            spares = "then the static tier clears no text of these parts any more, and every one is encoded"
            do = f"a threshold of its own, as `meaning: {{threshold: {_below(own)}}}`: {spares}"
            told.insert(0, Advice(("detect", "meaning"), do))
        elif score is not None and score >= WORTH_LOWERING:
            low = f"or a threshold of its own of {score:.3f} or less, as `meaning: {{threshold: {_below(score)}}}`"
            told.append(Advice(("detect", "meaning"), f"{low}; then more harmless texts are found too"))
    return tuple(told)


def _below(score: float) -> str:
    """The score, rounded down so that a text of that score is found."""
    return f"{int(score * 1000) / 1000:g}"
