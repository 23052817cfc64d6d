"""What a run of probing is told: which rules, which models, where to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from constitution.probing.probe import KINDS, Kind, ProbeError
from constitution.probing.wording import PROMPTS
from rules.schema import Constitution, Rule
from rules.words import did_you_mean, quoted


@dataclass(frozen=True, slots=True)
class Common:
    """What making probes and trying a model have in common."""

    out: Path
    model: str
    """The model that writes or probes."""
    judge: str | None = None
    only: tuple[str, ...] = ()
    """Ids of the rules; all where empty."""
    seeds: Path | None = None
    """A JSONL file of more human-written texts."""
    encoder: str | None = "default"
    """For the gate's meaning stage and for nearness; None for neither."""
    language: str = "en"
    """Of the templates."""
    prompts: Path = PROMPTS
    concurrency: int = 8
    budget: int | None = None
    """Most tokens of the folder's whole life."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sides are made."""

    kinds: tuple[Kind, ...] = KINDS
    disguises: int = 1
    """Disguised views of each probe."""


_CHILD_HAZARDS = frozenset({"mlcommons-1.0:child-sexual-exploitation", "openai-moderation:sexual/minors"})
_CHILD = re.compile(r"\b(child|kid|minor|teen|infant|under-?age)|儿童|孩子|未成年|少年|幼", re.IGNORECASE)
_SEXUAL = re.compile(r"\bsex|\bporn|\bnude|\berotic|性(?!别|质|格|能)|色情|裸", re.IGNORECASE)


def is_withheld(rule: Rule) -> bool:
    """Whether no probes that break a rule are made: no model is asked for sexual requests that involve children.

    Rules that bear no hazard code are known by their words; one too many is told in the report, and loses near nothing.
    """
    from rules.hazards import crosswalk

    told = " ".join(said for text in (rule.title, rule.rule, rule.probe) if text for said in text.root.values())
    words = f"{rule.id.replace('-', ' ')} {told}"
    if _CHILD.search(words) and _SEXUAL.search(words):
        return True
    return not _CHILD_HAZARDS.isdisjoint(crosswalk().claims(rule.hazards))


def named_rules(constitution: Constitution, only: Sequence[str]) -> list[Rule]:
    """The rules that were named, or all.

    Raises:
        ProbeError: there is no such rule.
    """
    if not only:
        return list(constitution)
    ids = [rule.id for rule in constitution]
    for name in only:
        if name not in ids:
            hint = did_you_mean(name, ids, f"`{constitution.name}` has {len(ids)} rules: see `wardlaw rules show`")
            raise ProbeError(f"no rule {quoted(name)} in `{constitution.name}`", hint)
    return [rule for rule in constitution if rule.id in only]
