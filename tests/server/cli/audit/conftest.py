from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.decision import Decision, Placed, decision_id
from guard.guarding.incoming import Incoming
from guard.verdict import Coverage, Finding
from guard.window.outcomes import Channel
from rules.schema import Action, Part
from server.audit.database import database_url
from server.audit.open import open_audit
from server.audit.settings import AuditSettings
from server.record import Caller, Record


class Kept:
    """A server's folder with decisions in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, *, content: Any = "full", left_behind: bool = False, **given: Any) -> str:
        """Keep a decision as a server would; its id.

        Args:
            left_behind: leave it in the journal, as a worker does whose database is away.
        """
        decision = {
            "id": decision_id(),
            "at": time.time(),
            "action": Action.ALLOW,
            "would": Action.ALLOW,
            "findings": (),
            "coverage": Coverage({"patterns": ("secret-out", "tool-misuse"), "meaning": ()}),
            "constitution": "0123456789abcdef",
            "mode": "enforce",
            "ms": {"gate.prompt": 0.25},
        }
        around: dict[str, Any] = {
            "caller": Caller("k1"),
            "api": "chat_completions",
            "model": "m",
            "seconds": 0.125,
            "prompt": Incoming((Message("user", "the word is tangerine"),)),
            "answers": ({Channel(): "thank you"},),
        }
        for name, value in given.items():
            (decision if name in Decision.__slots__ else around)[name] = value
        made: Any = Decision(**decision)
        url = f"postgresql://u@/x?host={self.folder}" if left_behind else database_url("", self.folder)

        async def keep() -> None:
            audit = open_audit(AuditSettings(content=content), url=url, folder=self.folder, worker="w")
            await audit.keep(Record(made, **around))
            await audit.close(deadline_s=0.1 if left_behind else 10)

        asyncio.run(keep())
        return str(made.id)

    def add_blocked(self, **given: Any) -> str:
        """Keep a decision with a finding in its prompt."""
        found = Finding("secret-out", Part.PROMPT, (12, 21), "patterns", 1.0, 1.0, excerpt="tangerine")
        usual: dict[str, Any] = {
            "action": Action.BLOCK,
            "would": Action.BLOCK,
            "findings": (Placed(found, "messages[0]"),),
            "rules": ("secret-out",),
            "answers": ({Channel(): "I would rather not."},),
        }
        return self.add(**{**usual, **given})


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.chdir(tmp_path)
    return Kept(tmp_path / "wardlaw-data")
