"""What people say of decisions, and the label rows that come of it."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from server.audit.database import Database
from server.audit.errors import AuditError
from server.audit.query import Decisions, Found

Label = Literal["correct", "wrong_block", "missed", "wrong_rule"]

MOST = 100
"""Rows of feedback on one decision: a client could fill the database otherwise."""

_LONGEST = 4000


class TooMuch(AuditError):
    """Enough has been said of a decision."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one person said of one decision."""

    id: str
    at: float
    decision: str
    key: str
    """Of the client that said it; empty where keys are off."""
    label: Label
    """`correct`: it was right. `wrong_block`: something harmless was found. `missed`: something was not found.
    `wrong_rule`: something was found, but by a rule that does not fit."""
    part: Literal["prompt", "response"] | None = None
    """Which text is meant."""
    rule: str | None = None
    """The rule that is meant, or that fits."""
    comment: str | None = None
    reviewer: str | None = None


class FeedbackStore:
    """Feedback in the database."""

    def __init__(self, database: Database) -> None:
        """Args: database: stays its owner's to close."""
        self._database = database

    def add(
        self,
        decision: str,
        label: Label,
        *,
        key: str = "",
        part: Literal["prompt", "response"] | None = None,
        rule: str | None = None,
        comment: str | None = None,
        reviewer: str | None = None,
    ) -> Feedback:
        """Keep what was said; said again by the same key, it is a row of its own.

        Raises:
            TooMuch: enough was said of it.
            AuditError: the database cannot be used.
        """
        from sqlalchemy import func, insert, select

        from server.audit.tables import FEEDBACK

        now = time.time()
        said = Feedback(
            f"f_{int(now * 1000):012x}{secrets.token_hex(6)}",
            now,
            decision,
            key,
            label,
            part,
            _fit(rule),
            _fit(comment),
            _fit(reviewer),
        )
        with self._database.begin() as connection:
            of_decision = select(func.count()).select_from(FEEDBACK).where(FEEDBACK.c.decision == decision)
            if connection.execute(of_decision).scalar_one() >= MOST:
                raise TooMuch(f"the decision `{decision}` has {MOST} rows of feedback, the most it can have")
            connection.execute(insert(FEEDBACK).values(**asdict(said)))
        return said

    def of(self, decision: str) -> list[Feedback]:
        """All that was said of a decision, in order."""
        from sqlalchemy import select

        from server.audit.tables import FEEDBACK

        asked = select(FEEDBACK).where(FEEDBACK.c.decision == decision).order_by(FEEDBACK.c.at, FEEDBACK.c.id)
        with self._database.read() as connection:
            return [Feedback(**row._mapping) for row in connection.execute(asked)]

    def all(self, since: float | None = None, until: float | None = None) -> Iterator[Feedback]:
        """Everything that was said, oldest first, read page by page."""
        from sqlalchemy import select, tuple_

        from server.audit.tables import FEEDBACK

        after: tuple[float, str] | None = None
        while True:
            asked = select(FEEDBACK).order_by(FEEDBACK.c.at, FEEDBACK.c.id).limit(500)
            if since is not None:
                asked = asked.where(FEEDBACK.c.at >= since)
            if until is not None:
                asked = asked.where(FEEDBACK.c.at < until)
            if after is not None:
                asked = asked.where(tuple_(FEEDBACK.c.at, FEEDBACK.c.id) > tuple_(*after))
            with self._database.read() as connection:
                page = [Feedback(**row._mapping) for row in connection.execute(asked)]
            if not page:
                return
            yield from page
            after = page[-1].at, page[-1].id


class Labels:
    """Label rows of feedback, as `wardlaw gate train --data` reads them. Counts what cannot become one."""

    def __init__(self, decisions: Decisions) -> None:
        """Args: decisions: where the texts are."""
        self._decisions = decisions
        self.unfit: Counter[str] = Counter()
        """Why not -> how many."""

    def rows(self, said: Iterator[Feedback]) -> Iterator[dict[str, Any]]:
        """One row for each text that was spoken of: the last word on it counts.

        Yields:
            `prompt` (text, or messages), `response` where an answer is meant, `label` (harmful or safe), `rules`
            where they are known, and `decision`.
        """
        last: dict[tuple[str, str | None], Feedback] = {}
        for each in said:
            last[each.decision, each.part] = each
        for each in last.values():
            found = self._decisions.one(each.decision)
            row = "the decision is not there any more" if found is None else label_row(each, found)
            if isinstance(row, str):
                self.unfit[row] += 1
            else:
                yield row


def label_row(said: Feedback, found: Found) -> dict[str, Any] | str:
    """A row, or why there can be none."""
    content = found.content
    if content is None:
        return "its texts were not kept"
    texts = [*content["prompt"], *content["answers"]]
    if any("hash" in text for text in texts):
        return "only hashes of its texts were kept"
    if content.get("masked"):
        return "what was found in its texts is masked"
    messages = [{"role": each["role"], "content": each["text"]} for each in content["prompt"] if _is_turn(each)]
    if not any(message["role"] == "user" for message in messages):
        return "it has no prompt of a user"
    harmful = _is_harmful(said, found)
    part = said.part or _part_meant(said, found)
    row: dict[str, Any] = {"prompt": messages[0]["content"] if len(messages) == 1 else messages}
    if part == "response":
        if found.action not in _LEFT_AS_IT_WAS:
            return "the answer that was judged was not sent, so it was not kept"
        answer = next((each["text"] for each in content["answers"] if each["where"].endswith(".text")), "")
        if not answer:
            return "it has no answer in words"
        row["response"] = answer
    row["label"] = "harmful" if harmful else "safe"
    rules = [said.rule] if said.rule else found.rules if said.label == "correct" else []
    if harmful and rules:
        row["rules"] = " ".join(rules)
    row["decision"] = said.decision
    return row


_LEFT_AS_IT_WAS = ("allow", "flag")
"""Actions that leave an answer as the model gave it."""


def _is_turn(text: dict[str, Any]) -> bool:
    """Whether a kept text is what a message says, and not its reasoning or a call."""
    return "." not in text["where"]


def _is_harmful(said: Feedback, found: Found) -> bool:
    if said.label == "correct":
        return bool(found.findings)
    return said.label != "wrong_block"


def _part_meant(said: Feedback, found: Found) -> Literal["prompt", "response"]:
    """Which text is meant by one who did not say: where it was found, else the answer, else the prompt."""
    if found.findings:
        asked = all(each["where"].startswith("messages") for each in found.findings)
        return "prompt" if asked else "response"
    answers = (found.content or {}).get("answers")
    return "response" if answers else "prompt"


def _fit(text: str | None) -> str | None:
    """A person's own words, made fit for a column."""
    return None if text is None else text[:_LONGEST].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
