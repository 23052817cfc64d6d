"""The judge: a chat model that is asked, with a rule's own words, whether a text breaks it.

It sees the rule, its allowed neighbours and the exchange, and answers with a reason, a quote and a verdict, or with one
word whose log-probabilities are the score. It is a model that reads hostile text, so it is given no tools, the text is
fenced (`guard.judging.fence`), and an answer counts only if it names the case and quotes what the text really says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.detectors.base import Cover, excerpt
from guard.judging.answers import JUDGEMENT_SCHEMA, TOP, read_judgement, yes_share
from guard.judging.asked import ModelDetector, Seen, not_covered, why_failed
from guard.judging.asker import Asker, NotAnswered, Unreadable, digest_of
from guard.judging.fence import find_quote
from guard.judging.pieces import Piece
from guard.judging.prompts import PROMPTS, JudgePrompts, PromptSet, Worded
from guard.judging.settings import JudgeSettings
from guard.models.base import Ask, ChatModel, Reply, Sampling
from guard.verdict import Finding
from rules.schema import Constitution, Part, Rule

__all__ = ["JudgeDetector", "JudgeSettings", "Judged"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge says of one rule in one piece."""

    score: float
    """From 0 to 1; how likely a yes was, or 1 for `breaks` and 0 for `keeps`."""
    span: tuple[int, int] | None = None
    """Where the quote stands in the piece; None where there is none."""
    reason: str = ""


class JudgeDetector(ModelDetector[Judged]):
    """Asks a chat model about one rule at a time. Use a model that nobody else uses: it is closed with the detector."""

    name = "judge"

    def __init__(
        self,
        constitution: Constitution,
        model: ChatModel,
        settings: JudgeSettings | None = None,
        *,
        prompts: Path = PROMPTS,
    ) -> None:
        """A judge over `model`; nothing is asked before the first scan.

        Args:
            constitution: the rules to ask about.
            model: asked with the rule's words.
            settings: the defaults where it is left out.
            prompts: folder of templates, a file a language.

        Raises:
            PromptError: a template is wrong.
        """
        self._settings = settings or JudgeSettings()
        super().__init__(constitution, model, self._settings)
        self._prompts = PromptSet.read(prompts)

    @property
    def identity(self) -> str:
        """The version of the judging, the model, the templates, and what else changes an answer."""
        settings = self._settings
        how = f"{settings.mode}/{settings.threshold:g}/{settings.shots}/{settings.window}/{settings.context}"
        return f"judge/1:{how}:{self._prompts.digest}:{self._model.identity}"

    def covers(self, rule: Rule, part: Part) -> Cover:
        """Every rule that watches the part and does not say `when: never`."""
        why_not = not_covered(rule, part)
        return Cover(why_not=why_not) if why_not else Cover(by=self.name)

    async def _look(self, asker: Asker[Judged], piece: Piece, rules: Sequence[Rule]) -> Seen:
        seen = Seen()
        for rule, judged in zip(
            rules, await asyncio.gather(*(self._judge(asker, piece, rule) for rule in rules)), strict=True
        ):
            if isinstance(judged, str):
                seen.failed[rule.id] = judged
                continue
            seen.scores[rule.id] = judged.score
            if judged.score >= self._settings.threshold:
                seen.findings.append(self._finding(rule, piece, judged))
        return seen

    async def _judge(self, asker: Asker[Judged], piece: Piece, rule: Rule) -> Judged | str:
        """What the judge says, or why it says nothing."""
        prompts = self._prompts.of(piece.text)
        one_word = self._settings.mode == "logprobs"
        worded = prompts.word(rule, piece, one_word=one_word, shots=self._settings.shots)
        said = [text for message in piece.earlier for text in (message.role, message.content)]
        key = digest_of(self.identity, self._digests[rule.id], piece.part.value, piece.role, piece.text, *said)

        def read(reply: Reply) -> Judged:
            if one_word:
                return Judged(yes_share(reply, prompts.answers.yes, prompts.answers.no))
            return _judged(reply, worded, piece)

        try:
            return await asker.ask(key, self._question(worded, prompts), read)
        except NotAnswered as error:
            return why_failed(error)

    def _question(self, worded: Worded, prompts: JudgePrompts) -> Ask:
        if self._settings.mode == "logprobs":
            # the first word is the answer; a second token shows where the first was white space alone
            return Ask(worded.messages, Sampling(0.0, max_tokens=2, seed=0), logprobs=TOP)
        return Ask(worded.messages, Sampling(0.0, max_tokens=self._settings.max_tokens, seed=0), JUDGEMENT_SCHEMA)

    def _finding(self, rule: Rule, piece: Piece, judged: Judged) -> Finding:
        start, end = judged.span or (0, len(piece.text))
        return Finding(
            rule.id,
            piece.part,
            (piece.start + start, piece.start + end),
            self.name,
            judged.score,
            self._settings.threshold,
            excerpt=excerpt(piece.text, (start, end)),
            reason=judged.reason,
        )


def _judged(reply: Reply, worded: Worded, piece: Piece) -> Judged:
    """The judgement, its quote looked up in the piece.

    Raises:
        Unreadable: of no use, or it quotes what the text does not say.
    """
    judgement = read_judgement(reply, worded.case)
    if judgement.verdict == "keeps":
        return Judged(0.0, reason=judgement.reason)
    span = find_quote(judgement.quote or "", piece.text)
    if span is None:
        raise Unreadable("the judge says that the text breaks the rule, and quotes what it does not say")
    return Judged(1.0, span, judgement.reason)
