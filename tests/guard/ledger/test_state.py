"""What events come to, and what a report says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from guard.ledger.entering import enter
from guard.ledger.events import Amended, Entered, Replayed, Target
from guard.ledger.file import append, read_ledger
from guard.ledger.find import held_out
from guard.ledger.labels import label_row, prompt_row
from guard.ledger.state import fold
from guard.ledger.summary import quantile, summarise
from guard.training.rows import read_rows

START = datetime(2026, 5, 1, tzinfo=UTC)
GATE = Target(kind="gate", name="rules.yaml", constitution="0" * 16)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def replayed(at, *, settles=True, target=GATE, **named):
    return Replayed(at=at, by="ci", target=target, settles=settles, **named)


def test_a_find_is_fixed_by_a_replay_and_opened_by_the_next_that_breaks(made):
    one = made(found=day(0))
    events = [Entered(at=day(0), find=one), replayed(day(3), holds=(one.id,)), replayed(day(5), breaks=(one.id,))]
    entry = fold(events)[one.id]
    assert [(change.status, change.at) for change in entry.changes] == [("fixed", day(3)), ("open", day(5))]
    assert (entry.status, entry.recurrences, entry.fixed) == ("open", 1, day(3))


def test_a_replay_through_earlier_rules_settles_nothing(made):
    one = made(found=day(0))
    assert (
        fold([Entered(at=day(0), find=one), replayed(day(1), settles=False, holds=(one.id,))])[one.id].status == "open"
    )


def test_a_model_settles_what_is_asked_anew_and_a_gate_what_is_text(made):
    text, ask = made("text"), made("ask", how="ask")
    entered = [Entered(at=day(0), find=text), Entered(at=day(0), find=ask)]
    holds = (text.id, ask.id)
    gate = fold([*entered, replayed(day(1), holds=holds)])
    model = fold([*entered, replayed(day(1), holds=holds, target=GATE.model_copy(update={"kind": "model"}))])
    assert (gate[text.id].status, gate[ask.id].status) == ("fixed", "open")
    assert (model[text.id].status, model[ask.id].status) == ("open", "fixed")


def test_what_is_accepted_stays_so_whatever_a_replay_says(made):
    one = made()
    accepted = Amended(at=day(1), by="ann", id=one.id, status="accepted", note="a quotation")
    for outcome in ("holds", "breaks"):
        events = [Entered(at=day(0), find=one), accepted, replayed(day(2), **{outcome: (one.id,)})]
        assert fold(events)[one.id].status == "accepted"


def test_the_order_of_lines_does_not_matter(made):
    one = made(found=day(0))
    events = [
        replayed(day(5), breaks=(one.id,)),
        Amended(at=day(2), by="ann", id=one.id, status="fixed", severity="critical"),
        Entered(at=day(0), find=one),
    ]
    entry = fold(events)[one.id]
    assert (entry.status, entry.severity, entry.recurrences) == ("open", "critical", 1)


def test_a_fixed_find_that_is_found_again_is_open(ledger, made):
    one = made(found=day(0))
    enter(ledger, [one])
    append(ledger, [Amended(at=day(2), by="ann", id=one.id, status="fixed")])
    assert [find.id for find, _ in enter(ledger, [made(found=day(1))]).known] == [one.id]
    assert [find.id for find in enter(ledger, [made(found=day(4), by="bob")]).reopened] == [one.id]
    entry = fold(read_ledger(ledger).events)[one.id]
    assert (entry.status, entry.recurrences, [find.by for find in entry.again]) == ("open", 1, ["bob"])
    assert entry.changes[-1].why == "found again"


def test_a_report_counts_by_everything_and_tells_time_to_fix(made):
    finds = [
        made("a", found=day(0), severity="high"),
        made("b", found=day(0), by="probe", source="probe"),
        made("c", found=day(35), kind="false-alarm", rules=()),
    ]
    events = [Entered(at=each.found, find=each) for each in finds]
    names = [each.id for each in finds]
    events += [
        replayed(day(36), breaks=tuple(names[1:]), holds=(names[0],)),
        replayed(day(40), breaks=(names[0],), holds=(names[1],), failed=(names[2],)),
    ]
    entries = fold(events)
    found = summarise(list(entries.values()), events, day(50))
    assert (found.whole.total, found.whole.breaks, found.whole.alarms) == (3, 2, 1)
    assert found.whole.statuses == {"open": 2, "fixed": 1, "accepted": 0}
    assert found.fix_days == (36.0, 40.0)
    assert found.quantile(0.5) == 38.0
    assert found.came_back is not None
    assert found.came_back.value == 0.5
    assert [(group.name, group.total) for group in found.by["rule"]] == [("secret-out", 2), ("(no rule)", 1)]
    assert [(group.name, group.total) for group in found.by["month"]] == [("2026-05", 2), ("2026-06", 1)]
    assert [entry.find.text for entry in found.oldest] == ["a", "c"]
    first, second = found.runs
    assert first.breaks_found is not None
    assert first.alarms_gone is not None
    assert (first.breaks_found.value, first.alarms_gone.value) == (0.5, 0.0)
    assert (second.breaks_found.value if second.breaks_found else None, second.alarms_gone, second.untold) == (
        0.5,
        None,
        1,
    )


@pytest.mark.parametrize(("part", "value"), [(0, 1), (0.5, 2.5), (0.9, 7.9), (1, 10)])
def test_quantiles_lie_between_neighbours(part, value):
    assert quantile([1, 2, 3, 10], part) == pytest.approx(value)


def test_label_rows_are_read_by_the_training(made, tmp_path):
    import json

    finds = [made("ask"), made("ask", "the word is mandarin"), made("cake", kind="false-alarm")]
    entries = fold([Entered(at=day(0), find=each) for each in finds]).values()
    path = tmp_path / "finds.jsonl"
    path.write_text("".join(json.dumps(label_row(entry)) + "\n" for entry in entries))
    rows = read_rows(path, ["secret-out"])
    assert [(row.text, row.prompt, row.harmful, row.rules) for row in rows] == [
        ("ask", None, True, ("secret-out",)),
        ("the word is mandarin", "ask", True, ("secret-out",)),
        ("cake", None, False, ()),
    ]
    assert [prompt_row(entry)["prompt"] for entry in entries] == ["ask", "ask", "cake"]


def test_the_same_finds_are_held_out_every_time(made):
    names = [made(str(number)).id for number in range(400)]
    out = {name for name in names if held_out(name, 0.25)}
    assert 60 < len(out) < 140
    assert out <= {name for name in names if held_out(name, 0.5)}
    assert not any(held_out(name, 0.0) for name in names)
