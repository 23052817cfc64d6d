"""Definitions of tools and of answers' shapes: a model reads the names in them as well as the texts."""

from __future__ import annotations

_WORDS = frozenset(
    "type function custom name description parameters strict properties required items enum anyOf oneOf allOf not "
    "additionalProperties default const title format minimum maximum minItems maxItems minLength maxLength pattern "
    "$ref $defs definitions $schema schema json_schema examples allowed_tools mode tools grammar syntax definition "
    "uniqueItems exclusiveMinimum exclusiveMaximum multipleOf prefixItems nullable".split()
)


def defines(name: str) -> bool:
    """Whether the name of a member is its author's own, and not a word of definitions and schemas."""
    return name not in _WORDS
