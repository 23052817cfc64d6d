from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.decision import Placed
from guard.guarding.incoming import Incoming
from guard.training.rows import read_rows
from guard.verdict import Finding
from guard.window.outcomes import Channel
from rules.schema import Action, Part
from server.audit.database import Database
from server.audit.export import write_lines
from server.audit.feedback import MOST, FeedbackStore, Labels, TooMuch
from server.audit.query import Decisions
from server.audit.row import encode
from server.audit.writer import Writer
from server.record import Record


@pytest.fixture
def say(database: Database, tmp_path: Path) -> Callable[..., None]:
    """Keeps a record and says something of it."""

    def said(record: Record, label: Any, content: Any = "full", **more: Any) -> None:
        Writer(database, tmp_path).write([encode(record, content)], [], "w")
        FeedbackStore(database).add(record.decision.id, label, **more)

    return said


def found(where: str, part: Part) -> dict[str, Any]:
    return {
        "findings": (Placed(Finding("r-one", part, (0, 2), "patterns", 1, 1, excerpt="so"), where),),
        "rules": ("r-one",),
    }


def labels(database: Database) -> tuple[list[dict[str, Any]], dict[str, int]]:
    made = Labels(Decisions(database))
    rows = [
        {name: value for name, value in row.items() if name != "decision"}
        for row in made.rows(FeedbackStore(database).all())
    ]
    return rows, dict(made.unfit)


def test_what_was_said_comes_back_in_order(database: Database) -> None:
    store = FeedbackStore(database)
    store.add("d_1", "missed", key="k1", part="response", rule="r-one", comment="it\0 says how", reviewer="ann")
    store.add("d_1", "correct")
    store.add("d_2", "correct")
    first, second = store.of("d_1")
    assert (first.label, first.key, first.part, first.rule, first.reviewer) == (
        "missed",
        "k1",
        "response",
        "r-one",
        "ann",
    )
    assert first.comment == "it\ufffd says how"
    assert second.label == "correct"
    assert [each.decision for each in store.all()] == ["d_1", "d_1", "d_2"]
    assert [each.id for each in store.all(since=second.at, until=second.at)] == []


def test_no_one_can_fill_the_database_with_words_on_one_decision(database: Database) -> None:
    store = FeedbackStore(database)
    for _ in range(MOST):
        store.add("d_1", "correct")
    with pytest.raises(TooMuch):
        store.add("d_1", "correct")
    store.add("d_2", "correct")


def test_a_harmless_prompt_that_was_blocked_becomes_a_safe_row(
    database: Database, say: Callable[..., None], record: Callable[..., Record]
) -> None:
    prompt = Incoming((Message("user", "so harmless"),))
    say(record(action=Action.BLOCK, prompt=prompt, **found("messages[0]", Part.PROMPT)), "wrong_block")
    assert labels(database) == ([{"prompt": "so harmless", "label": "safe"}], {})


def test_a_harmful_answer_that_was_missed_becomes_a_harmful_row(
    database: Database, say: Callable[..., None], record: Callable[..., Record]
) -> None:
    turns = (Message("system", "be kind"), Message("user", "how?"))
    say(
        record(prompt=Incoming(turns), answers=({Channel("reasoning"): "hm", Channel(): "like so"},)),
        "missed",
        rule="r-two",
    )
    expected = {
        "prompt": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "how?"}],
        "response": "like so",
        "label": "harmful",
        "rules": "r-two",
    }
    assert labels(database) == ([expected], {})


def test_a_finding_that_was_right_becomes_a_row_of_its_rule(
    database: Database, say: Callable[..., None], record: Callable[..., Record]
) -> None:
    prompt = Incoming((Message("user", "so bad"),))
    say(record(action=Action.BLOCK, prompt=prompt, **found("messages[0]", Part.PROMPT)), "correct")
    say(record(prompt=Incoming((Message("user", "fine"),)), answers=({Channel(): "good"},)), "correct")
    assert labels(database)[0] == [
        {"prompt": "so bad", "label": "harmful", "rules": "r-one"},
        {"prompt": "fine", "response": "good", "label": "safe"},
    ]


def test_the_last_word_on_a_text_counts(
    database: Database, say: Callable[..., None], record: Callable[..., Record]
) -> None:
    made = record(action=Action.FLAG, prompt=Incoming((Message("user", "so"),)), **found("messages[0]", Part.PROMPT))
    say(made, "correct")
    FeedbackStore(database).add(made.decision.id, "wrong_block")
    assert labels(database)[0] == [{"prompt": "so", "label": "safe"}]


def test_what_cannot_become_a_row_is_counted_with_the_reason(
    database: Database, say: Callable[..., None], record: Callable[..., Record], told: Callable[..., Record]
) -> None:
    say(told(), "wrong_block", content="none")
    say(told(), "wrong_block", content="hash")
    say(told(), "wrong_block", content="redacted")
    asked = Incoming((Message("user", "hello"),))
    say(
        record(
            action=Action.BLOCK,
            prompt=asked,
            answers=({Channel(): "no."},),
            **found("choices[0].text", Part.RESPONSE),
        ),
        "wrong_block",
    )
    FeedbackStore(database).add("d_gone", "correct")
    rows, unfit = labels(database)
    assert rows == []
    assert unfit == {
        "its texts were not kept": 1,
        "only hashes of its texts were kept": 1,
        "what was found in its texts is masked": 1,
        "the answer that was judged was not sent, so it was not kept": 1,
        "the decision is not there any more": 1,
    }


def test_the_rows_can_be_taught(
    database: Database, say: Callable[..., None], record: Callable[..., Record], tmp_path: Path
) -> None:
    prompt = Incoming((Message("system", "be kind"), Message("user", "so bad")))
    say(record(action=Action.BLOCK, prompt=prompt, **found("messages[1]", Part.PROMPT)), "correct")
    say(record(prompt=Incoming((Message("user", "fine"),)), answers=({Channel(): "good"},)), "correct")
    file = tmp_path / "labels.jsonl"
    made = Labels(Decisions(database))
    assert write_lines(file, made.rows(FeedbackStore(database).all())) == 2
    bad, good = read_rows(file, ["r-one"])
    assert (bad.text, bad.harmful, bad.rules, bad.prompt) == ("so bad", True, ("r-one",), None)
    assert (good.text, good.harmful, good.prompt) == ("good", False, "fine")
