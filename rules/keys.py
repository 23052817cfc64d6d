"""Every key that a person may write in a rule file, at any depth."""

from __future__ import annotations

from rules.contract import Contract
from rules.rule_file import RULE_KEYS, Extended, RuleFile
from rules.schema import (
    Critique,
    Defaults,
    Demonstration,
    Detect,
    Example,
    ExampleSet,
    Judge,
    Meaning,
    Part,
    Pattern,
    Turn,
)

_MODELS = (
    RuleFile,
    Extended,
    Detect,
    Pattern,
    Meaning,
    Judge,
    ExampleSet,
    Example,
    Turn,
    Demonstration,
    Critique,
    Defaults,
    Contract,
)
EXAMPLE_SHORT_FORMS = ("prompt", "response")
"""Keys that an example takes beyond its fields."""

KEYS = frozenset(
    {*RULE_KEYS, *EXAMPLE_SHORT_FORMS, *(part.value for part in Part)}
    | {name for model in _MODELS for name in model.model_fields}
)
