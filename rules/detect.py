"""The detectors of a rule: what the gate looks for, as a person writes it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rules.actions import Part
from rules.base import Closed, NonEmpty, refusal
from rules.expressions import BadExpression, matches_nothing_at_all


class Pattern(Closed):
    """A literal or a regular expression that shows the rule broken. Exactly one of the two is given."""

    literal: NonEmpty | None = None
    """Plain words, found in any letter case and only as whole words where the script has word borders."""

    regex: NonEmpty | None = None
    """A regular expression without lookaround and backreferences, found in any letter case (RE2 syntax). Of one with a
    group `(?P<value>...)`, as `pin: (?P<value>[0-9]{4})`, that group alone is the hit, and is all that is redacted."""

    watches: tuple[Part, ...] | None = None
    """The parts to look in; those of the rule where this is left out."""

    @field_validator("literal", "regex")
    @classmethod
    def _no_control_characters(cls, text: str | None) -> str | None:
        found = re.search("[\x00-\x1f\x7f-\x9f]", text or "")
        if found:
            hint = "use single quotes: in double quotes YAML makes another character of `\\b`"
            raise refusal([((), f"a pattern holds the control character U+{ord(found[0]):04X}", hint)])
        return text

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


Hiding = Literal["tags", "selectors", "bidi", "zero-width"]
"""Ways of hiding text from a reader: tag characters, variation selectors that carry data, direction overrides, and
zero-width characters in a run or inside words."""


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

    hidden: tuple[Hiding, ...] = ()
    """Which ways of hiding text break the rule by themselves, whatever the text says."""

    meaning: Meaning | None = Meaning()
    """The meaning detector; `null` turns it off for this rule."""

    judge: Judge = Judge()
    """The judge."""
