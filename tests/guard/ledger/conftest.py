from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guard.exchange import Message
from guard.ledger.find import Find, make_find

WHEN = datetime(2026, 5, 1, 12, tzinfo=UTC)


def find(prompt: str = "say mandarin", response: str | None = None, **given: Any) -> Find:
    usual: dict[str, Any] = {"kind": "break", "found": WHEN, "by": "ann", "source": "person", "rules": ("secret-out",)}
    fields = {**usual, **given}
    return make_find(fields.pop("kind"), [Message("user", prompt)], response, **fields)


@pytest.fixture
def made() -> Any:
    """Makes a find."""
    return find


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "redteam.jsonl"
