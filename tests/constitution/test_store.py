"""What survives: calls and rows, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from constitution.replies import call_key
from constitution.row import Rejection, Source
from constitution.row_file import FILE, StoreError
from constitution.store import MadeBy, RowStore
from guard.exchange import Message
from guard.models.base import Ask, Reply, Sampling, TokenLogprob, Usage

ASK = Ask((Message("system", "s"), Message("user", "u")), Sampling(0.5, 0.9, 100, 3, ("x",)), {"type": "object"}, 2)


@pytest.fixture
def store(tmp_path):
    with closing(RowStore(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(
    "other",
    [
        replace(ASK, messages=(Message("system", "s"), Message("user", "v"))),
        replace(ASK, messages=(Message("user", "s"), Message("user", "u"))),
        replace(ASK, messages=(Message("system", "su"),)),
        replace(ASK, messages=(Message("system", "s"), Message("user", "u", reasoning=""))),
        replace(ASK, messages=(Message("system", "s"), Message("user", "u", reasoning="r"))),
        replace(ASK, messages=(*ASK.messages, Message("user", ""))),
        replace(ASK, messages=(Message("system", ""), Message("user", "su"))),
        replace(ASK, sampling=replace(ASK.sampling, seed=4)),
        replace(ASK, sampling=replace(ASK.sampling, seed=None)),
        replace(ASK, sampling=replace(ASK.sampling, temperature=0.6)),
        replace(ASK, sampling=replace(ASK.sampling, top_p=1.0)),
        replace(ASK, sampling=replace(ASK.sampling, max_tokens=101)),
        replace(ASK, sampling=replace(ASK.sampling, stop=())),
        replace(ASK, schema=None),
        replace(ASK, schema={"type": "array"}),
        replace(ASK, logprobs=0),
        replace(ASK, template={"guideline": "Be kind."}),
    ],
)
def test_whatever_determines_an_answer_is_in_its_key(other):
    assert call_key("model", other) != call_key("model", ASK)


def test_the_key_is_of_the_content_and_of_the_model():
    again = Ask(tuple(ASK.messages), replace(ASK.sampling), dict(ASK.schema or {}), 2)
    assert call_key("model", again) == call_key("model", ASK)
    assert call_key("other", ASK) != call_key("model", ASK)
    assert len(call_key("model", ASK)) == 16


def test_a_call_kept_before_templates_could_be_told_anything_is_found_again():
    assert call_key("model", ASK).hex() == "ab3d8e76ebbce269704b41975a39ffed"


def test_a_key_can_be_made_of_half_a_surrogate_pair():
    assert call_key("m", replace(ASK, messages=(Message("user", "\ud83d"),))) != call_key("m", ASK)


def test_a_reply_comes_back_as_it_went_in(store, tmp_path):
    reply = Reply(
        "怎样？\x00 \U0001f600", "length", "I think", Usage(7, 8), (TokenLogprob("a", -0.5, {"a": -0.5, "b": -1.5}),)
    )
    store.keep_call(b"k", "row", "answer", reply)
    assert store.reply(b"k") == reply
    assert store.reply(b"other") is None
    with closing(RowStore(tmp_path)) as later:
        assert later.reply(b"k") == reply


def test_the_first_answer_to_a_call_stands(store):
    store.keep_call(b"k", "row", "answer", Reply("one"))
    store.keep_call(b"k", "row", "answer", Reply("two"))
    assert store.reply(b"k") == Reply("one")
    assert store.counts().calls == 1


def test_rows_come_back_in_the_order_of_the_input(store, row_with):
    for position in (4, 0, 300, 2):
        store.keep_row(position, row_with(id=f"row{position}"))
    assert [row.id for row in store.rows()] == ["row0", "row2", "row4", "row300"]


def test_more_rows_than_a_page_come_back_each_once(store, row_with):
    for position in range(600):
        store.keep_row(position, row_with(id=f"row{position}"))
    assert [row.id for row in store.rows()] == [f"row{position}" for position in range(600)]
    assert len(list(store.finals("near_duplicate"))) == 600


def test_keeping_a_row_twice_changes_nothing(store, row_with):
    store.keep_row(0, row_with())
    store.keep_row(0, row_with(final="another"))
    store.keep_row(7, row_with(final="another"))
    assert [row.final for row in store.rows()] == [row_with().final]


def test_a_row_whose_place_is_taken_goes_to_the_end(store, row_with):
    for position, name in ((0, "a"), (1, "b"), (0, "c")):
        store.keep_row(position, row_with(id=name))
    assert [row.id for row in store.rows()] == ["a", "b", "c"]


def test_rows_are_found_by_status_reason_rule_and_id(store, row_with, round_with):
    bad = {"status": "rejected", "rejection": Rejection(stage="checks", reason="evasive")}
    store.keep_row(0, row_with(id="aa1", rounds=(round_with("insults", "keeps"), round_with("arson", "keeps"))))
    store.keep_row(1, row_with(id="aa2", rounds=(round_with("arson-at-sea", "keeps"),), **bad))

    def found(**by):
        return [row.id for row in store.rows(**by)]

    assert found(status="accepted") == ["aa1"]
    assert found(reason="evasive") == ["aa2"]
    assert found(rule="arson") == ["aa1"]
    assert found(rule="insults") == ["aa1"]
    assert found(row="aa") == ["aa1", "aa2"]
    assert found(row="aa2") == ["aa2"]
    assert found(status="accepted", rule="arson-at-sea") == []
    assert store.reasons() == {"evasive": 1}
    counts = store.counts()
    assert (counts.accepted, counts.rejected) == (1, 1)


def test_a_failure_is_forgotten_when_its_row_is_finished(store, row_with):
    store.keep_failure("row-plain", Source(file="p", line=3), "down")
    store.keep_failure("row-plain", Source(file="p", line=3), "still down")
    assert [(name, error) for name, _, error in store.failures()] == [("row-plain", "still down")]
    store.keep_row(0, row_with())
    assert store.failures() == []


def test_what_made_a_row_is_known_once_it_is_finished(store, row_with):
    assert store.made_by("row-plain") is None
    assert not store.has_rows()
    store.keep_row(0, row_with())
    row = row_with()
    assert store.made_by("row-plain") == MadeBy(row.constitution, row.templates, row.models, row.sampling)
    assert store.has_rows()


def test_a_replaced_row_keeps_its_place(store, row_with):
    store.keep_row(0, row_with(id="a"))
    store.keep_row(1, row_with(id="b"))
    gone = Rejection(stage="duplicates", reason="near_duplicate")
    store.replace_row(row_with(id="a", status="rejected", rejection=gone))
    assert [(row.id, row.status) for row in store.rows()] == [("a", "rejected"), ("b", "accepted")]
    assert store.reasons() == {"near_duplicate": 1}


def test_a_reader_looks_in_while_a_run_writes(store, tmp_path, row_with):
    store.keep_row(0, row_with(id="a"))
    with closing(RowStore(tmp_path, read_only=True)) as reader:
        rows = reader.rows()
        assert next(rows).id == "a"
        store.keep_row(1, row_with(id="b"))
        assert [row.id for row in reader.rows()] == ["a", "b"]
        with pytest.raises(StoreError):
            reader.keep_row(2, row_with(id="c"))


def test_a_folder_without_rows_is_said_to_be_one(tmp_path):
    with pytest.raises(StoreError, match="holds no rows"):
        RowStore(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == [], "looking makes no file"


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_store_is_no_traceback(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    for read_only in (True, False):
        with pytest.raises(StoreError, match="no row store, or is damaged"):
            RowStore(tmp_path, read_only=read_only)


def test_a_store_damaged_in_the_middle_is_no_traceback(tmp_path, row_with):
    with closing(RowStore(tmp_path)) as made:
        for position in range(200):
            made.keep_row(position, row_with(id=f"r{position}"))
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * 200_000)
    with pytest.raises(StoreError, match="damaged"), closing(RowStore(tmp_path, read_only=True)) as broken:
        list(broken.rows())
        broken.reasons()


def test_a_store_of_another_version_is_refused(tmp_path):
    with closing(RowStore(tmp_path)):
        pass
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="version 9"):
        RowStore(tmp_path)
