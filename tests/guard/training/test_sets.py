from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from guard.training.rows import LabelError
from guard.training.sets import as_messages, find_files, read_exchanges, read_set, tests_of
from rules.schema import Part

tests_of.__test__ = False  # its name is not that of a test


@pytest.fixture
def write(tmp_path):
    """Writes rows, or raw lines, to a JSONL file."""

    def make(*rows, name="set.jsonl"):
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return make


def refused(path, **more) -> LabelError:
    with pytest.raises(LabelError) as error:
        read_set(path, **more)
    return error.value


@pytest.mark.parametrize("name", ["small.jsonl", "small.jsonl.gz"])
def test_prompts_answers_and_conversations_are_read_packed_or_not(write, name):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    found = read_set(
        write(
            {"id": "x1", "prompt": "Hello", "label": "safe", "category": "greeting"},
            "",
            {"prompt": turns, "label": "harmful"},
            {"prompt": turns, "response": "d", "label": "harmful"},
            name=name,
        )
    )
    assert found.name == "small"
    assert [(row.id, row.harmful, row.category) for row in found.rows] == [
        ("x1", False, "greeting"),
        ("3", True, ""),
        ("4", True, ""),
    ]
    assert [(row.exchange.text, row.exchange.part) for row in found.rows] == [
        ("Hello", Part.PROMPT),
        ("c", Part.PROMPT),
        ("d", Part.RESPONSE),
    ]


def test_the_moderation_set_is_read_as_its_owner_publishes_it(write):
    found = read_set(
        write(
            {"prompt": "a", "S": 0, "H": 0, "V": 1, "HR": None},
            {"prompt": "b", "S": 0, "V2": 0},
            {"prompt": "c", "label": "harmful", "labels": {"S": 1, "SH": 1, "V": 0}},
        )
    )
    assert [(row.harmful, row.category) for row in found.rows] == [(True, "V"), (False, ""), (True, "S+SH")]


def test_an_unknown_label_is_an_error_at_its_line_that_names_the_way_out(write):
    path = write({"prompt": "a", "label": "safe"}, {"prompt": "b", "label": "refusal"})
    assert str(refused(path)) == (
        f"{path}:2: unknown label `refusal`\n"
        "  hint: labels are `harmful` and `safe`; pass over such rows with --ignore-label refusal"
    )
    found = read_set(path, ignore=("refusal",))
    assert len(found.rows) == 1
    assert found.ignored == {"refusal": 1}


def test_a_row_without_a_label_can_be_passed_over_too(write):
    path = write({"prompt": "a"}, {"prompt": "b", "label": "safe"})
    assert refused(path).what == f"{path}:1: no `label`"
    assert read_set(path, ignore=("none",)).ignored == {"none": 1}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "not JSON (Expecting property name"),
        ("[1]", "a list, not a JSON object"),
        ("[" * 100_000, "JSON nested too deep"),
        ('{"label": "safe"}', "no `prompt`; there are `label`"),
        ('{"prompt": 3, "label": "safe"}', "the prompt is a number, neither a string nor a list of messages"),
        ('{"prompt": [], "label": "safe"}', "the prompt is an empty list"),
        ('{"prompt": ["a"], "label": "safe"}', "message 1 is a string, not an object"),
        ('{"prompt": "a", "response": 1, "label": "safe"}', "`response` is a number, not a string"),
        ('{"prompt": [{"role": "usr", "content": "a"}], "label": "safe"}', "message 1: unknown role `usr`"),
        ('{"prompt": [{"role": "user"}], "label": "safe"}', "message 1: `content` is null, not a string"),
        (
            '{"prompt": [{"role": "user", "content": [{"type": "image_url"}]}], "label": "safe"}',
            "message 1 has parts that are no text: `image_url`",
        ),
    ],
)
def test_a_bad_line_is_named_with_its_place(write, line, what):
    path = write({"prompt": "a", "label": "safe"}, line)
    assert refused(path).what.startswith(f"{path}:2: {what}")


def test_binary_a_torn_gzip_an_empty_file_and_a_missing_one_are_told_apart(write, tmp_path):
    binary = tmp_path / "b.jsonl"
    binary.write_bytes(b'{"prompt": "a", "label": "safe"}\n\x89PNG\xff\xfe\n')
    assert refused(binary).what == f"{binary}:2: not UTF-8 (invalid start byte)"
    torn = tmp_path / "t.jsonl.gz"
    torn.write_bytes(gzip.compress(b'{"prompt": "a", "label": "safe"}\n' * 5000)[:-20])
    assert "is no whole gzip file" in refused(torn).what
    torn.write_bytes(b"no gzip at all")
    assert "is no whole gzip file" in refused(torn).what
    assert refused(write(name="empty.jsonl")).what.endswith("empty.jsonl` has no rows")
    assert "cannot be read: No such file" in refused(tmp_path / "none.jsonl").what


def test_lone_surrogates_and_long_texts_are_rows_as_any_other(write):
    path = write('{"prompt": "a \\ud800 b", "label": "safe"}', {"prompt": "x" * 10_000_000, "label": "safe"})
    first, second = read_set(path).rows
    assert first.exchange.text == "a \ud800 b"
    assert len(second.exchange.text) == 10_000_000


def test_text_parts_and_reasoning_become_one_message():
    turns = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    turns += [{"role": "assistant", "content": "c", "reasoning_content": "why"}]
    first, second = as_messages(turns, "here")
    assert first.content == "a\nb"
    assert second.reasoning == "why"


def test_a_folder_stands_for_its_files_and_one_named_twice_is_read_once(write, tmp_path):
    one, two = write(name="a.jsonl"), write(name="b.jsonl.gz")
    (tmp_path / "notes.md").write_text("no set")
    assert find_files([tmp_path, one]) == [one, two]
    with pytest.raises(LabelError, match="no file `nowhere`"):
        find_files([Path("nowhere")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelError, match="holds no JSON lines"):
        find_files([tmp_path / "empty"])


def test_exchanges_need_no_labels(write):
    (line,) = read_exchanges(write({"prompt": "a", "response": "b", "label": "whatever"}))
    assert (line.id, line.exchange.text) == ("1", "b")
    assert line.where.endswith("set.jsonl:1")


def test_the_rules_own_tests_are_sets_of_prompts_and_of_answers(make_rule, constitute):
    tests = {"breaks": ["do it", {"prompt": "q", "response": "here is how"}], "keeps": ["its history"]}
    prompts, answers = tests_of(constitute(make_rule("some-rule", tests=tests)))
    assert [(row.id, row.harmful, row.category) for row in prompts.rows] == [
        ("some-rule/breaks/1", True, "some-rule"),
        ("some-rule/keeps/1", False, "some-rule"),
    ]
    assert [row.exchange.text for row in answers.rows] == ["here is how"]
    assert tests_of(constitute(make_rule("bare"))) == []
