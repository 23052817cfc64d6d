"""Finds as what teaches: labelled rows for the gate, prompts for the loop."""

from __future__ import annotations

from typing import Any

from guard.ledger.state import Entry
from guard.training.rows import HARMFUL, SAFE


def label_row(entry: Entry) -> dict[str, Any] | None:
    """A row as `wardlaw gate train --data` reads it: a break is harmful, a false alarm is safe.

    None where what breaks a rule is an answer that was not kept: its prompt may be harmless in itself.
    """
    find = entry.find
    if find.kind == "break" and find.how == "ask" and find.response is None:
        return None
    row: dict[str, Any] = {"id": find.id, "prompt": _prompt(entry)}
    if find.response is not None:
        row["response"] = find.response
    row["label"] = HARMFUL if find.kind == "break" else SAFE
    row["category"] = entry.rules[0] if entry.rules else ""
    if find.kind == "break":
        row["rules"] = " ".join(entry.rules)
    return row


def prompt_row(entry: Entry) -> dict[str, Any]:
    """A prompt as `wardlaw generate` reads it: the answer is the loop's to write."""
    return {"id": entry.find.id, "prompt": _prompt(entry), "category": entry.rules[0] if entry.rules else ""}


def _prompt(entry: Entry) -> str | list[dict[str, str]]:
    messages = entry.find.messages
    if len(messages) == 1 and messages[0].role == "user":
        return messages[0].content
    return [{"role": turn.role, "content": turn.content} for turn in messages]
