"""Records of requests that were handled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.decision import Decision, Placed, decision_id
from guard.guarding.incoming import Incoming
from guard.verdict import Coverage, Finding
from guard.window.outcomes import Channel
from rules.schema import Action, Part
from server.record import Caller, Record

PLANTED = "the planted words of a client"


@pytest.fixture
def record() -> Callable[..., Record]:
    """Makes a record: `record(rules=["a"], action="block", seconds=0.2)`."""

    def make(
        *, rules: tuple[str, ...] = (), action: str = "allow", mode: Any = "enforce", complete: bool = True, **more: Any
    ) -> Record:
        found = tuple(
            Placed(Finding(rule, Part.PROMPT, (0, 3), "patterns", 1.0, 1.0, excerpt=PLANTED), "messages[0]")
            for rule in rules
        )
        decision = Decision(
            decision_id(), 1000.0, Action(action), Action(action), found,
            Coverage(degraded=more.pop("degraded", {})), "0123456789abcdef", mode,
            {"gate.prompt": 2.0, "gate.answer": 3.0, "upstream": 50.0}, rules=rules, complete=complete,
        )  # fmt: skip
        usual: dict[str, Any] = {
            "caller": Caller("0a0a0a0a"),
            "api": "chat_completions",
            "model": PLANTED,
            "seconds": 0.06,
            "upstream_s": 0.05,
            "prompt": Incoming((Message("user", PLANTED),)),
            "answers": ({Channel(): PLANTED},),
        }
        return Record(decision, **{**usual, **more})

    return make
