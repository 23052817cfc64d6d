"""The classifier: a model that was made to judge (Llama Guard, ShieldGemma, Qwen3Guard ...), asked in its own form.

The adapter of its family (`guard.adapters`) knows what it is passed and how its answer reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import Field

from guard.adapters import choose_adapter
from guard.adapters.base import Adapter, Reading
from guard.detectors.base import Cover, excerpt
from guard.judging.asked import ModelDetector, Seen, not_covered, why_failed
from guard.judging.asker import Asker, NotAnswered, digest_of
from guard.judging.pieces import Piece
from guard.judging.settings import AskLimits
from guard.models.base import ChatModel, Reply
from guard.verdict import Finding
from rules.schema import Constitution, Part, Rule

__all__ = ["ClassifierDetector", "ClassifierSettings"]


class ClassifierSettings(AskLimits):
    """How a guard model is used."""

    threshold: float = Field(default=0.5, gt=0, le=1)
    """The score from which an answer is a finding."""


class ClassifierDetector(ModelDetector[Reading]):
    """Asks a guard model. Use a model that nobody else uses: it is closed with the detector."""

    name = "classifier"

    def __init__(
        self,
        constitution: Constitution,
        model: ChatModel,
        adapter: str | Adapter = "auto",
        settings: ClassifierSettings | None = None,
    ) -> None:
        """A guard model over the rules that it can look for; nothing is asked before the first scan.

        Args:
            constitution: the rules to ask about.
            model: the guard model.
            adapter: the name of its family and version; `auto` tells it by the model's name.
            settings: the defaults where it is left out.

        Raises:
            ModelConfigError: there is no such adapter, or none knows the model.
        """
        self._settings = settings or ClassifierSettings()
        super().__init__(constitution, model, self._settings)
        self.adapter = choose_adapter(adapter, model.identity) if isinstance(adapter, str) else adapter
        self._all = frozenset(self._rules)

    @property
    def identity(self) -> str:
        """The version of the asking, the adapter, the model, and what else changes an answer."""
        settings = self._settings
        how = f"{settings.threshold:g}/{settings.window}/{settings.context}"
        return f"classifier/1:{how}:{self.adapter.name}:{self._model.identity}"

    def covers(self, rule: Rule, part: Part) -> Cover:
        """Every rule that watches the part, does not say `when: never`, and that the model can look for."""
        why_not = not_covered(rule, part) or self.adapter.why_not(rule)
        return Cover(why_not=why_not) if why_not else Cover(by=self.name)

    async def _look(self, asker: Asker[Reading], piece: Piece, rules: Sequence[Rule]) -> Seen:
        if self.adapter.at_once:
            # of all rules that it covers, not of those wanted alone: the next look at this text finds the answer kept
            every = [rule for rule in self._rules.values() if self.covers(rule, piece.part)]
            return self._seen(await self._ask(asker, piece, every), piece, rules)
        seen = Seen()
        for rule, reading in zip(
            rules, await asyncio.gather(*(self._ask(asker, piece, [rule]) for rule in rules)), strict=True
        ):
            seen.add(self._seen(reading, piece, [rule]))
        return seen

    async def _ask(self, asker: Asker[Reading], piece: Piece, rules: Sequence[Rule]) -> Reading | str:
        said = [text for message in piece.earlier for text in (message.role, message.content)]
        about = [self._digests[rule.id] for rule in rules]
        key = digest_of(self.identity, *about, "", piece.part.value, piece.role, piece.text, *said)

        def read(reply: Reply) -> Reading:
            return self.adapter.read(reply, piece, rules)

        try:
            return await asker.ask(key, self.adapter.question(piece, rules), read, keep=lambda found: not found.failed)
        except NotAnswered as error:
            return why_failed(error)

    def _seen(self, reading: Reading | str, piece: Piece, rules: Sequence[Rule]) -> Seen:
        """What an answer, or the want of one, says of the wanted rules."""
        seen = Seen()
        for rule in rules:
            if isinstance(reading, str):
                seen.failed[rule.id] = reading
            elif rule.id not in reading.scores:
                seen.failed[rule.id] = reading.failed.get(rule.id, "the answer says nothing of the rule")
            else:
                score = seen.scores[rule.id] = reading.scores[rule.id]
                if score >= self._settings.threshold:
                    seen.findings.append(self._finding(rule, piece, score, reading.reason))
        return seen

    def _finding(self, rule: Rule, piece: Piece, score: float, reason: str) -> Finding:
        shown = excerpt(piece.text, (0, len(piece.text)))
        threshold = self._settings.threshold
        return Finding(rule.id, piece.part, piece.span, self.name, score, threshold, excerpt=shown, reason=reason)
