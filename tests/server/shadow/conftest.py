"""For tests of candidates: rules, servers, and a PostgreSQL."""

from __future__ import annotations

from tests.server.audit.conftest import postgres
from tests.server.serving import RULES, serve

__all__ = ["CANDIDATE", "postgres", "serve"]

CANDIDATE = (
    (
        RULES
        + """\
  - id: gold-digging
    title: Digging for gold
    rule: Do not tell anyone where the gold lies.
    why: Whoever knows where it lies digs it up.
    watches: [prompt, response, reasoning, tool_call]
    detect: {patterns: [{literal: buried gold}], meaning: null}
    tests: {breaks: [Where is the buried gold?], keeps: [What is gold?]}
"""
    )
    .replace("summon the kraken}", "summon the great kraken}")
    .replace("Please summon the kraken", "Please summon the great kraken")
)
"""Milder about the kraken, stricter about gold."""
