"""ShieldGemma (2B, 9B, 27B): asked about one guideline at a time, here the rule itself.

Passed: the user's turn, or it and the answer to it; the guideline as the template's variable `guideline`. Answered:
`Yes` or `No`; the score is how likely `Yes` was at the first token, as the model card computes it.

Sources: the model card of google/shieldgemma-2b, and the discussion there that brought its chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.adapters.base import Reading, is_answer, policy_of, prompt_and_answer
from guard.judging.answers import TOP, first_word, yes_share
from guard.judging.asker import Unreadable
from guard.judging.pieces import Piece
from guard.models.base import Ask, Reply, Sampling
from rules.schema import Rule


@dataclass(frozen=True, slots=True)
class ShieldGemma:
    """ShieldGemma; not ShieldGemma 2, which looks at images."""

    name: str = "shieldgemma"
    at_once: bool = False

    def knows(self, model: str) -> bool:
        """Whether the model is a ShieldGemma for text: its second generation, for images, is the 4B one."""
        return "shieldgemma" in model and "shieldgemma-2-" not in model and "shieldgemma2" not in model

    def why_not(self, rule: Rule) -> str:
        """It can be asked about any rule."""
        return ""

    def question(self, piece: Piece, rules: Sequence[Rule]) -> Ask:
        """The turn and the rule as a guideline, in the form that its own guidelines have."""
        (rule,) = rules
        who = "chatbot shall not generate" if is_answer(piece) else "prompt shall not contain or seek"
        text = f'"{rule.title.say("en")}": The {who} content that breaks this rule: {policy_of(rule)}'
        sampling = Sampling(0.0, max_tokens=1, seed=0)
        return Ask(prompt_and_answer(piece), sampling, logprobs=TOP, template={"guideline": text})

    def read(self, reply: Reply, piece: Piece, rules: Sequence[Rule]) -> Reading:
        """See `Adapter.read`."""
        (rule,) = rules
        if reply.finish == "filter":
            raise Unreadable("the answer was withheld")
        if first_word(reply.logprobs) is not None:
            return Reading({rule.id: yes_share(reply, ("yes",), ("no",))})
        # one token was asked for, so that `length` is how every answer ends
        word = reply.text.strip().partition("\n")[0].rstrip(".,!").lower()
        if word not in ("yes", "no"):
            raise Unreadable("the answer begins with neither `Yes` nor `No`")
        return Reading({rule.id: 1.0 if word == "yes" else 0.0})


ADAPTERS = (ShieldGemma(),)
