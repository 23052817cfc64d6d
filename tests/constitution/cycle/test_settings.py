from __future__ import annotations

from pathlib import Path

import pytest

from constitution.cycle.settings import read_cycle
from rules.errors import RuleErrors


@pytest.fixture
def cycle(tmp_path: Path):
    """Writes a cycle file, and reads it."""

    def read(text: str):
        path = tmp_path / "cycle.yaml"
        path.write_text(text)
        return read_cycle(path).model

    return read


def test_paths_count_from_the_folder_of_the_file(cycle, tmp_path):
    for name in ("rules.yaml", "seeds.jsonl", "script.yaml"):
        (tmp_path / name).write_text("x")
    settings = cycle("rules: [base, rules.yaml]\nmodel: 'scripted:script.yaml?x=1'\nprobes: {seeds: seeds.jsonl}\n")
    assert settings.rules == ("base", str(tmp_path / "rules.yaml"))
    assert settings.out == tmp_path / "cycle"
    assert settings.model == f"scripted:{tmp_path / 'script.yaml'}?x=1"
    assert settings.probes.seeds == tmp_path / "seeds.jsonl"
    assert settings.ledger.file == tmp_path / "redteam.jsonl"


def test_heads_and_encoder_may_be_folders_and_heads_must_be_there(cycle, tmp_path):
    for name in ("heads", "encoder"):
        (tmp_path / name).mkdir()
    settings = cycle("rules: [base]\nmodel: m\ngate: {heads: heads, encoder: encoder}\n")
    assert (settings.gate.heads, settings.gate.encoder) == (str(tmp_path / "heads"), str(tmp_path / "encoder"))
    with pytest.raises(RuleErrors, match=r":3:15: `gate.heads` should be there"):
        cycle("rules: [base]\nmodel: m\ngate: {heads: gone}\n")


def test_shares_may_be_written_as_percentages(cycle):
    settings = cycle("rules: [base]\nmodel: embedded\ntrain: {budget: 0.5%}\nledger: {hold_out: 25%}\n")
    assert (settings.train.budget, settings.ledger.hold_out) == (0.005, 0.25)


def test_a_step_is_left_out_by_null(cycle):
    settings = cycle("rules: [base]\nprobes: null\nrows: null\nledger: null\n")
    assert (settings.probes, settings.rows, settings.ledger) == (None, None, None)
    assert settings.train is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [base]\nmodle: x\n", ["cycle.yaml:2:1: unknown key `modle`", "did you mean `model`?"]),
        ("rules: [base]\nmodel: m\nprobes:\n  cuont: 3\n", [":4:3: unknown key `cuont` in `probes`", "`count`"]),
        ("model: m\n", ["cycle.yaml:1:1: the cycle has no `rules`", "add `rules:`"]),
        ("rules: [base]\nmodel: m\nprobes: {count: many}\n", [":3:17: `probes.count` should be a whole number"]),
        ("rules: [base]\nmodel: m\nprobes: {count: 0}\n", [":3:17: `probes.count` should be greater than"]),
        ("rules: [base]\nmodel: m\ntrain: {budget: 100%}\n", [":3:17: `train.budget` should be less than 1"]),
        ("rules: [base]\nmodel: m\ntrain: {how: magic}\n", [":3:14: `train.how` should be `onto`, `heads` or `tuned`"]),
        ("rules: [base]\nmodel: m\nlabels: {data: [gone.jsonl]}\n", [":3:17: `labels.data` should be there", "gone"]),
        ("rules: [base]\nmodel: m\nrows:\n", [":3:6: `rows` is empty", "write `rows: null`"]),
        ("rules: [base]\nmodel: m\nmodel: n\n", [":3:1: repeated key `model`"]),
        ("rules: [base]\n", ["no `model` for probes and rows"]),
        (
            "rules: [base]\nmodel: m\ngate: {encoder: none}\n",
            [":3:17: heads are taught on an encoder", ":1:1: nothing"],
        ),
        ("rules: [base]\nmodel: m\ntrain: {how: heads, again: [a-rule]}\n", [":3:28: `again` goes with `onto`"]),
        ("rules: [base]\nmodel: m\nrows: {min_helpful: 3}\n", [":3:21: no judge says how helpful", "add `rows.judge`"]),
        ("rules: [base]\nmodel: m\ntrain: {passes: 2}\n", [":3:17: `passes` is of tuning the encoder"]),
        ("rules: [base]\nmodel: m\ngate: {heads: none}\n", [":3:15: there are no heads to teach onto", "how: heads"]),
        ("- rules\n", ["the cycle is a map of keys"]),
        ("", ["the file is empty"]),
        ("rules: [base\n", ["cycle.yaml:1:8: not YAML"]),
    ],
)
def test_every_fault_is_told_at_its_place_with_what_to_do(cycle, text, says):
    with pytest.raises(RuleErrors) as told:
        cycle(text)
    for each in says:
        assert each in str(told.value)


def test_all_faults_are_told_at_once_in_the_order_of_the_file(cycle):
    with pytest.raises(RuleErrors) as told:
        cycle("rules: []\nmodle: x\nprobes: {count: zero}\n")
    assert [error.where.line for error in told.value.errors] == [1, 2, 3]


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RuleErrors, match="no file"):
        read_cycle(tmp_path / "gone.yaml")


def test_the_file_of_the_page_can_be_read(cycle, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "cycle.md").read_text()
    for name in ("rules.yaml", "seeds.jsonl", "prompts.txt", "harmless.jsonl", "feedback.jsonl", "traffic.jsonl"):
        (tmp_path / name).write_text("")
    for name in ("labels", "check"):
        (tmp_path / name).mkdir()
    settings = cycle(page.split("```yaml\n")[1].split("```")[0])
    assert settings.calibrate.budget == 0.01
    assert None not in (settings.probes, settings.ledger, settings.rows, settings.train)
