"""What a rule is: frozen, closed pydantic models, with a docstring under each field.

Nothing here reads a file. `rules.load` turns YAML into these; `rules.digest` hashes them. What a rule is made of has
files of its own, and is offered from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from rules.actions import REWRITABLE, REWRITES, Action, Part, Severity
from rules.base import Closed, Fault, NonEmpty, RuleId, refusal
from rules.contract import Contract
from rules.detect import Detect, Hiding, Judge, Meaning, Pattern
from rules.examples import Critique, Demonstration, Example, ExampleSet, Turn
from rules.text import Language, Text

__all__ = [
    "REWRITABLE",
    "REWRITES",
    "Action",
    "Closed",
    "Constitution",
    "Contract",
    "Critique",
    "Defaults",
    "Demonstration",
    "Detect",
    "Example",
    "ExampleSet",
    "Fault",
    "Hiding",
    "Judge",
    "Language",
    "Meaning",
    "NonEmpty",
    "Part",
    "Pattern",
    "Rule",
    "RuleId",
    "Severity",
    "Text",
    "Turn",
    "refusal",
]


class Defaults(Closed):
    """What holds for every rule of a file that does not say otherwise."""

    mode: Literal["enforce", "shadow"] = "enforce"
    """`shadow`: record findings and do not act."""

    on_error: Literal["block", "allow"] = "block"
    """What a detector that cannot answer leads to."""

    contract: Contract | None = None
    """What each rule is held to."""


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

    hazards: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+:[A-Za-z0-9_./-]+$")], ...] = ()
    """Codes in hazard systems, each `system:code`, as `llama-guard-3:S9`."""

    severity: Severity = Severity.MEDIUM
    """How bad one break is."""

    watches: Annotated[tuple[Part, ...], Field(min_length=1)] = (Part.PROMPT, Part.RESPONSE)
    """The parts of an exchange this rule looks at."""

    allowed: tuple[Text, ...] = ()
    """Harmless neighbours, in words: they teach the judge and make near misses."""

    detect: Detect | None = None
    """How the gate sees a break. Left out: by the examples under `breaks`, if there are any. `null`: the gate does not
    look, only the loop uses the rule."""

    on: Mapping[Part, Action] = {}
    """The action for a finding, a part; a part left out is blocked."""

    critique: Text | None = None
    """The instruction to the critic."""

    revision: Text | None = None
    """The instruction to the reviser."""

    reply: Text | None = None
    """What the user reads when the guard answers for itself: never a bare refusal."""

    choice: Text | None = None
    """The question by which the better of two answers is chosen, for AI feedback: as `Which answer ...?`."""

    probe: Text | None = None
    """The instruction to someone, or a model, who tries to make the assistant break the rule."""

    demonstrations: tuple[Demonstration, ...] = ()
    """Critique and revision pairs written by a person: the few shots of the loop."""

    examples: ExampleSet = ExampleSet()
    """They teach: prototypes, heads, few shots."""

    tests: ExampleSet = ExampleSet()
    """They only ever check, and never teach."""

    contract: Contract | None = None
    """What the rule is held to by `wardlaw rules test`, and before it is promoted."""

    mode: Literal["enforce", "shadow"] = "enforce"
    """`shadow`: record findings and do not act."""

    on_error: Literal["block", "allow"] = "block"
    """What a detector that cannot answer leads to."""

    @model_validator(mode="before")
    @classmethod
    def _examples_are_looked_for(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "detect" in value:
            return value
        examples = value.get("examples")
        breaks = examples.get("breaks") if isinstance(examples, Mapping) else getattr(examples, "breaks", None)
        return {**value, "detect": {}} if breaks else value

    @model_serializer(mode="wrap")
    def _keep_a_null(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        # without the defaults, a rule that the gate must not look for would come back as one that it looks for
        return content if self.detect is not None or not self.examples.breaks else {**content, "detect": None}

    @field_validator("why")
    @classmethod
    def _why_says_something(cls, why: Text) -> Text:
        faults: list[Fault] = []
        for language, text in why.root.items():
            least = 8 if re.search(r"[\u3040-\u9fff]", text) else 20
            if len(text) < least:
                at = () if language == "und" else (language,)
                hint = f"say whom it hurts, and how, in {least} characters or more"
                faults.append((at, f"`why` is too short to explain anything: `{text}`", hint))
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
