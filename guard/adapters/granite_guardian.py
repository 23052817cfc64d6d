"""Granite Guardian 3.0 to 3.2, and 3.3: asked about one criterion at a time, its own or the rule.

Passed: the conversation, and `guardian_config`. A rule that carries a hazard `granite-guardian-3:NAME` is asked about
by the name of that criterion, which the template words; any other rule by its own text (`risk_definition`, in 3.3
`custom_criteria`). Answered: `Yes` or `No`, in 3.2 followed by `<confidence> High </confidence>`; in 3.3
`<score> yes </score>`, after a `<think>` block where thinking is on. Here it is off.

Sources: cookbooks and evaluation code of ibm-granite/granite-guardian (granite_guardian_3.py, granite_guardian_3_3.py),
the model card of ibm-granite/granite-guardian-3.3-8b. Version 4 words its prompt otherwise and has no adapter yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.adapters.base import Reading, alternating, is_answer, policy_of
from guard.judging.answers import TOP, first_word, share, whole
from guard.judging.asker import Unreadable
from guard.judging.pieces import Piece
from guard.models.base import Ask, Reply, Sampling, TokenLogprob
from rules.schema import Rule

_SYSTEM = "granite-guardian-3:"
_CRITERIA = frozenset(
    "harm social_bias profanity sexual_content unethical_behavior violence jailbreak harm_engagement".split()
)
_PLAIN = re.compile(r"(Yes|No)\s*(?:<confidence>\s*\w+\s*</confidence>)?", re.IGNORECASE)
_SCORED = re.compile(r"(?:<think>.*?</think>\s*)?<score>\s*(yes|no)\s*</score>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class GraniteGuardian:
    """One generation of Granite Guardian."""

    name: str
    model: str
    """An expression for the names of its models."""
    scored: bool
    """Whether the answer stands in `<score>` tags, and criteria go by `criteria_id`."""
    at_once: bool = False

    def knows(self, model: str) -> bool:
        """Whether the model is of this generation."""
        return re.search(self.model, model) is not None

    def why_not(self, rule: Rule) -> str:
        """It can be asked about any rule."""
        return ""

    def question(self, piece: Piece, rules: Sequence[Rule]) -> Ask:
        """The conversation and the criterion."""
        (rule,) = rules
        template: dict[str, object] = {"guardian_config": self._criterion(rule, piece)}
        if self.scored:
            template["think"] = False
        return Ask(alternating(piece), Sampling(0.0, max_tokens=32, seed=0), logprobs=TOP, template=template)

    def read(self, reply: Reply, piece: Piece, rules: Sequence[Rule]) -> Reading:
        """See `Adapter.read`."""
        (rule,) = rules
        found = (_SCORED if self.scored else _PLAIN).fullmatch(whole(reply))
        if found is None:
            raise Unreadable("the answer is neither `yes` nor `no` in the form that it should have")
        score = 1.0 if found[1].lower() == "yes" else 0.0
        token = _scored_word(reply.logprobs or ()) if self.scored else first_word(reply.logprobs)
        likely = share(token, lambda word: word == "yes", lambda word: word == "no")
        return Reading({rule.id: score if likely is None else likely})

    def _criterion(self, rule: Rule, piece: Piece) -> Mapping[str, str]:
        own = [code.removeprefix(_SYSTEM) for code in rule.hazards if code.startswith(_SYSTEM)]
        named = next((code for code in own if code in _CRITERIA), None)
        if named is not None:
            return {"criteria_id" if self.scored else "risk_name": named}
        who = "The assistant's message" if is_answer(piece) else "The user's message"
        asks = "does" if is_answer(piece) else "asks for, or does,"
        text = f"{who} {asks} what this rule forbids. The rule: {policy_of(rule)}"
        if self.scored:
            return {"custom_criteria": text}
        return {"risk_name": rule.id.replace("-", "_"), "risk_definition": text}


def _scored_word(logprobs: Sequence[TokenLogprob]) -> TokenLogprob | None:
    """The first word after the opening tag, which may be several tokens itself."""
    text = ""
    for token in logprobs:
        if text.rstrip().endswith("<score>") and token.token.strip():
            return token
        text += token.token
    return None


ADAPTERS = (
    GraniteGuardian("granite-guardian-3.0", r"granite-?guardian-?3\.[012]|granite3\.?[012]?-guardian", scored=False),
    GraniteGuardian("granite-guardian-3.3", r"granite-?guardian-?3\.3|granite3\.3-guardian", scored=True),
)
