"""Qwen3Guard-Gen (0.6B, 4B, 8B): nine categories, and a grade between safe and unsafe.

Passed: the conversation; the template judges its last turn, a user's or an assistant's. Answered, a line each:
`Safety: Safe | Unsafe | Controversial`, `Categories: None` or names parted by commas, and for an answer of the
assistant `Refusal: Yes | No`.

Sources: README and evaluation code of QwenLM/Qwen3Guard, the model cards and chat template of Qwen/Qwen3Guard-Gen-8B
(the same in all sizes), arXiv:2510.14276.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.adapters.base import Hazards, Reading, alternating, is_answer, labelled
from guard.judging.answers import LEAST_MASS, TOP, whole
from guard.judging.asker import Unreadable
from guard.judging.pieces import Piece
from guard.models.base import Ask, Reply, Sampling, TokenLogprob
from rules.hazards import Exactness, crosswalk
from rules.schema import Rule

_LABELS: Mapping[str, str] = {
    "Violent": "violent",
    "Non-violent Illegal Acts": "non-violent-illegal-acts",
    "Sexual Content or Sexual Acts": "sexual-content",
    "PII": "pii",
    "Suicide & Self-Harm": "suicide-and-self-harm",
    "Unethical Acts": "unethical-acts",
    "Politically Sensitive Topics": "politically-sensitive-topics",
    "Copyright Violation": "copyright-violation",
    "Jailbreak": "jailbreak",
}
"""Category -> its code in the model's own system. It is coarser than MLCommons: a label is about every rule that
carries a hazard which is the same or a part of it, and no category stands for specialised advice."""

_ELSEWHERE = ("mlcommons-1.0:", "lamda:")

_LINE = re.compile(r"(Safety|Categories|Refusal):[ \t]*(.*)")
_GRADES = {"Safe": 0.0, "Controversial": 0.5, "Unsafe": 1.0}
"""What a grade scores where there are no log-probabilities. `Controversial` is a finding at the threshold 0.5, the
paper's strict reading; at a higher one it is not, the loose reading."""


@dataclass(frozen=True, slots=True)
class Qwen3Guard:
    """Qwen3Guard-Gen; not Qwen3Guard-Stream, which is no chat model."""

    name: str = "qwen3guard"
    at_once: bool = True

    @property
    def labels(self) -> Mapping[str, Hazards]:
        """Category -> what rules call it."""
        return {label: _called(f"qwen3guard:{own}") for label, own in _LABELS.items()}

    def knows(self, model: str) -> bool:
        """Whether the model is a Qwen3Guard-Gen."""
        return "qwen3guard" in model and "stream" not in model

    def why_not(self, rule: Rule) -> str:
        """A rule needs a hazard that one of the categories stands for."""
        if any(labelled(rule, hazards) for hazards in self.labels.values()):
            return ""
        return "it carries no hazard that a category of Qwen3Guard stands for"

    def question(self, piece: Piece, rules: Sequence[Rule]) -> Ask:
        """The conversation; the template takes no variables."""
        return Ask(alternating(piece), Sampling(0.0, max_tokens=128, seed=0), logprobs=TOP)

    def read(self, reply: Reply, piece: Piece, rules: Sequence[Rule]) -> Reading:
        """See `Adapter.read`."""
        said = _lines(whole(reply), refusal=is_answer(piece))
        if said["Safety"] not in _GRADES:
            raise Unreadable("the answer's `Safety` is none of its three grades")
        named = {label.strip() for label in said["Categories"].split(",")}
        score = _graded(reply, said["Safety"])
        if said["Safety"] == "Safe":
            if named != {"None"}:
                raise Unreadable("the answer is `Safe` and names a category")
            return Reading(dict.fromkeys((rule.id for rule in rules), min(score, 0.499)))
        if "None" in named:
            raise Unreadable(f"the answer is `{said['Safety']}` without a category")
        labels = self.labels
        unknown = sorted(named - set(labels))
        hazards: Hazards = frozenset().union(*(labels[label] for label in named if label in labels))
        score = max(score, 0.5)
        broken = {rule.id: score for rule in rules if labelled(rule, hazards)}
        others = [rule.id for rule in rules if rule.id not in broken]
        reason = f"{said['Safety']}: {', '.join(sorted(named))}"
        if not unknown:
            return Reading({**dict.fromkeys(others, 0.0), **broken}, reason=reason)
        why = f"the answer names the unknown category `{unknown[0][:40]}`"
        return Reading(broken, dict.fromkeys(others, why))


def _called(own: str) -> Hazards:
    """A category, and the hazards elsewhere that are the same or a part of it."""
    links = crosswalk().links(own).items()
    within = (other for other, exact in links if exact in (Exactness.SAME, Exactness.NARROWER))
    return frozenset({own, *(other for other in within if other.startswith(_ELSEWHERE))})


def _lines(text: str, *, refusal: bool) -> dict[str, str]:
    """The lines of an answer, which holds nothing else."""
    said: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _LINE.fullmatch(line)
        if found is None or found[1] in said:
            raise Unreadable("the answer has a line that it should not have")
        said[found[1]] = found[2].strip()
    for wanted in ("Safety", "Categories", *(["Refusal"] if refusal else [])):
        if not said.get(wanted):
            raise Unreadable(f"the answer has no `{wanted}`")
    return said


def _graded(reply: Reply, grade: str) -> float:
    """The expected grade at the word after `Safety:`; the grade that is said where there are no log-probabilities."""
    word = _after_safety(reply.logprobs or ())
    if word is None:
        return _GRADES[grade]
    weights = dict.fromkeys(_GRADES, 0.0)
    for spelling, logprob in ({word.token: word.logprob} | dict(word.top)).items():
        begun = spelling.strip()
        for name in _GRADES:
            if begun and name.startswith(begun):
                weights[name] += math.exp(min(0.0, logprob))
    total = sum(weights.values())
    if total < LEAST_MASS:
        return _GRADES[grade]
    return sum(weight * _GRADES[name] for name, weight in weights.items()) / total


def _after_safety(logprobs: Sequence[TokenLogprob]) -> TokenLogprob | None:
    text = ""
    for token in logprobs:
        if text.strip() == "Safety:" and token.token.strip():
            return token
        text += token.token
    return None


ADAPTERS = (Qwen3Guard(),)
