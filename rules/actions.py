"""The parts of an exchange, what a guard does about a finding in one, and how bad a break is."""

from __future__ import annotations

from enum import StrEnum


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
