"""What a rule is: frozen, closed pydantic models, with a docstring under each field.

Nothing here reads a file. `rules.load` turns YAML into these; `rules.digest` hashes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rules.expressions import BadExpression, matches_nothing_at_all
from rules.languages import LANGUAGES


class Part(StrEnum):
    """The parts of an exchange that a rule can watch."""

    SYSTEM = "system"
    PROMPT = "prompt"
    RESPONSE = "response"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"


class Action(StrEnum):
    """What a guard does about a finding, mildest first."""

    ALLOW = "allow"
    FLAG = "flag"
    REDACT = "redact"
    REVISE = "revise"
    RESAMPLE = "resample"
    BLOCK = "block"


class Severity(StrEnum):
    """How bad one break is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


REWRITES = frozenset({Action.REVISE, Action.RESAMPLE})
"""Actions that ask a model for another answer: they fit only what the model wrote or will write."""

REWRITABLE = frozenset({Part.PROMPT, Part.RESPONSE})
"""Parts for which another answer can be asked: revise on a prompt revises the answer to it."""

NonEmpty = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
RuleId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=2, max_length=80),
    Field(description="Lower case words joined by hyphens. Names the bad thing; stable for ever."),
]


Fault = tuple[tuple[str | int, ...], str, str]
"""Keys from the value that is checked to the one at fault, what is wrong, and a hint."""


def refusal(faults: Sequence[Fault]) -> PydanticCustomError:
    """What a validator here raises: all that it found, each at its own key, for `rules.load` to give it a place."""
    return PydanticCustomError(
        "refused", "{what}", {"what": "; ".join(what for _, what, _ in faults), "faults": faults}
    )


def _known_language(tag: str) -> str:
    if not _TAG.fullmatch(tag) or tag.partition("-")[0] not in LANGUAGES:
        hint = f"write {_MEANT[tag.casefold()]}" if tag.casefold() in _MEANT else "write it as `en`, `zh` or `zh-TW`"
        raise refusal([((), f"unknown language tag `{tag}`", hint)])
    return tag


_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_MEANT = {"cn": "`zh`", "chinese": "`zh`", "english": "`en`", "jp": "`ja`", "kr": "`ko`", "ua": "`uk`", "cz": "`cs`"}
"""Countries and names that people write for languages."""

Language = Annotated[str, AfterValidator(_known_language)]


class Closed(BaseModel):
    """Base of all models here: frozen, and an unknown key is an error."""

    # validators are built at the first use, all together; the docstrings of fields are read by `rules.docstrings` where
    # they are asked for: each saves a tenth of what `wardlaw rules check` may take to start
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Text(RootModel[dict[Language, NonEmpty]]):
    """A text in one or more languages. In YAML: one string, or a map from language tag to string.

    A plain string is kept under the tag `und` (any language).
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"und": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _some_language(self) -> Self:
        if not self.root:
            raise refusal([((), "a text needs at least one language", "write one string, or `{en: ..., zh: ...}`")])
        return self

    def say(self, language: str = "en") -> str:
        """The text in `language`, else in its base language, else in any language, English or what there is."""
        base = language.partition("-")[0]
        for tag in (language, base, "und", "en"):
            if tag in self.root:
                return self.root[tag]
        return self.root[min(self.root)]  # not the first one: the order of keys must change nothing

    def speaks(self, language: str) -> bool:
        """Whether the text was written in `language` itself, not fallen back to."""
        return language in self.root or language.partition("-")[0] in self.root

    def __str__(self) -> str:
        return self.say()


class Turn(Closed):
    """One message of an example or demonstration."""

    role: Literal["system", "user", "assistant", "tool"]
    """Who speaks."""

    content: NonEmpty
    """What is said."""


class Example(Closed):
    """A prompt, a prompt with a response, or a whole list of messages.

    In YAML a bare string is a prompt. What is judged is the last message.
    """

    messages: Annotated[tuple[Turn, ...], Field(min_length=1)]
    """The conversation, oldest first."""

    note: str | None = None
    """A word to the reader: why this one is here."""

    @model_validator(mode="before")
    @classmethod
    def _from_short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"messages": [{"role": "user", "content": value}]}
        if isinstance(value, Mapping) and "prompt" in value and "messages" not in value:
            rest = {key: item for key, item in value.items() if key not in ("prompt", "response")}
            prompt = value["prompt"]
            turns = list(prompt) if isinstance(prompt, list | tuple) else [{"role": "user", "content": prompt}]
            if "response" in value:
                turns.append({"role": "assistant", "content": value["response"]})
            return {**rest, "messages": turns}
        return value

    @property
    def part(self) -> Part:
        """The part under judgement: what the last message is."""
        roles = {
            "system": Part.SYSTEM,
            "user": Part.PROMPT,
            "assistant": Part.RESPONSE,
            "tool": Part.TOOL_RESULT,
        }
        return roles[self.messages[-1].role]

    @property
    def text(self) -> str:
        """The text of the last message."""
        return self.messages[-1].content


class ExampleSet(Closed):
    """Examples that break a rule and near misses that keep it."""

    breaks: tuple[Example, ...] = ()
    """Texts that break the rule."""

    keeps: tuple[Example, ...] = ()
    """Near misses: texts that look like it and are fine."""


class Pattern(Closed):
    """A literal or a regular expression that shows the rule broken. Exactly one of the two is given."""

    literal: NonEmpty | None = None
    """Plain words, found in any letter case and only as whole words where the script has word borders."""

    regex: NonEmpty | None = None
    """A regular expression without lookaround and backreferences, found in any letter case (RE2 syntax)."""

    watches: tuple[Part, ...] | None = None
    """The parts to look in; those of the rule where this is left out."""

    @field_validator("regex")
    @classmethod
    def _linear(cls, regex: str | None) -> str | None:
        try:
            empty = regex is not None and matches_nothing_at_all(regex)
        except BadExpression as bad:
            where = f" (character {bad.offset + 1} of the pattern)"
            raise refusal([((), bad.what + where, bad.hint)]) from bad
        if empty:
            hint = "ask for at least one character, as with `+` in place of `*`"
            raise refusal([((), f"the pattern `{regex}` matches the empty string, and so every text", hint)])
        return regex

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.literal is None) == (self.regex is None):
            raise refusal([((), "a pattern is either a `literal` or a `regex`", "keep one of the two")])
        return self


class Meaning(Closed):
    """How the meaning detector sees this rule."""

    threshold: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = "auto"
    """`auto` is set from the examples or by calibration; a number from 0 to 1 fixes it."""


class Judge(Closed):
    """When a chat model is asked about this rule."""

    when: Literal["never", "unsure", "always"] = "unsure"
    """`unsure`: only inside the unsure band of the cheaper detectors."""


class Detect(Closed):
    """The detectors of a rule, cheapest first."""

    patterns: tuple[Pattern, ...] = ()
    """Literals and expressions."""

    meaning: Meaning | None = Meaning()
    """The meaning detector; `null` turns it off for this rule."""

    judge: Judge = Judge()
    """The judge."""


class Critique(Closed):
    """What a critic says of an answer under one rule."""

    quotes: tuple[NonEmpty, ...] = ()
    """Words of the answer, letter for letter, that break the rule."""

    problem: NonEmpty
    """One or two sentences: what is wrong with them, or why nothing is."""

    verdict: Literal["breaks", "keeps"]
    """Whether the answer breaks the rule."""


class Demonstration(Closed):
    """A critique and revision written by a person: a few shot for the loop."""

    prompt: str | Annotated[tuple[Turn, ...], Field(min_length=1)]
    """What the user asked: a string, or a list of messages."""

    answer: NonEmpty
    """The answer under critique."""

    critique: Critique
    """What a good critic says of it."""

    revision: NonEmpty | None = None
    """The better answer; left out where the critique says that the rule is kept."""

    language: Language = "en"
    """Language tag of this demonstration."""

    @field_validator("critique")
    @classmethod
    def _quotes_are_there(cls, critique: Critique, info: ValidationInfo) -> Critique:
        answer = info.data.get("answer")
        faults: list[Fault] = [
            (("quotes", index), f"the demonstration quotes `{quote}`, which its answer does not say", "copy it exactly")
            for index, quote in enumerate(critique.quotes)
            if answer is not None and quote not in answer
        ]
        if faults:
            raise refusal(faults)
        return critique

    @model_validator(mode="after")
    def _revised_where_broken(self) -> Self:
        if self.critique.verdict == "breaks" and self.revision is None:
            hint = "write the better answer, or say `verdict: keeps`"
            raise refusal([((), "a demonstration that breaks the rule needs a `revision`", hint)])
        return self


class Defaults(Closed):
    """What holds for every rule of a file that does not say otherwise."""

    mode: Literal["enforce", "shadow"] = "enforce"
    """`shadow`: record findings and do not act."""

    on_error: Literal["block", "allow"] = "block"
    """What a detector that cannot answer leads to."""


class Rule(Closed):
    """One thing the assistant must or must not do, and how to see that it did."""

    id: RuleId
    """Names the bad thing; stable for ever, since verdicts, rows and audit quote it."""

    title: Text
    """A short name for people."""

    rule: Text
    """The rule itself, one or two plain sentences."""

    why: Text
    """One plain sentence a user may read when the guard steps in."""

    sources: tuple[NonEmpty, ...] = ()
    """Where the topic comes from: papers, policies, laws."""

    hazards: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+:[A-Za-z0-9_.-]+$")], ...] = ()
    """Codes in hazard systems, each `system:code`, as `llama-guard-3:S9`."""

    severity: Severity = Severity.MEDIUM
    """How bad one break is."""

    watches: Annotated[tuple[Part, ...], Field(min_length=1)] = (Part.PROMPT, Part.RESPONSE)
    """The parts of an exchange this rule looks at."""

    allowed: tuple[Text, ...] = ()
    """Harmless neighbours, in words: they teach the judge and make near misses."""

    detect: Detect | None = None
    """How the gate sees a break. Left out: only the loop uses the rule."""

    on: Mapping[Part, Action] = {}
    """The action for a finding, a part; a part left out is blocked."""

    critique: Text | None = None
    """The instruction to the critic."""

    revision: Text | None = None
    """The instruction to the reviser."""

    reply: Text | None = None
    """What the user reads when the guard answers for itself: never a bare refusal."""

    demonstrations: tuple[Demonstration, ...] = ()
    """Critique and revision pairs written by a person: the few shots of the loop."""

    examples: ExampleSet = ExampleSet()
    """They teach: prototypes, heads, few shots."""

    tests: ExampleSet = ExampleSet()
    """They only ever check, and never teach."""

    mode: Literal["enforce", "shadow"] = "enforce"
    """`shadow`: record findings and do not act."""

    on_error: Literal["block", "allow"] = "block"
    """What a detector that cannot answer leads to."""

    @field_validator("why")
    @classmethod
    def _why_says_something(cls, why: Text) -> Text:
        faults: list[Fault] = []
        for language, text in why.root.items():
            if len(text) < (8 if re.search(r"[\u3040-\u9fff]", text) else 20):
                at = () if language == "und" else (language,)
                faults.append((at, f"`why` is too short to explain anything: `{text}`", "say whom it hurts, and how"))
        if faults:
            raise refusal(faults)
        return why

    @field_validator("on")
    @classmethod
    def _actions_fit_parts(cls, on: Mapping[Part, Action], info: ValidationInfo) -> Mapping[Part, Action]:
        faults: list[Fault] = []
        for part, action in on.items():
            watches = info.data.get("watches")
            if watches is not None and part not in watches:
                what = f"`on` names the part `{part}`, which the rule does not watch"
                faults.append(((part.value,), what, f"add `{part}` to `watches`, or delete this line"))
            if action in REWRITES and part not in REWRITABLE:
                hint = "`revise` and `resample` ask for another answer: they fit `prompt` and `response` alone"
                faults.append(((part.value,), f"`{action}` cannot be done to a {part}", hint))
        if faults:
            raise refusal(faults)
        return on

    def action(self, part: Part) -> Action:
        """The action for a finding in `part`."""
        return self.on.get(part, Action.BLOCK)


class Constitution(Closed):
    """The checked whole of the rules in force. Make one with `rules.load`; its digest is `rules.digest`."""

    name: RuleId
    """Name of the set."""

    title: Text
    """A short name for people."""

    rules: tuple[Rule, ...]
    """All rules that are not disabled, in the order of their first definition."""

    def __iter__(self) -> Iterator[Rule]:  # type: ignore[override]  # rules, not pydantic's field pairs
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def rule(self, rule_id: str) -> Rule:
        """The rule with this id.

        Raises:
            KeyError: there is none.
        """
        for rule in self.rules:
            if rule.id == rule_id:
                return rule
        raise KeyError(rule_id)
