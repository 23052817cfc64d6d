from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from guard.guarding.decision import Placed
from guard.guarding.incoming import Unscannable
from guard.verdict import Coverage, Finding
from rules.schema import Action, Part
from server.audit.database import Database
from server.audit.feedback import FeedbackStore
from server.audit.query import Decisions, Filters, _page, as_json
from server.audit.retention import end_lost_streams, prune_some
from server.audit.row import encode
from server.audit.writer import Writer
from server.record import Caller, Record

NOW = time.time()


@pytest.fixture
def kept(database: Database, tmp_path: Any) -> Callable[..., None]:
    writer = Writer(database, tmp_path)

    def keep(*records: Record, content: Any = "none") -> None:
        writer.write([encode(record, content) for record in records], [], "w-1")

    return keep


def broken(rule: str, *, enforced: bool = True) -> dict[str, Any]:
    found = Finding(rule, Part.PROMPT, (0, 3), "patterns", 1.0, 1.0, excerpt="abc")
    return {"findings": (Placed(found, "messages[0]", enforced),), "rules": (rule,) if enforced else ()}


def found(database: Database, **filters: Any) -> list[str]:
    return [each.id for each in Decisions(database).find(Filters(**filters), 100)]


def test_a_decision_comes_back_as_it_was_made(
    database: Database, kept: Callable[..., None], record: Callable[..., Record]
) -> None:
    made = record(
        **broken("secret-out"),
        action=Action.BLOCK,
        would=Action.BLOCK,
        coverage=Coverage({"patterns": ("secret-out",)}, {"other": "no detector"}, {"meaning": "file is gone"}),
        unscannable=(Unscannable("messages[0].content[1]", "image_url"),),
        withheld=("messages[1]",),
        caller=Caller("k1", "strict"),
        streamed=True,
        first_s=0.25,
        seconds=1.5,
        upstream_s=1.25,
        status=200,
        fault="client_gone",
    )
    kept(made)
    one = Decisions(database).one(made.decision.id)
    assert one is not None
    assert (one.action, one.would, one.mode, one.state, one.status) == ("block", "block", "enforce", "complete", 200)
    assert (one.key, one.constitution, one.digest, one.api, one.model) == (
        "k1",
        "strict",
        "0123456789abcdef",
        "chat_completions",
        "m",
    )
    assert (one.streamed, one.degraded, one.fault) == (True, True, "client_gone")
    assert (one.seconds, one.first_s, one.upstream_s) == (1.5, 0.25, 1.25)
    assert one.rules == ["secret-out"]
    assert one.coverage["not_scanned"] == {"other": "no detector"}
    assert one.unscannable == [{"where": "messages[0].content[1]", "what": "image_url"}]
    assert one.withheld == ["messages[1]"]
    assert one.ms == {"gate.prompt": 0.25}
    assert one.content is None
    (finding,) = one.findings
    assert finding["span"] == [0, 3]
    assert "excerpt" not in finding
    assert as_json(one)["time"].endswith("+00:00")
    assert Decisions(database).one("d_none") is None


def test_each_filter_finds_what_is_so_and_nothing_else(
    database: Database, kept: Callable[..., None], record: Callable[..., Record]
) -> None:
    made = {
        "plain": record(at=NOW - 100),
        "old": record(at=NOW - 1000),
        "blocked": record(at=NOW - 90, action=Action.BLOCK, would=Action.BLOCK, **broken("rule-one")),
        "shadow": record(at=NOW - 80, would=Action.BLOCK, mode="shadow", **broken("rule-two", enforced=False)),
        "other": record(at=NOW - 70, caller=Caller("k2", "strict"), api="messages", constitution="ffff456789abcdef"),
        "degraded": record(at=NOW - 60, coverage=Coverage(degraded={"meaning": "gone"})),
    }
    kept(*made.values())
    names = {each.decision.id: name for name, each in made.items()}

    def named(**filters: Any) -> list[str]:
        return [names[each] for each in found(database, **filters)]

    assert named() == ["degraded", "other", "shadow", "blocked", "plain", "old"]
    assert named(since=NOW - 200, until=NOW - 65) == ["other", "shadow", "blocked", "plain"]
    assert named(action="block") == ["blocked"]
    assert named(would="block") == ["shadow", "blocked"]
    assert named(rule="rule-one") == ["blocked"]
    assert named(rule="rule-two") == ["shadow"]
    assert named(rule="rule-one", action="allow") == []
    assert named(key="k2") == ["other"]
    assert named(api="messages") == ["other"]
    assert named(constitution="ffff45") == ["other"]
    assert named(constitution="strict") == ["other"]
    assert named(constitution="0123456789abcdef", action="block") == ["blocked"]
    assert named(constitution="eeee45") == []
    assert named(degraded=True) == ["degraded"]


@pytest.mark.parametrize("filters", [{}, {"rule": "rule-one"}, {"action": "block"}])
def test_pages_follow_each_other_without_gap_or_repetition(
    database: Database, kept: Callable[..., None], record: Callable[..., Record], filters: dict[str, str]
) -> None:
    made = [record(at=NOW - n // 3, action=Action.BLOCK, **broken("rule-one")) for n in range(25)]
    kept(*made)
    decisions, seen, after = Decisions(database), [], None
    while page := decisions.find(Filters(**filters), 4, after):
        seen += [each.id for each in page]
        after = page[-1].cursor
    assert seen == [each.decision.id for each in sorted(made, key=lambda m: (m.decision.at, m.decision.id))[::-1]]
    assert [each.id for each in decisions.all(Filters(**filters))] == seen[::-1]


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "decisions_at"),
        ({"since": NOW - 60}, "decisions_at"),
        ({"rule": "rule-7"}, "decision_rules_rule"),
        ({"rule": "rule-7", "since": NOW - 60}, "decision_rules_rule"),
        ({"action": "block"}, "decisions_action"),
        ({"would": "block"}, "decisions_would"),
        ({"key": "k7"}, "decisions_key"),
        ({"api": "messages"}, "decisions_api"),
        ({"degraded": True}, "decisions_degraded"),
        ({"constitution": "strict"}, "decisions_constitution"),
    ],
    # A time would be another in every process, and the runs of several would not agree on what to run.
    ids=lambda given: given if isinstance(given, str) else " and ".join(given) or "any",
)
@pytest.mark.parametrize("after", [None, (NOW, "d_x")], ids=["first page", "a later page"])
def test_each_filter_is_answered_by_an_index_that_has_the_order(
    database: Database,
    kept: Callable[..., None],
    record: Callable[..., Record],
    filters: dict[str, Any],
    index: str,
    after: Any,
) -> None:
    rare = {"action": Action.BLOCK, "would": Action.BLOCK, "api": "messages", "coverage": Coverage(degraded={"x": "y"})}
    kept(
        *(
            record(
                at=NOW - n,
                caller=Caller(f"k{n}", f"c{n}"),
                **broken(f"rule-{n}"),
                **(rare if n % 100 == 7 else {}),
            )
            for n in range(400)
        )
    )
    with database.begin() as connection:
        connection.execute(text("analyze"))
    asked = _page(Filters(**filters), None, 50, after, False)
    compiled = str(asked.compile(database.engine, compile_kwargs={"literal_binds": True}))
    with database.read() as connection:
        if not database.is_sqlite:
            connection.execute(text("set local enable_seqscan = off"))
            connection.execute(text("set local enable_bitmapscan = off"))
            connection.execute(text("set local enable_sort = off"))
        explain = "explain query plan " if database.is_sqlite else "explain "
        plan = "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain + compiled.replace("%", "%%")))
    assert index in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    assert "Sort" not in plan, plan


def test_what_is_old_is_deleted_with_its_rules_and_feedback(
    database: Database, kept: Callable[..., None], record: Callable[..., Record]
) -> None:
    old = [record(at=NOW - 1000 - n, **broken("rule-one")) for n in range(7)]
    new = record(at=NOW, **broken("rule-one"))
    kept(*old, new)
    feedback = FeedbackStore(database)
    feedback.add(old[0].decision.id, "correct")
    feedback.add(new.decision.id, "correct")
    assert [prune_some(database, NOW - 500, 5), prune_some(database, NOW - 500, 5)] == [5, 2]
    assert found(database) == found(database, rule="rule-one") == [new.decision.id]
    assert [each.decision for each in feedback.all()] == [new.decision.id]
    with database.read() as connection:
        assert connection.execute(text("select count(*) from decision_rules")).scalar() == 1


def test_a_stream_that_no_one_ended_in_a_day_is_cut(
    database: Database, kept: Callable[..., None], record: Callable[..., Record]
) -> None:
    lost, running = record(at=NOW - 90_000, complete=False), record(complete=False)
    kept(lost, running)
    end_lost_streams(database)
    states = {each.id: each.state for each in Decisions(database).find(Filters(), 10)}
    assert states == {lost.decision.id: "cut", running.decision.id: "open"}


def test_a_record_that_changed_its_rules_is_not_found_by_the_old_ones(
    database: Database, kept: Callable[..., None], record: Callable[..., Record]
) -> None:
    first = record(**broken("rule-one"))
    later = record(id=first.decision.id, **broken("rule-two"))
    kept(first)
    kept(later, replace(later))
    assert found(database, rule="rule-one") == []
    assert found(database, rule="rule-two") == [first.decision.id]
