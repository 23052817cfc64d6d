"""The loop's templates: YAML that a person edits, one file a language, checked when read and rendered with Jinja."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from constitution.spoken import ByLanguage, Spoken
from guard.exchange import Message
from rules.schema import Closed, Critique, Demonstration, NonEmpty, Rule

PROMPTS = Path(__file__).parent / "prompts"
"""The templates that ship."""

Regex = Annotated[str, Field(min_length=1)]


class Stage(Closed):
    """One stage's prompt."""

    system: str
    """The system message; empty for none."""

    ask: NonEmpty
    """The user message, a Jinja template."""

    shots: int = Field(default=0, ge=0, le=8)
    """How many demonstrations are shown before the real case."""


class Answer(Closed):
    """What the answerer is told."""

    system: str = ""
    """The system message; empty for none."""


class GeneralShot(Demonstration):
    """A demonstration that brings the rule it is about; for rules that have none of their own."""

    rule: NonEmpty
    """The rule in a sentence."""


class RationaleShot(Closed):
    """A demonstration of a rationale."""

    prompt: NonEmpty
    title: NonEmpty
    rule: NonEmpty
    why: NonEmpty
    answer: NonEmpty
    rationale: NonEmpty
    problem: str | None = None
    """What a careless answer would have done; left out where the request was harmless."""


class Evasive(Closed):
    """What an evasive answer looks like."""

    refusals: tuple[Regex, ...]
    """Expressions for a sentence that declines."""
    boilerplate: tuple[Regex, ...]
    """Expressions that no answer should hold."""
    least_words: int = Field(ge=0)
    """Words (characters of Chinese) that must stand beside the refusal."""


class Templates(Spoken):
    """All texts of the loop in one language."""

    TEMPLATES = ("critique.ask", "revision.ask", "rationale.ask", "judge.ask")
    TOLD_IN = "constitution/prompts/en.yaml"

    speakers: Mapping[str, NonEmpty]
    answer: Answer
    critique: Stage
    revision: Stage
    rationale: Stage
    judge: Stage
    demonstrations: tuple[GeneralShot, ...]
    rationales: tuple[RationaleShot, ...]
    evasive: Evasive
    process_words: tuple[Regex, ...]
    """Expressions that give the workshop away, in a rationale or a final answer."""
    first_person: Regex
    """A rationale must match this."""

    @model_validator(mode="after")
    def _expressions_read(self) -> Self:
        for pattern in (*self.evasive.refusals, *self.evasive.boilerplate, *self.process_words, self.first_person):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"`{pattern}` is no regular expression: {error}") from error
        return self

    @cached_property
    def _prefixes(self) -> dict[tuple[str, str], tuple[Rule, tuple[Message, ...]]]:
        return {}

    @cached_property
    def _rules(self) -> dict[str, tuple[Rule, Mapping[str, Any]]]:
        return {}

    def prefix(self, stage: str, rule: Rule, make: Callable[[], Sequence[Message]]) -> tuple[Message, ...]:
        """The messages that stand before every case of `stage` under `rule`, rendered once.

        Few shots are most of the text of a call; rendered anew for each, they were half of the loop's own work.
        """
        kept = self._prefixes.get((stage, rule.id))
        if kept is None or kept[0] is not rule:
            kept = self._prefixes[stage, rule.id] = rule, tuple(make())
        return kept[1]

    def render(self, stage: str, *, again: bool = False, **values: Any) -> str:
        """The user message of `stage` with `values` filled in.

        Args:
            stage: `critique`, `revision`, `rationale` or `judge`.
            again: whether the message before it spoke of the same rule, which then need not be said once more.
            values: what the template names.

        Raises:
            TemplateError: the template names something that is not there.
        """
        return self._render(f"{stage}.ask", again=again, **values)

    def conversation(self, messages: Sequence[Message] | str) -> list[dict[str, str]]:
        """The messages as a template sees them: each with `speaker` and `content`."""
        if isinstance(messages, str):
            return [{"speaker": self.speakers["user"], "content": messages}]
        return [{"speaker": self.speakers[message.role], "content": message.content} for message in messages]

    def rule(self, rule: Rule) -> Mapping[str, Any]:
        """The rule as a template sees it, in this language."""
        kept = self._rules.get(rule.id)
        if kept is None or kept[0] is not rule:
            kept = self._rules[rule.id] = rule, self._seen(rule)
        return kept[1]

    def _seen(self, rule: Rule) -> dict[str, Any]:
        say = self.language
        return {
            "id": rule.id,
            "title": rule.title.say(say),
            "rule": rule.rule.say(say),
            "why": rule.why.say(say),
            "allowed": [text.say(say) for text in rule.allowed],
            "critique": rule.critique.say(say) if rule.critique else None,
            "revision": rule.revision.say(say) if rule.revision else None,
        }

    def shots(self, rule: Rule, count: int, *, breaking: bool = False) -> list[tuple[Demonstration, Mapping[str, Any]]]:
        """Demonstrations for a case of `rule`, each with the rule that it shows, nearest last.

        The rule's own come in first; the file's fill what they lack. A few shot without a kept rule teaches a small
        critic that everything breaks, so breaks and keeps are shown in equal parts.

        Args:
            rule: the rule in sight.
            count: how many.
            breaking: only those with a revision.
        """
        own = [(shot, self.rule(rule)) for shot in rule.demonstrations if shot.language == self.language]
        pool = [*own, *((shot, self._shown_rule(shot)) for shot in self.demonstrations)]
        breaks = [item for item in pool if item[0].critique.verdict == "breaks"]
        keeps = [item for item in pool if item[0].critique.verdict == "keeps"]
        chosen = breaks[:count] if breaking else [item for pair in zip(breaks, keeps, strict=False) for item in pair]
        return sorted(chosen[:count], key=lambda item: item[1]["id"] == rule.id)

    def ends_with_own_shot(self, rule: Rule, count: int, *, breaking: bool = False) -> bool:
        """Whether the last of `shots` is one of the rule's own, so that the rule was just said."""
        shots = self.shots(rule, count, breaking=breaking)
        return bool(shots) and shots[-1][1]["id"] == rule.id

    @staticmethod
    def _shown_rule(shot: GeneralShot) -> dict[str, Any]:
        bare: dict[str, Any] = {"id": "", "title": "", "why": "", "allowed": [], "critique": None, "revision": None}
        return {**bare, "rule": shot.rule}


def critique_json(critique: Critique) -> str:
    """A critique in the shape that the critic is asked for."""
    return json.dumps(
        {"problem": critique.problem, "verdict": critique.verdict, "quotes": list(critique.quotes)},
        ensure_ascii=False,
    )


class TemplateSet(ByLanguage[Templates]):
    """The loop's templates of every language in a folder."""

    KIND = Templates
    OWN = PROMPTS
