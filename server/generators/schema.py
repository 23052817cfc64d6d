"""rules/rule_file.schema.json: the JSON Schema of a rule file."""

from __future__ import annotations

import json
from pathlib import Path

from rules.json_schema import rule_file_schema

TARGET = "rules/rule_file.schema.json"


def render(_root: Path) -> str:
    """The schema, as an editor loads it."""
    return json.dumps(rule_file_schema(), indent=2, ensure_ascii=False) + "\n"
