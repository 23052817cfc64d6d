"""The card: it loads as it lies there, and says what the figures say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from constitution.card import Card
from constitution.formats import Options, formats, with_earlier, write_formats
from constitution.row import Rejection
from constitution.statistics import gather


def head_of(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("parquet", [False, True])
def test_datasets_loads_the_folder_as_it_lies_there(parquet, offline, sample_rows, sample_constitution, tmp_path):
    from datasets import load_dataset

    folder, cache = tmp_path / "set", str(tmp_path / "cache")
    options = Options(constitutions={"c0ffee": sample_constitution})
    written = write_formats(formats(), lambda: sample_rows, folder, parquet=parquet, options=options)
    Card(gather(sample_rows), written).write(folder)
    default = load_dataset(str(folder), cache_dir=cache)["train"]
    (completion,) = default[1]["completion"]
    assert completion["content"] == sample_rows[1].final
    assert completion["reasoning_content"] == sample_rows[1].rationale
    assert [message["content"] for message in default[1]["prompt"]] == [said.content for said in sample_rows[1].prompt]
    for item in written:
        rows = load_dataset(str(folder), item.name, split="train", cache_dir=cache)
        assert len(rows) == item.lines > 0
        assert "benign" in rows.features.get("wardlaw", {"benign": 0})


def test_a_column_that_is_empty_for_long_still_loads(offline, row_with, sample_rows, tmp_path):
    """A JSON reader fixes its columns on its first ten megabytes."""
    from datasets import load_dataset

    plain = row_with(final="word " * 4000)
    folder = tmp_path / "set"
    written = write_formats(
        ["sft", "alpaca", "axolotl", "sharegpt"], lambda: [*[plain] * 600, *sample_rows], folder, options=Options()
    )
    assert (folder / "alpaca.jsonl").stat().st_size > 11_000_000
    Card(gather(sample_rows), written).write(folder)
    for item in written:
        rows = load_dataset(str(folder), item.name, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rows) == item.lines
    assert rows[601]["wardlaw"]["rules"] == "insults"


def test_files_without_a_line_are_not_offered(sample_rows, tmp_path):
    benign = [sample_rows[2]]
    written = write_formats(["preference", "kto"], lambda: benign, tmp_path)
    head = head_of(Card(gather(benign), written).text())
    assert head["configs"] == [{"config_name": "kto", "data_files": "kto.jsonl", "default": True}]


def test_a_run_that_accepted_nothing_has_a_card(sample_rows, tmp_path):
    rejected = [row for row in sample_rows if row.status == "rejected"]
    written = write_formats(["sft"], lambda: rejected, tmp_path)
    card = Card(gather(rejected), written).text()
    assert "configs" not in head_of(card)
    assert "| accepted | 0 | 0.0% |" in card


def test_an_empty_run_has_a_card(tmp_path):
    card = Card(gather([]), write_formats(["sft"], lambda: [], tmp_path)).text()
    assert head_of(card)["license"] == "other"
    assert "No row was rejected." in card


def test_the_head_says_licence_languages_and_size(sample_rows, tmp_path):
    written = write_formats(["preference", "sft"], lambda: sample_rows, tmp_path)
    head = head_of(Card(gather(sample_rows), written, licence="cc-by-4.0", title="T: a title").text())
    assert head["license"] == "cc-by-4.0"
    assert head["pretty_name"] == "T: a title"
    assert head["language"] == ["en", "zh"]
    assert head["size_categories"] == ["n<1K"]
    assert [config["config_name"] for config in head["configs"]] == ["sft", "preference"]


def test_the_body_counts_by_rule_and_by_reason(sample_rows, tmp_path):
    written = write_formats(["sft"], lambda: sample_rows, tmp_path)
    card = Card(gather(sample_rows), written, titles={"insults": "Insults"}).text()
    assert "| insults | Insults | 3 | 2 | 1 |" in card
    assert "| checks | still_broken | 1 |" in card
    assert "Constitution `c0ffee`." in card
    assert "1 accepted row has earlier answers" in card
    assert "`sft` where it has `prompt` and `completion`" in card


def test_the_card_warns_of_messages_that_teach_earlier_answers(sample_rows, tmp_path):
    options = Options(sft="messages")
    written = write_formats(["sft"], lambda: sample_rows, tmp_path, options=options)
    assert "export `sft` anew in its `completion` form" in Card(gather(sample_rows), written, options=options).text()
    assert "export `sft` anew" not in Card(gather(sample_rows), written, options=Options()).text()


def test_the_card_shows_how_to_train_on_the_form_that_is_written_by_default(sample_rows, tmp_path):
    written = write_formats(["sft"], lambda: sample_rows, tmp_path)
    example = Card(gather(sample_rows), written).text().split("### sft")[1].split("```")[1]
    assert "SFTTrainer(MODEL, train_dataset=rows).train()" in example
    assert "assistant_only_loss" not in example, "a completion is learnt whole: no template need mark it"


def test_words_of_the_rows_cannot_leave_their_cell(row_with, tmp_path):
    reason = "a | b\n---\n<b>`x`"
    rows = [row_with(status="rejected", rejection=Rejection(stage="checks", reason=reason), models={"critic": "a|b"})]
    card = Card(gather(rows), write_formats(["sft"], lambda: rows, tmp_path)).text()
    assert "| checks | a &#124; b --- &lt;b&gt;&#96;x&#96; | 1 |" in card
    assert "| critic | a&#124;b |" in card


def test_a_critic_that_judges_itself_is_named_as_a_limit(row_with, tmp_path):
    written = write_formats(["sft"], lambda: [], tmp_path)
    alone = gather([row_with(models={"answerer": "m", "critic": "m"})])
    apart = gather([row_with(models={"answerer": "m", "critic": "n"})])
    assert "The critic is the model that answered" in Card(alone, written).text()
    assert "The critic is the model that answered" not in Card(apart, written).text()


def test_the_same_run_gives_the_same_card(sample_rows, tmp_path):
    written = write_formats(["sft"], lambda: sample_rows, tmp_path)
    assert Card(gather(sample_rows), written).text() == Card(gather(sample_rows), written).text()


@pytest.mark.parametrize(
    ("reasoning", "said"),
    [("thinking", "stands under `thinking`"), ("think", "stands inline"), ("none", "The files carry no reasoning.")],
)
def test_the_card_says_where_the_reasoning_stands(reasoning, said, sample_rows, tmp_path):
    options = Options(reasoning=reasoning)
    written = write_formats(["sft"], lambda: sample_rows, tmp_path, options=options)
    assert said in Card(gather(sample_rows), written, options=options).text()
    assert said not in Card(gather(sample_rows), written).text()


def test_files_of_an_earlier_export_are_offered_and_said_to_be_of_it(sample_rows, tmp_path):
    write_formats(["preference"], lambda: sample_rows, tmp_path)
    lying = with_earlier(tmp_path, write_formats(["sft"], lambda: sample_rows, tmp_path))
    card = Card(gather(sample_rows), lying).text()
    assert [config["config_name"] for config in head_of(card)["configs"]] == ["sft", "preference"]
    assert "Written by an earlier export, of the rows and with the options of that time: `preference.jsonl`." in card


@pytest.mark.parametrize(("count", "said"), [(1, "1 accepted row was left out"), (2, "2 accepted rows were left out")])
def test_rows_that_do_not_fit_are_said_in_the_right_number(count, said, row_with, tmp_path):
    rows = [row_with(id=str(number), final="<think>") for number in range(count)]
    assert said in Card(gather(rows), write_formats(["sft"], lambda: rows, tmp_path)).text()
