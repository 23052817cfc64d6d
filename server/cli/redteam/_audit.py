"""Finds of what the audit kept: of one decision, or of everything that people said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from guard.exchange import Message
from guard.ledger.find import Find, Kind, Lineage, make_find
from rules.actions import Severity
from rules.errors import WardlawError

if TYPE_CHECKING:
    from server.audit.feedback import Feedback
    from server.audit.query import Decisions, Found

_KINDS: dict[str, Kind] = {"missed": "break", "wrong_block": "false-alarm"}


def find_of_decision(
    found: Found,
    kind: Kind | None,
    part: Any,
    rule: str | None,
    severity: Callable[..., Severity],
    given: dict[str, Any],
) -> Find:
    """The find that a decision is.

    Args:
        found: the decision.
        kind: of the find; None takes a decision that let pass for a break, any other for a false alarm.
        part: which text is meant; None takes where something was found, else the answer.
        rule: that it is about.
        severity: rules -> how bad.
        given: fields that a person gave.

    Raises:
        WardlawError: its texts were not kept.
    """
    from server.audit.feedback import Feedback
    from server.cli.rules._figures import KEEP_CONTENT

    kind = kind or ("break" if found.action in ("allow", "flag") else "false-alarm")
    label: Any = "missed" if kind == "break" else "wrong_block"
    said = Feedback("", datetime.now(UTC).timestamp(), found.id, "", label, part, rule)
    made = _find(said, found, severity, given)
    if isinstance(made, str):
        raise WardlawError(f"`{found.id}` cannot become a find: {made}", KEEP_CONTENT)
    return made


def finds_of_feedback(
    said: Iterator[Feedback],
    decisions: Decisions,
    unfit: Counter[str],
    severity: Callable[..., Severity],
    by: str | None,
) -> Iterator[Find]:
    """The finds that feedback names: what was missed, and what was wrongly blocked. The last word on a text counts.

    Args:
        said: the feedback, oldest first.
        decisions: where the texts are.
        unfit: where it is counted what cannot become a find, and why.
        severity: rules -> how bad.
        by: who found it; None takes the reviewer, else the key.
    """
    last = {(each.decision, each.part): each for each in said}
    for each in last.values():
        if each.label not in _KINDS:
            unfit["it says that the decision was right" if each.label == "correct" else "another rule is meant"] += 1
            continue
        found = decisions.one(each.decision)
        who = by or each.reviewer or (f"key {each.key}" if each.key else "feedback")
        given = {"by": who, "why": each.comment or ""}
        made = "the decision is not there any more" if found is None else _find(each, found, severity, given)
        if isinstance(made, str):
            unfit[made] += 1
        else:
            yield made


def _find(said: Feedback, found: Found, severity: Callable[..., Severity], given: dict[str, Any]) -> Find | str:
    from server.audit.feedback import label_row

    row = label_row(said, found)
    kind = _KINDS[said.label]
    if isinstance(row, str) and kind == "false-alarm" and said.part != "prompt":
        # An answer that was withheld is kept nowhere. What was asked is, and asking it anew shows whether it still is.
        row = label_row(replace(said, part="prompt"), found)
        given = {"how": "ask", "steps": "the answer was withheld and is not kept: ask the guarded model anew", **given}
    if isinstance(row, str):
        return row
    prompt = row["prompt"]
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    named = (said.rule,) if said.rule else tuple(found.rules) if kind == "false-alarm" else ()
    fields = {
        "found": datetime.fromtimestamp(said.at, UTC),
        "source": "audit",
        "model": found.model or None,
        "rules": named,
        "severity": severity(named),
        **given,
    }
    lineage = Lineage(decision=found.id, feedback=said.label if said.id else None, constitution=found.digest)
    turns = [Message(turn["role"], turn["content"]) for turn in messages]
    return make_find(kind, turns, row.get("response"), lineage=lineage, **fields)
