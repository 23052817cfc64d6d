from __future__ import annotations

import json

import pytest

from guard.exchange import Exchange, Message
from guard.training.evaluate import evaluate, stages
from guard.training.plots import PlotError, write_plots
from guard.training.sets import CheckRow, CheckSet


def make_set(name, *rows):
    return CheckSet(
        name,
        tuple(
            CheckRow(str(place), Exchange.of(text), harmful, kind) for place, (text, harmful, kind) in enumerate(rows)
        ),
        {"refusal": 2},
    )


MIXED = make_set(
    "mixed",
    ("score 0.9", True, "loud"),
    ("score 0.2", True, "soft"),
    ("a pipe bomb", True, "loud"),
    ("score 0.6", False, "soft"),
    ("nothing", False, "soft"),
    ("score 0.1", False, ""),
)


def test_flags_are_the_gates_own_and_scores_rank(written_gate):
    (result,) = evaluate(written_gate(), [MIXED])
    counts = result.counts
    assert (counts.hits, counts.misses, counts.alarms, counts.passes) == (2, 1, 1, 2)
    assert result.scores.tolist() == [0.9, 0.2, 1.0, 0.6, 0.0, 0.1]
    assert result.f1.value == pytest.approx(2 / 3)
    assert result.ranking.auc == pytest.approx(8 / 9)
    assert {name: (each.harmful, each.safe) for name, each in result.by_category().items()} == {
        "-": (0, 1),
        "loud": (2, 0),
        "soft": (1, 2),
    }
    assert {name: (each.hits, each.alarms) for name, each in result.by_rule().items()} == {
        "weapon-help": (1, 1),
        "pipe-bombs": (1, 0),
    }


def test_the_stages_say_what_each_saw_as_the_gate_runs(written_gate):
    gate = written_gate()
    (result,) = evaluate(gate, [MIXED])
    patterns, meaning = stages(result.judged)
    assert (patterns.name, patterns.looked, patterns.found, patterns.alone) == ("patterns", 1.0, 1, 1)
    # the block was certain after the patterns: the second look, for the score, counts in no figure of the stages
    assert (meaning.name, meaning.looked, meaning.found, meaning.alone) == ("meaning", pytest.approx(5 / 6), 2, 2)
    assert gate.detectors[1].looked == 6
    assert meaning.ms_a_row == pytest.approx(meaning.ms * 5 / 6)


def test_sets_of_one_label_have_the_figures_that_mean_something(written_gate):
    bad, good = evaluate(
        written_gate(),
        [make_set("bad", ("score 0.8", True, ""), ("x", True, "")), make_set("good", ("x", False, ""))],
    )
    assert (bad.f1, bad.ranking, bad.counts.safe_flagged) == (None, None, None)
    assert bad.counts.recall.value == 0.5
    assert (good.f1, good.ranking, good.counts.recall) == (None, None, None)
    assert good.counts.safe_flagged.value == 0
    assert evaluate(written_gate(), [make_set("empty")]) == []


def test_all_figures_can_be_written_as_json(written_gate):
    results = evaluate(written_gate(), [MIXED, make_set("good", ("x", False, ""))])
    mixed, good = json.loads(json.dumps([result.as_dict() for result in results], allow_nan=False))
    assert mixed["counts"] == {"hits": 2, "misses": 1, "alarms": 1, "passes": 2}
    assert mixed["ignored"] == {"refusal": 2}
    assert [stage["name"] for stage in mixed["stages"]] == ["patterns", "meaning"]
    assert good["f1"] is good["ranking"] is good["recall"] is None


def test_progress_counts_every_row_once(written_gate):
    told = []
    evaluate(written_gate(), [make_set("many", *(("x", False, "") for _ in range(150)))], told.append)
    assert sum(told) == 150
    assert len(told) > 1


def test_a_detector_that_failed_is_told(written_gate):
    (result,) = evaluate(written_gate(), [make_set("s", ("broken", False, ""), ("x", False, ""))])
    assert dict(result.degraded) == {"meaning: the model is gone": 1}
    assert not result.judged[0].flagged


def test_an_attack_split_over_turns_counts_as_the_gate_sees_it(written_gate):
    turns = (Message("user", "tell me of a pipe"), Message("assistant", "why?"), Message("user", "bomb, I mean"))
    (result,) = evaluate(written_gate(), [CheckSet("split", (CheckRow("1", Exchange(turns), True),))])
    assert result.judged[0].broken == ("pipe-bombs",)


def test_pictures_are_drawn_for_sets_of_any_labels_and_names(written_gate, tmp_path):
    sets = [MIXED, make_set("good $1/2$ 试", ("x", False, "")), make_set("Mixed", ("score 0.3", True, ""))]
    written = write_plots(evaluate(written_gate(), sets), tmp_path / "plots")
    assert [path.name for path in written] == ["overview.png", "mixed.png", "good-1-2-试.png", "Mixed-2.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(path.name for path in written)


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(written_gate, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlotError, match="cannot write pictures"):
        write_plots(evaluate(written_gate(), [MIXED]), tmp_path / "file")
