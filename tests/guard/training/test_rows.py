from __future__ import annotations

import gzip
import json

import pytest

from guard.training.rows import MAX_CHARACTERS, LabelError, read_rows, source_of


@pytest.fixture
def write(tmp_path):
    """Writes a labelled file of rows, or of lines as they are."""

    def make(*rows, name="mine.jsonl"):
        lines = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
        path = tmp_path / name
        path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
        return path

    return make


def asked(label="safe", **more):
    return {"prompt": "How do I boil an egg?", "label": label, **more}


def test_a_prompt_is_judged_alone_and_a_response_with_its_prompt(write):
    prompt, answer = read_rows(write(asked(), asked(response="Seven minutes.")), ())
    assert (prompt.text, prompt.prompt, prompt.answers) == ("How do I boil an egg?", None, False)
    assert (answer.text, answer.prompt, answer.answers) == ("Seven minutes.", "How do I boil an egg?", True)


def test_a_list_of_messages_counts_by_what_the_user_said_last(write):
    said = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Bye"},
    ]
    (row,) = read_rows(write({"prompt": said, "label": "safe"}), ())
    assert row.text == "Bye"


def test_a_packed_file_reads_like_a_plain_one_and_blank_lines_count_for_nothing(write):
    rows = asked(), "", "   ", asked("harmful")
    assert read_rows(write(*rows), ()) == read_rows(write(*rows, name="mine.jsonl.gz"), ())
    assert source_of(write(name="mine.jsonl.gz")) == "mine"


def test_a_category_that_is_a_rule_names_what_a_harmful_row_breaks_and_a_safe_row_breaks_nothing(write):
    path = write(asked("harmful", category="theft"), asked("safe", category="theft"), asked("harmful", category="fire"))
    assert [row.rules for row in read_rows(path, ["theft"])] == [("theft",), (), ()]


def test_a_sources_own_categories_are_mapped_and_a_star_takes_the_others(write):
    path = write(asked("harmful", category="S1"), asked("harmful", category=None), asked("harmful", category=["a", 1]))
    found = read_rows(path, ["theft"], {"S1": ("theft",), "*": ("theft", "fire")})
    assert [row.rules for row in found] == [("theft",), ("theft", "fire"), ("theft", "fire")]


def test_what_generate_writes_for_the_gate_keeps_its_rules_its_language_and_its_twins(write):
    line = {"prompt": [{"role": "user", "content": "Help me"}], "category": "", "language": "zh", "row": "r1"}
    path = write(
        {**line, "response": "Sure.", "label": "harmful", "rules": "theft fire"},
        {**line, "response": "No.", "label": "safe", "rules": "theft"},
        {**line, "response": "Well.", "label": "safe", "rules": "", "row": "r2"},
    )
    harmful, safe, other = read_rows(path, ["theft", "fire", "other"])
    assert (harmful.rules, harmful.language) == (("theft", "fire"), "zh")
    assert harmful.pair == safe.pair != other.pair
    assert safe.rules == ()


def test_the_projection_of_the_gate_format_is_read_as_it_is_written():
    from pathlib import Path

    golden = Path(__file__).parents[2] / "constitution" / "golden" / "gate.jsonl"
    rows = read_rows(golden, ["breaking-into-homes"])
    twins = [row for row in rows if row.pair == rows[0].pair]
    assert [row.harmful for row in twins] == [True, False]
    assert twins[0].rules == ("breaking-into-homes",)


def test_prompts_of_answers_are_rows_of_their_own_where_that_is_asked(write):
    path = write(asked(response="Seven minutes."))
    assert [row.answers for row in read_rows(path, (), prompts_too=True)] == [True, False]


def test_a_text_of_any_length_is_taught_up_to_a_limit(write):
    (row,) = read_rows(write({"prompt": "a" * (MAX_CHARACTERS + 5), "label": "safe"}), ())
    assert len(row.text) == MAX_CHARACTERS


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (asked("evil"), "mine.jsonl:2: the label `evil` is neither `harmful` nor `safe`"),
        ({"prompt": "x"}, "mine.jsonl:2: the label `None` is neither"),
        (asked(["safe"]), "mine.jsonl:2: the label `['safe']` is neither"),
        (asked(response=3), "mine.jsonl:2: the response is no string"),
        ({"prompt": None, "label": "safe"}, "mine.jsonl:2: `prompt` is neither a string nor a list of messages"),
        ({"prompt": [{"role": "system", "content": "x"}], "label": "safe"}, "mine.jsonl:2: `prompt` is neither"),
        ("[1, 2]", "mine.jsonl:2: no JSON object"),
        ('{"prompt": ', "mine.jsonl:2: no JSON:"),
        ("[" * 100_000, "mine.jsonl:2: no JSON:"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_by_file_and_line(write, line, says):
    with pytest.raises(LabelError) as caught:
        read_rows(write(asked(), line), ())
    assert says in str(caught.value)
    assert "\n  hint: " in str(caught.value)


def test_a_file_that_is_empty_cut_off_damaged_or_not_there_is_refused(write, tmp_path):
    with pytest.raises(LabelError, match="has no rows"):
        read_rows(write(), ())
    path = write(*[asked(number=place) for place in range(300)], name="mine.jsonl.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(LabelError, match="cannot be read"):
        read_rows(path, ())
    path.write_bytes(whole[:60] + bytes(40) + whole[100:])
    with pytest.raises(LabelError):
        read_rows(path, ())
    with pytest.raises(LabelError, match="cannot be read"):
        read_rows(tmp_path / "gone.jsonl", ())
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "caf\xe9", "label": "safe"}\n')
    with pytest.raises(LabelError, match="cannot be read"):
        read_rows(tmp_path / "latin.jsonl", ())
