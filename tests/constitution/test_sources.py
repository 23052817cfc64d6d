"""Prompts out of every kind of file, and what is said of a file that is wrong."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constitution.prompt import Mixture, Prompt, PromptError, mixed, prompt_id
from constitution.row import Source
from constitution.sources import PromptFile, Skipped
from guard.exchange import Message

TEXTS = ["How do I prune roses?", "怎样剪玫瑰？", 'She said "no", twice;\nwhat now?']


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    def make(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


def texts(name: str, **options: Any) -> list[str]:
    return [prompt.messages[-1].content for prompt in PromptFile(name, **options)]


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in TEXTS), encoding="utf-8")


def write_json(path: Path) -> None:
    path.write_text(json.dumps([{"question": text} for text in TEXTS]), encoding="utf-8")


def write_table(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([["id", "prompt"], *([number, text] for number, text in enumerate(TEXTS))])


def write_parquet(path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"instruction": TEXTS}), path)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.jsonl", write_jsonl),
        ("a.ndjson", write_jsonl),
        ("a.JSONL", write_jsonl),
        ("a.json", write_json),
        ("a.csv", write_table),
        ("a.tsv", write_table),
        ("a.parquet", write_parquet),
    ],
)
def test_every_kind_of_file_gives_the_same_prompts(tmp_path, name, make):
    make(tmp_path / name)
    file = PromptFile(str(tmp_path / name))
    assert [prompt.messages for prompt in file] == [(Message("user", text),) for text in TEXTS]
    assert file.count() == 3, "a file can be gone through again"


@pytest.mark.parametrize(("name", "make"), [("a.jsonl", write_jsonl), ("a.csv", write_table), ("a.tsv", write_table)])
def test_a_gzipped_file_is_read_as_the_file_it_holds(tmp_path, name, make):
    make(tmp_path / name)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert texts(str(tmp_path / f"{name}.gz")) == TEXTS


def test_a_text_file_holds_a_prompt_a_line_and_empty_lines_are_none(write):
    name = write("a.txt", "one\r\n\r\n  two  \n\n\nthree")
    found = list(PromptFile(name))
    assert [prompt.messages[0].content for prompt in found] == ["one", "two", "three"]
    assert [prompt.source.line for prompt in found] == [1, 3, 6]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_byte_order_mark_is_no_part_of_the_first_prompt(write, name):
    content = {"a.txt": "one\n", "a.jsonl": '{"prompt": "one"}\n', "a.csv": "prompt\none\n"}[name]
    assert texts(write(name, b"\xef\xbb\xbf" + content.encode())) == ["one"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.txt.gz"])
def test_an_empty_file_holds_no_prompts(write, name):
    assert PromptFile(write(name, gzip.compress(b"") if name.endswith("gz") else "")).count() == 0


def test_standard_input_is_a_prompt_a_line(monkeypatch):
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("one\n怎样？\n".encode())))
    file = PromptFile("-")
    assert file.count() is None
    assert [prompt.messages[0].content for prompt in file] == ["one", "怎样？"]


@pytest.mark.parametrize(
    ("value", "roles"),
    [
        ([{"role": "user", "content": "a"}], ["user"]),
        ([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], ["user"]),
        (
            [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"},
            ],
            ["system", "user", "assistant", "user"],
        ),
    ],
)
@pytest.mark.parametrize("key", ["messages", "conversations", "prompt"])
def test_conversations_end_with_what_the_user_says(write, key, value, roles):
    (prompt,) = PromptFile(write("a.jsonl", json.dumps({key: value})))
    assert [message.role for message in prompt.messages] == roles


@pytest.mark.parametrize(
    "item",
    [
        {"prompt": []},
        {"prompt": 7},
        {"prompt": "  "},
        {"prompt": {"role": "user", "content": "a"}},
        {"messages": ["a"]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "wizard", "content": "a"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"messages": [{"role": "assistant", "content": "a"}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
        {"answer": "a"},
        {},
        7,
        None,
        [],
    ],
    ids=json.dumps,
)
def test_a_bad_line_in_the_middle_is_named_by_its_line_or_passed_over_and_counted(write, item):
    lines = [json.dumps({"prompt": "one"}), "", json.dumps(item), json.dumps({"prompt": "two"})]
    name = write("a.jsonl", "\n".join(lines))
    with pytest.raises(PromptError) as caught:
        PromptFile(name).count()
    assert f"{name}:3: " in caught.value.what
    assert caught.value.hint
    skipped = Skipped()
    file = PromptFile(name, skipped=skipped)
    assert file.count() == 2
    assert skipped.count == 0, "counting ahead is no second miss"
    assert [prompt.messages[0].content for prompt in file] == ["one", "two"]
    assert (skipped.count, len(skipped.first)) == (1, 1)
    assert ":3: " in skipped.first[0]


@pytest.mark.parametrize("line", ["{oops}", '{"prompt": "a"', "NaN,", '{"prompt": "a"} {"prompt": "b"}', "[" * 100_000])
def test_a_line_that_is_no_json_is_named(write, line):
    name = write("a.jsonl", f'{{"prompt": "one"}}\n{line}\n{{"prompt": "two"}}\n')
    with pytest.raises(PromptError, match=r":2: (not JSON|JSON nested)"):
        PromptFile(name).count()
    assert texts(name, skipped=Skipped()) == ["one", "two"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_bytes_that_are_not_utf8_are_named_by_their_line(write, name):
    head = b"prompt\n" if name == "a.csv" else b""
    made = write(name, head + b'"one"\n"two \xff"\n"three"\n')
    with pytest.raises(PromptError, match=rf":{2 + bool(head)}: .*(UTF-8|utf-8)"):
        PromptFile(made).count()


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_line_that_is_not_utf8_can_be_passed_over_and_the_ones_after_it_are_not_lost(write, name):
    made = write(name, b'"one"\n"two \xff"\n"three"\n')
    skipped = Skipped()
    assert [text.strip('"') for text in texts(made, skipped=skipped)] == ["one", "three"]
    assert skipped.count == 1


def test_a_quote_that_is_never_closed_in_a_csv_is_named(write):
    name = write("a.csv", 'prompt\none\n"two\nthree\n')
    with pytest.raises(PromptError, match=r":\d: not CSV"):
        PromptFile(name).count()


def test_an_unquoted_comma_in_a_csv_is_a_bad_line_and_no_prompt_cut_short(write):
    name = write("a.csv", "id,prompt\n1,one\n2,Why, of all things, this?\n3,three\n")
    with pytest.raises(PromptError, match=r"a\.csv:3: has 4 fields, the head has 2") as caught:
        PromptFile(name).count()
    assert "quote text that holds a comma" in caught.value.hint
    assert texts(name, skipped=Skipped()) == ["one", "three"]
    with pytest.raises(PromptError, match="has 2 fields, the head has 1"):
        PromptFile(write("b.csv", "prompt\nNo, never\n")).count()


def test_a_csv_line_with_fewer_cells_is_read_by_its_columns(write):
    with pytest.raises(PromptError, match=r"a\.csv:2: no column that holds a prompt"):
        PromptFile(write("a.csv", "id,prompt\n1\n")).count()


def test_a_broken_gzip_is_no_traceback(write):
    whole = gzip.compress(b"one\ntwo\n" * 5000)
    for broken in (b"no gzip at all", whole[: len(whole) // 2]):
        with pytest.raises(PromptError, match="no whole gzip file"):
            PromptFile(write("a.txt.gz", broken)).count()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 20])
def test_a_broken_parquet_is_no_traceback(write, content):
    with pytest.raises(PromptError, match="no Parquet file"):
        PromptFile(write("a.parquet", content)).count()


@pytest.mark.parametrize("content", ["{}", "{", '"a"', ""])
def test_a_json_file_that_is_no_list_is_no_traceback(write, content):
    with pytest.raises(PromptError, match=r"is not JSON|is no list"):
        PromptFile(write("a.json", content)).count()


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept(write):
    name = write("a.jsonl", '{"prompt": "a \\ud83d b"}\n{"prompt": "c \\ud83d\\ude00 d"}\n')
    assert texts(name) == ["a \ufffd b", "c \U0001f600 d"]


def test_a_surrogate_beside_the_prompt_does_no_harm_either(write):
    (prompt,) = PromptFile(write("a.jsonl", '{"prompt": "a", "id": "\\ud83d", "category": "\\udc00x"}'))
    prompt.source.model_dump_json()


def test_a_file_that_is_not_there_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(PromptError, match="no prompt file"):
        PromptFile(str(tmp_path / "gone.jsonl"))
    with pytest.raises(PromptError, match="is a folder"):
        PromptFile(str(tmp_path))


def test_the_column_can_be_named_and_a_wrong_name_lists_what_is_there(write):
    name = write("a.csv", "prompt,goal\none,two\n")
    assert texts(name, column="goal") == ["two"]
    with pytest.raises(PromptError, match=r"no column `gaol`; there are `prompt`, `goal`"):
        PromptFile(name, column="gaol").count()


def test_a_template_turns_columns_into_a_prompt(write):
    name = write("a.csv", "premise,hypothesis\nIt rains.,It is wet.\n")
    assert texts(name, template="{{ premise }} Does it follow that {{ hypothesis | lower }}") == [
        "It rains. Does it follow that it is wet."
    ]
    with pytest.raises(PromptError, match=r"a\.csv:2: the template does not fit: .*'claim'.*`premise`, `hypothesis`"):
        PromptFile(name, template="{{ claim }}").count()
    with pytest.raises(PromptError, match="--template does not read"):
        PromptFile(name, template="{{ claim")


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ premise.nothing.here }}", "{{ premise + 1 }}", "{{ premise | nope }}"]
)
def test_a_template_that_fails_on_a_line_is_no_traceback(write, template):
    name = write("a.csv", "premise\nIt rains.\n")
    with pytest.raises(PromptError):
        PromptFile(name, template=template).count()


def test_a_template_cannot_reach_into_python(write):
    with pytest.raises(PromptError):
        PromptFile(write("a.csv", "a\nb\n"), template="{{ a.__class__.__mro__[1].__subclasses__() }}").count()


def test_ids_and_categories_come_along(write):
    (prompt,) = PromptFile(write("a.jsonl", json.dumps({"prompt": "a", "id": 7, "category": "theft"})))
    assert prompt.source == Source(file=prompt.source.file, line=1, id="7", category="theft")


def test_the_id_is_of_the_messages_alone():
    one = (Message("user", "a"),)
    assert prompt_id(one) == prompt_id((Message("user", "a"),))
    others = [(Message("user", "b"),), (Message("system", "a"),), (*one, Message("user", "a"))]
    assert len({prompt_id(messages) for messages in [one, *others]}) == 4


@pytest.mark.parametrize("kind", ["data set", "dict"])
def test_a_saved_data_set_is_read_by_its_path(tmp_path, kind):
    import datasets

    rows = datasets.Dataset.from_dict({"prompt": TEXTS})
    made = datasets.DatasetDict({"train": rows, "test": rows.select([1])}) if kind == "dict" else rows
    made.save_to_disk(str(tmp_path / "saved"))
    assert texts(f"hf:{tmp_path / 'saved'}") == TEXTS
    if kind == "dict":
        assert texts(f"hf:{tmp_path / 'saved'}#test") == TEXTS[1:2]
        with pytest.raises(PromptError, match="cannot be read"):
            texts(f"hf:{tmp_path / 'saved'}#validation")


def test_a_folder_of_data_files_is_read_by_its_path_as_a_data_set(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    write_jsonl(tmp_path / "set" / "train.jsonl")
    assert texts(f"hf:{tmp_path / 'set'}") == TEXTS


def test_a_data_set_that_is_not_there_is_no_traceback(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(PromptError, match="cannot be read"):
        texts(f"hf:{tmp_path / 'gone'}")


def numbered(kind: str, count: int) -> list[Prompt]:
    return [
        Prompt(f"{kind}{n}", (Message("user", kind),), Source(file=kind, line=n), kind == "b") for n in range(count)
    ]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.3, 0.5, 0.9])
def test_the_harmless_share_holds_at_every_moment(share):
    out = [prompt.benign for prompt in mixed(numbered("a", 400), numbered("b", 9000), share)]
    assert out.count(False) == 400
    assert abs(sum(out) / len(out) - share) < 0.005
    for end in range(50, len(out)):
        assert abs(sum(out[:end]) / end - share) < 0.06


def test_no_prompt_is_lost_where_the_harmless_ones_run_out():
    out = list(mixed(numbered("a", 50), numbered("b", 3), 0.5))
    assert [prompt.id for prompt in out if not prompt.benign] == [f"a{n}" for n in range(50)]
    assert sum(prompt.benign for prompt in out) == 3


@pytest.mark.parametrize(
    ("name", "head", "said"),
    [
        ("a.csv", "id;prompt\n1;one\n", "parted by `;`: part them by commas"),
        ("a.csv", "id\tprompt\n1\tone\n", "parted by tabs: part them by commas"),
        ("a.tsv", "id,prompt\n1,one\n", "parted by `,`: part them by tabs"),
    ],
)
def test_a_table_parted_by_another_mark_says_by_which(write, name, head, said):
    with pytest.raises(PromptError) as caught:
        PromptFile(write(name, head)).count()
    assert said in caught.value.hint


def test_only_the_last_ending_says_what_kind_a_file_is(tmp_path):
    (tmp_path / "x.tsv.d").mkdir()
    path = tmp_path / "x.tsv.d" / "c.tsv.csv"
    path.write_text("id,prompt\n1,one\n")
    assert texts(str(path)) == ["one"]


@pytest.mark.parametrize("name", ["a.docx", "a.pdf.gz", "a.xlsx", "a.csv.zip"])
def test_a_kind_that_is_not_read_is_refused_with_the_kinds_that_are(write, name):
    with pytest.raises(PromptError, match="of a kind that is not read") as caught:
        PromptFile(write(name, b"PK\x03\x04"))
    for known in (".jsonl", ".csv", ".parquet", ".txt"):
        assert known in caught.value.hint


@pytest.mark.parametrize("name", ["prompts", "a.txt", "a.md", "a.TXT.gz", "prompts.GZ"])
def test_text_may_have_no_ending(write, name):
    content = b"one\ntwo\n"
    assert texts(write(name, gzip.compress(content) if name.lower().endswith("gz") else content)) == ["one", "two"]


def test_parquet_in_gzip_is_told_to_be_unpacked(write):
    with pytest.raises(PromptError, match="Parquet in gzip") as caught:
        PromptFile(write("q.parquet.gz", gzip.compress(b"PAR1")))
    assert "gunzip" in caught.value.hint


def test_a_fault_in_json_names_the_item_for_its_lines_say_nothing(write):
    with pytest.raises(PromptError, match=r"a\.json: item 2: empty prompt"):
        PromptFile(write("a.json", '[{"prompt": "one"},\n\n\n{"prompt": " "}]')).count()
    with pytest.raises(PromptError, match=r"a\.json: item 1: no column that holds a prompt"):
        PromptFile(write("a.json", '[{"answer": "one"}]')).count()


@pytest.mark.parametrize("template", ["my_templates", "{% raw %}{{ x }}{% endraw %}", "Is this { claim } true?"])
def test_a_template_that_names_no_column_is_refused_and_the_folder_of_templates_named(write, template):
    with pytest.raises(PromptError, match="names no column") as caught:
        PromptFile(write("a.csv", "claim\nx\n"), template=template)
    assert "--templates" in caught.value.hint


def test_harmless_prompts_that_run_out_are_told_with_the_share_there_was():
    mixture = Mixture()
    list(mixed(numbered("a", 50), numbered("b", 5), 0.5, mixture))
    assert (mixture.prompts, mixture.benign, mixture.ran_out) == (55, 5, True)
    assert mixture.share == pytest.approx(5 / 55)
    enough = Mixture()
    list(mixed(numbered("a", 50), numbered("b", 50), 0.5, enough))
    assert (enough.share, enough.ran_out) == (0.5, False)
