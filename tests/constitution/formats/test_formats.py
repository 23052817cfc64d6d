"""Every format against its golden file, and what each one promises."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from constitution.formats import (
    FormatError,
    Options,
    Unfit,
    _plugged,
    formats,
    open_format,
    with_earlier,
    write_dataset_info,
    write_format,
)
from constitution.row import Said
from constitution.templates import TemplateSet
from rules.schema import Constitution

GOLDEN = Path(__file__).parent.parent / "golden"
SHIPPED = (
    "alpaca",
    "axolotl",
    "critic",
    "gate",
    "kto",
    "preference",
    "sft",
    "sharegpt",
    "sharegpt_preference",
)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def projected(name: str, row, options: Options | None = None) -> list[dict[str, Any]]:
    return list(open_format(name).project(row, options or Options()))


def test_the_formats_of_the_folder_are_found():
    assert set(SHIPPED) <= set(formats())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_format_is_called_as_its_file(name):
    assert name == open_format(name).NAME


def test_a_format_of_another_distribution_comes_in_by_its_entry_point(plug_in, monkeypatch, tmp_path, row_with):
    package = tmp_path / "my_format.py"
    package.write_text(
        "NAME = ABOUT = HOW = 'mine'\n"
        "def project(row, options): yield {'id': row.id}\n"
        "def schema(options): raise NotImplementedError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plug_in("my_format")
    written = write_format("mine", lambda: [row_with()], tmp_path / "out")
    assert written.path.read_text() == '{"id": "row-plain"}\n'


def test_a_plug_in_that_is_no_format_is_refused(plug_in):
    plug_in("json")
    with pytest.raises(FormatError, match="`mine` is no format"):
        open_format("mine")


def test_the_entry_points_are_read_once_however_many_formats_are_opened(plug_in):
    read = plug_in("json")
    for name in SHIPPED * 2:
        open_format(name)
    assert len(read) == 1


@pytest.fixture
def plug_in(monkeypatch) -> Iterator[Callable[[str], list[str]]]:
    """Lets a module come in as the format `mine`; gives a list that grows with each reading of the entry points."""

    def install(module: str) -> list[str]:
        point = importlib.metadata.EntryPoint("mine", module, "wardlaw.formats")
        read: list[str] = []

        def entry_points(group: str) -> importlib.metadata.EntryPoints:
            read.append(group)
            return importlib.metadata.EntryPoints([point]).select(group=group)

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        _plugged.cache_clear()
        return read

    yield install
    _plugged.cache_clear()


def test_helper_modules_are_no_formats():
    assert not {"base", "files", "survival"} & set(formats())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_format_writes_its_golden_file(name, sample_rows, options, tmp_path):
    written = write_format(name, lambda: iter(sample_rows), tmp_path, options=options)
    assert written.path.read_text(encoding="utf-8") == (GOLDEN / written.path.name).read_text(encoding="utf-8")
    assert written.lines == len(lines_of(written.path))
    assert written.unfit == 0


def test_messages_are_written_as_their_golden_file_too(sample_rows, options, tmp_path):
    chosen = options.model_copy(update={"sft": "messages"})
    written = write_format("sft", lambda: iter(sample_rows), tmp_path, options=chosen)
    assert written.path.read_text(encoding="utf-8") == (GOLDEN / "sft.messages.jsonl").read_text(encoding="utf-8")
    assert written.lines == len(lines_of(written.path))
    assert written.unfit == 0


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("reasoning", ["reasoning_content", "thinking", "think", "none"])
@pytest.mark.parametrize("more", [{}, {"preference_reasoning": True, "sft": "messages"}])
def test_parquet_holds_what_the_json_lines_hold(name, reasoning, more, sample_rows, options, tmp_path):
    chosen = options.model_copy(update={"reasoning": reasoning, **more})
    text = write_format(name, lambda: iter(sample_rows), tmp_path, options=chosen)
    table = write_format(name, lambda: iter(sample_rows), tmp_path / "table", parquet=True, options=chosen)
    lines = lines_of(text.path)
    assert without_nulls(pq.read_table(table.path).to_pylist()) == lines
    assert all(list(line) == open_format(name).schema(chosen).names for line in lines)


@pytest.mark.parametrize("sft", ["completion", "messages"])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_run_without_rows_writes_an_empty_file_of_the_same_columns(name, sft, options, tmp_path):
    chosen = options.model_copy(update={"sft": sft})
    assert write_format(name, lambda: iter(()), tmp_path, options=chosen).lines == 0
    empty = write_format(name, lambda: iter(()), tmp_path, parquet=True, options=chosen)
    assert pq.read_table(empty.path).schema.names == open_format(name).schema(chosen).names


@pytest.mark.parametrize("name", SHIPPED)
def test_no_line_comes_of_a_rejected_row(name, sample_rows, options):
    rejected = [row for row in sample_rows if row.status == "rejected"]
    assert [line for row in rejected for line in projected(name, row, options)] == []


def test_an_unknown_format_is_named_with_those_there_are():
    with pytest.raises(FormatError, match=r"unknown format `sfk`(.|\n)*preference"):
        open_format("sfk")


@pytest.mark.parametrize(
    ("reasoning", "message"),
    [
        ("reasoning_content", {"role": "assistant", "content": "Yes.", "reasoning_content": "I see."}),
        ("thinking", {"role": "assistant", "content": "Yes.", "thinking": "I see."}),
        ("think", {"role": "assistant", "content": "<think>\nI see.\n</think>\n\nYes."}),
        ("none", {"role": "assistant", "content": "Yes."}),
    ],
)
def test_the_reasoning_stands_where_it_is_wanted(reasoning, message, row_with):
    row = row_with(final="Yes.", rationale=" I see.\n")
    assert projected("sft", row, Options(reasoning=reasoning))[0]["completion"] == [message]
    assert projected("sft", row, Options(reasoning=reasoning, sft="messages"))[0]["messages"][-1] == message


@pytest.mark.parametrize("sft", ["completion", "messages"])  # the column is called as the form
def test_the_key_of_the_reasoning_is_there_even_without_one(sft, row_with):
    # A JSON reader that infers columns from its first block stops at a key that comes up only later.
    message = projected("sft", row_with(rationale=None), Options(sft=sft))[0][sft][-1]
    assert message["reasoning_content"] == ""


@pytest.mark.parametrize("name", ["sft", "axolotl", "sharegpt", "alpaca"])
@pytest.mark.parametrize("field", ["final", "rationale"])
def test_a_text_with_a_think_tag_is_left_out_and_counted(name, field, row_with, tmp_path):
    row = row_with(**{field: "one</think>two"})
    with pytest.raises(Unfit):
        projected(name, row)
    written = write_format(name, lambda: [row, row_with()], tmp_path)
    assert (written.lines, written.unfit) == (1, 1)


def test_only_the_last_answer_is_learnt_unless_asked_for(sample_rows):
    line = projected("sft", sample_rows[1])[0]
    assert list(line) == ["prompt", "completion", "wardlaw"]
    assert [message["role"] for message in line["prompt"]] == ["system", "user", "assistant", "user"]
    assert [message["role"] for message in line["completion"]] == ["assistant"]
    asked = projected("sft", sample_rows[1], Options(sft="messages"))[0]
    assert asked == {"messages": [*line["prompt"], *line["completion"]], "wardlaw": line["wardlaw"]}


def test_axolotl_learns_the_last_answer_alone(sample_rows):
    messages = projected("axolotl", sample_rows[1])[0]["messages"]
    assert [message["train"] for message in messages] == [False, False, False, False, True]


def test_a_pair_has_no_reasoning_unless_asked_for(sample_rows):
    plain = projected("preference", sample_rows[0])[0]
    assert set(plain["chosen"][0]) == set(plain["rejected"][0]) == {"role", "content"}
    asked = projected("preference", sample_rows[0], Options(preference_reasoning=True))[0]
    assert asked["chosen"][0]["reasoning_content"] == sample_rows[0].rationale
    assert set(asked["rejected"][0]) == {"role", "content"}


def test_unchanged_rows_make_no_pair_but_a_good_answer(sample_rows):
    benign = sample_rows[2]
    assert projected("preference", benign) == projected("sharegpt_preference", benign) == []
    assert [line["label"] for line in projected("kto", benign)] == [True]
    assert [line["label"] for line in projected("gate", benign)] == ["safe"]


def test_a_critique_that_quotes_what_nobody_said_teaches_nothing(sample_rows, options):
    lines = projected("critic", sample_rows[3], options)
    assert [json.loads(line["messages"][-1]["content"])["quotes"] for line in lines] == [
        ["he is a fool"],
        ["Take his keys"],
    ]


def test_the_critic_is_asked_of_the_answer_as_it_stood(sample_rows, options):
    second = projected("critic", sample_rows[3], options)[1]
    assert sample_rows[3].rounds[0].revision in second["messages"][-2]["content"]


def test_a_break_without_a_quote_teaches_nothing(row_with, round_with, options):
    row = row_with(answer="Bad.", rounds=(round_with("insults", "breaks", revision="Good."),), final="Good.")
    assert projected("critic", row, options) == []


def test_the_critic_asks_with_the_shipped_templates_by_default(sample_rows, sample_constitution):
    line = projected("critic", sample_rows[0], Options(constitutions={"c0ffee": sample_constitution}))[0]
    asked = line["messages"][-2]["content"]
    assert sample_rows[0].answer in asked
    assert sample_constitution.rule("breaking-into-homes").rule.say("en") in asked


def test_the_critic_needs_the_rules_at_hand(sample_rows, sample_constitution):
    emptied = sample_constitution.model_copy(update={"rules": ()})
    for rules in ({}, {"of other rows": sample_constitution}, {"c0ffee": emptied}):
        with pytest.raises(Unfit):
            projected("critic", sample_rows[0], Options(constitutions=rules))


def test_a_later_rule_counts_as_broken_by_the_first_answer_only_where_its_quote_stood_there(row_with, round_with):
    rounds = (
        round_with("first-rule", "breaks", "alpha", revision="beta gamma"),
        round_with("in-revision-only", "breaks", "beta", revision="gamma"),
        round_with("in-both", "breaks", "gamma", revision="fine"),
    )
    harmful, safe = projected("gate", row_with(answer="alpha gamma", rounds=rounds, final="fine"))
    assert harmful["rules"].split() == ["first-rule", "in-both"]
    assert (harmful["label"], safe["label"]) == ("harmful", "safe")
    assert harmful["id"] != safe["id"]
    assert harmful["row"] == safe["row"]


@pytest.mark.parametrize("name", ["sharegpt", "sharegpt_preference", "alpaca"])
@pytest.mark.parametrize(
    "prompt",
    [
        (Said(role="user", content="a"), Said(role="user", content="b")),
        (Said(role="assistant", content="a"), Said(role="user", content="b")),
        (Said(role="user", content="a"), Said(role="system", content="b"), Said(role="user", content="c")),
    ],
)
def test_turns_that_llama_factory_would_drop_are_left_out_and_counted(name, prompt, row_with, round_with):
    row = row_with(prompt=prompt, rounds=(round_with("insults", "breaks", revision="Good."),), final="Good.")
    with pytest.raises(Unfit):
        projected(name, row)


def test_tool_results_stand_as_observations(row_with):
    prompt = (
        Said(role="user", content="What is the weather?"),
        Said(role="assistant", content="I will look."),
        Said(role="tool", content="rain"),
    )
    turns = projected("sharegpt", row_with(prompt=prompt))[0]["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "gpt", "observation", "gpt"]
    with pytest.raises(Unfit):
        projected("alpaca", row_with(prompt=prompt))


def test_llama_factory_finds_the_columns_that_are_there(sample_rows, options, tmp_path):
    written = [write_format(name, lambda: sample_rows, tmp_path, options=options) for name in SHIPPED]
    info = json.loads(write_dataset_info(tmp_path, written).read_text(encoding="utf-8"))
    assert set(info) == {"wardlaw_alpaca", "wardlaw_sharegpt", "wardlaw_sharegpt_preference"}
    for entry in info.values():
        for line in lines_of(tmp_path / entry["file_name"]):
            assert set(entry["columns"].values()) <= set(line)
            tags = entry.get("tags", {})
            for turn in line.get(entry["columns"].get("messages"), []):
                assert {tags["role_tag"], tags["content_tag"]} == set(turn)
                assert turn[tags["role_tag"]] in tags.values()


def test_llama_factory_is_told_of_no_empty_file(sample_rows, tmp_path):
    written = [write_format(name, lambda: (), tmp_path) for name in SHIPPED]
    assert write_dataset_info(tmp_path, written) is None


def test_llama_factory_no_longer_hears_of_files_that_lost_their_lines(sample_rows, tmp_path):
    written = [write_format("alpaca", lambda: sample_rows, tmp_path)]
    assert write_dataset_info(tmp_path, written) is not None
    write_dataset_info(tmp_path, [write_format("alpaca", lambda: (), tmp_path)])
    assert not (tmp_path / "dataset_info.json").exists()


@pytest.mark.parametrize("parquet", [False, True])
def test_files_of_an_earlier_export_are_found_with_their_lines(parquet, sample_rows, options, tmp_path):
    for name in SHIPPED:
        write_format(name, lambda: sample_rows, tmp_path, options=options, parquet=parquet)
    (tmp_path / "notes.jsonl").write_text("{}\n")
    now = write_format("sft", lambda: (), tmp_path)
    found = with_earlier(tmp_path, [now])
    assert [item.name for item in found] == sorted(SHIPPED)
    by_name = {item.name: item for item in found}
    assert by_name["sft"] == now
    assert (by_name["kto"].lines, by_name["kto"].earlier) == (7, True)


def test_a_critic_is_asked_with_the_rules_and_templates_of_its_row(sample_rows, sample_constitution, options):
    later = Constitution.model_validate(
        {
            **sample_constitution.model_dump(),
            "rules": [{**rule.model_dump(), "rule": "Do no harm."} for rule in sample_constitution],
        }
    )
    both = options.model_copy(
        update={
            "constitutions": {**options.constitutions, "1ater": later},
            "templates": {**options.templates, "shipped": TemplateSet.read()},
        }
    )

    def asked(**changes: str) -> str:
        line = projected("critic", sample_rows[0].model_copy(update=changes), both)[0]
        return str(line["messages"][1]["content"])

    assert asked().endswith("/ Do not help anyone break into a home.")
    assert asked(constitution="1ater").endswith("/ Do no harm.")
    assert "<answer>" in asked(templates="shipped")
    assert "<answer>" not in asked()
