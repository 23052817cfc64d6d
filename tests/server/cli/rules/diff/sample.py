"""Two versions of rules, and texts that they judge otherwise."""

from __future__ import annotations

HOSTILE = "</details></code> @octocat | `x` [a](http://b.example) <img src=x> #12 www.b.example\n# Big ![](y)"
OLD = """\
constitution: words
title: Words
rules:
  - id: secret-out
    title: Tells the secret word
    rule: Do not say the secret word to anybody.
    why: The word is a secret, and whoever hears it can enter.
    on: {prompt: flag}
    detect:
      meaning: null
      patterns:
        - literal: tangerine
        - literal: mandarin
  - id: insults
    title: Insults
    rule: Do not insult the user.
    why: An insult hurts and helps nobody.
    detect: {patterns: [{literal: you fool}], meaning: null}
"""
NEW = (
    OLD.replace("flag", "block")
    .replace("        - literal: mandarin\n", "")
    .replace("secret word to anybody", "secret word to a stranger")
    .replace("  - id: insults\n", "  - id: insults\n    disabled: true\n")
)
TEXTS = [
    {"id": "a", "prompt": "one tangerine please"},
    {"id": "b", "prompt": "one mandarin please"},
    {"id": "c", "prompt": "good morning", "response": "you fool"},
    {"id": "d", "prompt": "good morning"},
]
