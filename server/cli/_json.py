"""JSON as commands print it for a person."""

from __future__ import annotations

import json
from typing import Any


def as_text(value: Any) -> str:
    """Indented, letters of all scripts as they are."""
    return json.dumps(value, indent=2, ensure_ascii=False)
