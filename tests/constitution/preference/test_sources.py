"""Contests out of files and folders."""

from __future__ import annotations

import json

import pytest

from constitution.preference.sources import ContestFile, RowFolder, is_row_folder
from constitution.prompt import PromptError
from constitution.row import Candidate
from constitution.sources import Skipped
from constitution.store import RowStore


@pytest.fixture
def read(tmp_path):
    def read_lines(*lines, **options):
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return list(ContestFile(str(path), **options).contests())

    return read_lines


def test_answers_and_the_place_of_the_best_are_read(read):
    (found,) = read({"prompt": "Hi?", "answers": ["a", "b", "c"], "best": 2})
    assert found.answers == ("a", "b", "c")
    assert found.pairs == ((2, 0), (2, 1))
    (free,) = read({"prompt": "Hi?", "answers": ["a", "b", "c"]})
    assert free.pairs == ((0, 1), (0, 2), (1, 2))


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": [{"role": "user", "content": "Hi?"}], "chosen": "Good day.", "rejected": "Go away."},
        {"prompt": "Hi?", "chosen": [{"role": "assistant", "content": "Good day."}],
         "rejected": [{"role": "assistant", "content": "Go away."}]},
        {"chosen": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Good day."}],
         "rejected": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Go away."}]},
        {"chosen": "\n\nHuman: Hi?\n\nAssistant: Good day.", "rejected": "\n\nHuman: Hi?\n\nAssistant: Go away."},
        {"prompt": "Which of (A) and (B)?", "text_correct": "\n\nHuman: Hi?\n\nAssistant: Good day.",
         "text_incorrect": "\n\nHuman: Hi?\n\nAssistant: Go away."},
    ],
)  # fmt: skip
def test_a_pair_is_read_however_it_is_written(line, read):
    (found,) = read(line)
    assert [(message.role, message.content) for message in found.messages] == [("user", "Hi?")]
    assert found.answers == ("Good day.", "Go away.")
    assert found.preferred == 0


def test_earlier_turns_of_a_transcript_are_the_prompt(read):
    talk = "\n\nHuman: One?\n\nAssistant: Two.\n\nHuman: Three?\n\nAssistant: "
    (found,) = read({"chosen": talk + "Four.\n\nMore of it.", "rejected": talk + "Five."})
    assert [message.role for message in found.messages] == ["user", "assistant", "user"]
    assert found.answers == ("Four.\n\nMore of it.", "Five.")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"prompt": "Hi?"}, "without answers"),
        ({"prompt": "Hi?", "answers": ["one"]}, "no list of 2 to 16"),
        ({"prompt": "Hi?", "answers": ["one", ""]}, "not empty"),
        ({"prompt": "Hi?", "answers": ["one", "two"], "best": 2}, "no place"),
        ({"prompt": "Hi?", "chosen": "one"}, "without `rejected`"),
        ({"answers": ["one", "two"]}, "no column that holds a prompt"),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"}, "different conv"),
    ],
)
def test_a_bad_line_is_told_with_its_place_or_passed_over(line, what, read):
    good = {"prompt": "Hi?", "answers": ["one", "two"]}
    with pytest.raises(PromptError, match=rf"pairs.jsonl:2: .*{what}"):
        read(good, line)
    skipped = Skipped()
    assert len(read(good, line, skipped=skipped)) == 1
    assert skipped.count == 1


def test_a_prompt_alone_waits_for_answers_where_they_are_drawn(read):
    (found,) = read({"prompt": "Hi?", "chosen": "one", "rejected": "two"}, sampled=True)
    assert (found.kind, found.answers, found.preferred) == ("sampled", (), None)


def test_rows_give_first_against_final_or_all_that_was_drawn(sample_rows, tmp_path):
    store = RowStore(tmp_path)
    changed = next(row for row in sample_rows if row.status == "accepted" and row.changed)
    drawn = (Candidate(text="Another way to say it.", score=0.1),)
    rounds = tuple(round_.model_copy(update={"candidates": drawn}) for round_ in changed.rounds)
    rows = [row for row in sample_rows if row.id != changed.id] + [changed.model_copy(update={"rounds": rounds})]
    for position, row in enumerate(rows):
        store.keep_row(position, row)
    store.close()
    assert is_row_folder(str(tmp_path))
    revisions = list(RowFolder(tmp_path, "revision").contests())
    wanted = [(row.answer, row.final) for row in rows if row.status == "accepted" and row.changed]
    assert [found.answers for found in revisions] == [pair for pair in wanted if pair[0] != pair[1]]
    samples = {found.source.id: found for found in RowFolder(tmp_path, "samples").contests()}
    assert samples[changed.id].answers == (changed.answer, changed.final, "Another way to say it.")
