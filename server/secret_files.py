"""Secrets that are mounted as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rules.base import refusal


def with_secret(given: Any, name: str, into: str) -> Any:
    """The values with the content of the file under `name` as `into`.

    Raises:
        PydanticCustomError: it cannot be read, or is empty.
    """
    if not isinstance(given, Mapping) or not given.get(name) or given.get(into):
        return given
    path = Path(str(given[name]))
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise refusal([((name,), f"`{path}` cannot be read: {why}", "name a file that this user may read")]) from None
    if not secret:
        raise refusal([((name,), f"`{path}` is empty", "write the secret into it")])
    return {**given, into: secret}
