"""What candidates said, in the database: beside its decision, found by flips, counted, and deleted with it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from guard.flips import Outcome
from rules.schema import Action
from server.audit.database import Database
from server.audit.query import Decisions, Filters, Found, _page, as_json
from server.audit.retention import prune_some
from server.audit.row import encode as encode_decision
from server.audit.shadow import Compared, Place, encode, merged
from server.audit.shadows import Shadows
from server.audit.writer import SET_ASIDE, Writer
from server.record import Record

NOW = time.time()
BASE, CANDIDATE = "a" * 16, "b" * 16
ALLOW, BLOCK = Outcome(Action.ALLOW), Outcome(Action.BLOCK, {"rule-one": 0.875})
FLAG = Outcome(Action.FLAG, {"rule-two": 0.5})


def compared(decision: str, old: Outcome = ALLOW, new: Outcome = ALLOW, **more: Any) -> Compared:
    places = (Place("messages[0]", "prompt", old, new),) if old != new else ()
    given = {"at": NOW, "constitution": "default", "base": BASE, "candidate": CANDIDATE, "enforced": "base", **more}
    return Compared(decision, old=old, new=new, places=places, **given)


@pytest.fixture
def writer(database: Database, tmp_path: Path) -> Writer:
    return Writer(database, tmp_path)


@pytest.fixture
def kept(writer: Writer, record: Callable[..., Record]) -> Callable[..., str]:
    """Keeps a decision with what a candidate said to it, and gives its id."""

    def keep(old: Outcome = ALLOW, new: Outcome = ALLOW, at: float = NOW, **more: Any) -> str:
        made = record(at=at)
        beside = compared(made.decision.id, old, new, at=at, **more)
        writer.write([encode_decision(made, "none"), encode(beside)], [], "w")
        return made.decision.id

    return keep


def one(database: Database, decision: str) -> Found:
    found = Decisions(database).one(decision)
    assert found is not None
    return found


def test_both_verdicts_stand_beside_the_decision_and_are_exported(
    database: Database, kept: Callable[..., str], tmp_path: Path
) -> None:
    from server.audit.export import export

    decision = kept(ALLOW, BLOCK, enforced="candidate")
    told = one(database, decision).shadow
    assert told == {
        "base": {"digest": BASE, "action": "allow", "rules": {}},
        "candidate": {"digest": CANDIDATE, "action": "block", "rules": {"rule-one": 0.875}},
        "enforced": "candidate",
        "flip": "stricter",
        "places": [
            {
                "where": "messages[0]",
                "part": "prompt",
                "base": {"action": "allow", "rules": {}},
                "candidate": {"action": "block", "rules": {"rule-one": 0.875}},
            }
        ],
        "degraded": False,
    }
    export(tmp_path / "all.jsonl", Decisions(database).all(Filters()))
    assert json.loads((tmp_path / "all.jsonl").read_text())["shadow"] == told
    export(tmp_path / "all.csv", Decisions(database).all(Filters()))
    assert '""flip"":""stricter""' in (tmp_path / "all.csv").read_text()


def test_a_decision_that_no_candidate_judged_says_nothing(
    database: Database, writer: Writer, record: Callable[..., Record]
) -> None:
    made = record()
    writer.write([encode_decision(made, "none")], [], "w")
    assert as_json(one(database, made.decision.id))["shadow"] is None


def test_flips_are_found_by_their_direction(database: Database, kept: Callable[..., str]) -> None:
    milder, stricter, other = (
        kept(BLOCK, ALLOW, NOW - 3),
        kept(ALLOW, FLAG, NOW - 2),
        kept(BLOCK, Outcome(Action.BLOCK, {"rule-two": 1.0}), NOW - 1),
    )
    kept(BLOCK, BLOCK)
    kept(ALLOW, BLOCK, degraded=True)

    def ids(**filters: Any) -> list[str]:
        return [each.id for each in Decisions(database).find(Filters(**filters), 10)]

    assert ids(flips="any") == [other, stricter, milder]
    assert (ids(flips="milder"), ids(flips="stricter"), ids(flips="other")) == ([milder], [stricter], [other])
    assert ids(flips="any", since=NOW - 2.5) == [other, stricter]
    assert [each.id for each in Decisions(database).all(Filters(flips="any"))] == [milder, stricter, other]


def test_a_text_that_flips_while_the_worst_of_all_stays_is_a_flip() -> None:
    both = Outcome(Action.BLOCK, {"rule-one": 1.0})
    made = Compared(
        "d", NOW, "default", BASE, CANDIDATE, "base", both, both, (Place("messages[0]", "prompt", both, ALLOW),)
    )
    assert made.flip == "other"


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"flips": "any"}, "shadows_flips"),
        ({"flips": "any", "since": NOW - 60}, "shadows_flips"),
        ({"flips": "milder"}, "shadows_flip"),
        ({}, "decisions_at"),
        ({"action": "block"}, "decisions_action"),
    ],
    # A time would be another in every process, and the runs of several would not agree on what to run.
    ids=lambda given: given if isinstance(given, str) else " and ".join(given) or "any",
)
def test_flips_are_answered_by_an_index_that_has_the_order(
    database: Database, writer: Writer, record: Callable[..., Record], filters: dict[str, Any], index: str
) -> None:
    lines = []
    for n in range(600):
        made = record(at=NOW - n, action=Action.BLOCK if n % 100 == 7 else Action.ALLOW)
        new = BLOCK if n % 50 == 3 else ALLOW
        old = BLOCK if n % 200 == 9 else ALLOW
        lines += [encode_decision(made, "none"), encode(compared(made.decision.id, old, new, at=NOW - n))]
    writer.write(lines, [], "w")
    with database.begin() as connection:
        connection.execute(text("analyze"))
    asked = _page(Filters(**filters), None, 50, (NOW, "d_x"), False)
    compiled = str(asked.compile(database.engine, compile_kwargs={"literal_binds": True}))
    with database.read() as connection:
        if not database.is_sqlite:
            for way in ("seqscan", "bitmapscan", "sort"):
                connection.execute(text(f"set local enable_{way} = off"))
        explain = "explain query plan " if database.is_sqlite else "explain "
        plan = "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain + compiled.replace("%", "%%")))
    assert index in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    assert "Sort" not in plan, plan


def test_what_a_candidate_said_is_counted_beside_the_same_rules_alone(
    database: Database, kept: Callable[..., str]
) -> None:
    worst = kept(ALLOW, BLOCK)
    kept(ALLOW, FLAG)
    kept(BLOCK, ALLOW, NOW - 100)
    kept(BLOCK, BLOCK)
    kept(ALLOW, BLOCK, degraded=True)
    kept(ALLOW, BLOCK, base="c" * 16)
    kept(ALLOW, BLOCK, candidate="c" * 16)
    shadows = Shadows(database)
    counted = shadows.count(BASE, CANDIDATE, worst=1)
    assert (counted.judged, counted.degraded) == (4, 1)
    assert counted.flips == {"stricter": 2, "milder": 1}
    assert counted.rules == {("rule-one", "stricter"): 1, ("rule-two", "stricter"): 1, ("rule-one", "milder"): 1}
    assert [each.decision for each in counted.worst] == [worst]
    assert shadows.count(BASE, CANDIDATE, NOW - 50).flips == {"stricter": 2}
    assert shadows.bases(CANDIDATE) == {BASE: 5, "c" * 16: 1}


def test_flips_are_read_page_by_page(database: Database, writer: Writer) -> None:
    lines = [encode(compared(f"d_{n:05}", ALLOW, BLOCK, at=NOW + n // 7)) for n in range(1203)]
    writer.write(lines, [], "w")
    found = [each.decision for each in Shadows(database).flips(BASE, CANDIDATE)]
    assert found == sorted(found)
    assert len(found) == 1203


def test_a_line_that_is_none_is_set_aside_and_the_rest_is_written(
    database: Database, writer: Writer, record: Callable[..., Record], tmp_path: Path
) -> None:
    made = record()
    good = encode(compared(made.decision.id, ALLOW, BLOCK))
    bad = [b'{"decision":"d_1"}', good.replace(b'"degraded":false', b'"degraded":"no"')]
    zero = encode(compared("d_\0"))  # PostgreSQL takes no U+0000 in text
    writer.write([*bad, encode_decision(made, "none"), zero, good], [], "w")
    told = one(database, made.decision.id).shadow
    assert told is not None
    assert told["flip"] == "stricter"
    assert writer.set_aside == (2 if database.is_sqlite else 3)
    assert (tmp_path / SET_ASIDE).read_bytes().startswith(bad[0])


def test_a_later_line_replaces_an_earlier_one(database: Database, writer: Writer) -> None:
    writer.write([encode(compared("d_1", ALLOW, BLOCK))], [], "w")
    writer.write([encode(compared("d_1", ALLOW, FLAG)), encode(compared("d_1", BLOCK, ALLOW))], [], "w")
    [only] = Shadows(database).flips(BASE, CANDIDATE)
    assert only.flip == "milder"


def test_what_is_old_goes_with_its_decision_and_so_does_what_has_none(
    database: Database, kept: Callable[..., str], writer: Writer, count: Callable[[str], int]
) -> None:
    for n in range(3):
        kept(ALLOW, BLOCK, NOW - 1000 - n)
    new = kept(ALLOW, BLOCK)
    writer.write([encode(compared("d_lost", at=NOW - 2000))], [], "w")
    assert prune_some(database, NOW - 500) == 3
    assert count("select count(*) from shadows") == 1
    assert one(database, new).shadow is not None


def test_a_database_of_the_version_before_is_brought_up_to_date(
    url: str, record: Callable[..., Record], tmp_path: Path
) -> None:
    from alembic import command
    from alembic.config import Config

    before = Database(url)
    made = record()
    Writer(before, tmp_path).write([encode_decision(made, "none")], [], "w")
    config = Config()
    config.set_main_option("script_location", "server:audit/migrations")
    with before.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    before.close()
    after = Database(url)
    assert one(after, made.decision.id).shadow is None
    Writer(after, tmp_path).write([encode(compared(made.decision.id, ALLOW, BLOCK))], [], "w")
    assert one(after, made.decision.id).shadow is not None
    after.close()


def test_of_several_texts_the_worst_action_and_each_rules_highest_score_count() -> None:
    outcome = merged([FLAG, Outcome(Action.BLOCK, {"rule-two": 0.75, "rule-one": 0.25}), ALLOW])
    assert outcome == Outcome(Action.BLOCK, {"rule-two": 0.75, "rule-one": 0.25})
    assert merged([]) == ALLOW
