"""JSON as commands print it for a person."""

from __future__ import annotations

import json
import re
from typing import Any

_OBEYED = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal would obey and JSON leaves as it is, and halves of characters, which no terminal can be sent."""


def as_text(value: Any) -> str:
    """Indented, letters of all scripts as they are."""
    return spelled_out(json.dumps(value, indent=2, ensure_ascii=False))


def spelled_out(text: str) -> str:
    """JSON text with what a terminal would obey, or could not be sent, as escapes; it says the same."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
