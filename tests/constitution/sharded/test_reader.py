"""The input cut into parcels: the same way every time, without what is finished or came before."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from constitution.row_file import StoreError
from constitution.sharded.parcel import LARGEST, SMALLEST, Parcel, packed, size_of, unpacked
from constitution.sharded.reader import FINISHED, Reader, index_finished
from constitution.sharded.shards import write_shard
from constitution.sharded.state import Reading


def kept(plan, row_with, *prompt_ids: str) -> None:
    rows = [
        (place, row_id, "accepted", None, "", 1, 2, row_with(id=row_id, constitution="old").model_dump_json())
        for place, row_id in enumerate(prompt_ids)
    ]
    write_shard(plan.out, "0000-00000000", rows, "run-digest")


def parcels(plan, size: int = 4, carry=None) -> tuple[list[Parcel], list[Reading]]:
    index_finished(plan.out)
    told: list[Reading] = []
    return list(
        Reader(plan, size, carry or {}, lambda seen: told.append(pickle.loads(pickle.dumps(seen)))).parcels()
    ), told


def ids(found: list[Parcel]) -> list[str]:
    return [prompt.id for parcel in found for _, prompt in parcel.prompts]


def test_all_prompts_come_in_order_each_with_its_place(plan):
    found, told = parcels(plan(10))
    assert [len(parcel.prompts) for parcel in found] == [4, 4, 2]
    assert [place for parcel in found for place, _ in parcel.prompts] == list(range(10))
    assert [parcel.name for parcel in found] == ["0001-00000000", "0001-00000001", "0001-00000002"]
    assert told[-1].ended
    assert told[-1].read == 10


def test_what_is_finished_is_counted_by_what_made_it_and_not_given_again(plan, row_with):
    made = plan(6)
    every = ids(parcels(made)[0])
    kept(made, row_with, every[1], every[4])
    found, told = parcels(made)
    assert ids(found) == [every[0], every[2], every[3], every[5]]
    assert told[-1].resumed == {("old", "run-digest"): 2}


def test_a_prompt_that_stands_twice_comes_once_and_is_counted(plan):
    made = plan(3)
    path = Path(made.settings.prompts[0])
    path.write_text(path.read_text() * 2)
    found, told = parcels(made)
    assert len(ids(found)) == 3
    assert told[-1].repeated == 3


def test_it_is_cut_the_same_way_when_it_begins_anew_though_rows_were_finished_meanwhile(plan, row_with):
    made = plan(8)
    index_finished(made.out)
    reader = Reader(made, 3, {}, lambda _: None)
    first = list(reader.parcels())
    kept(made, row_with, *ids(first)[:3])  # a worker finished its parcel; the index is of the beginning
    assert list(reader.parcels()) == first


def test_a_bad_line_half_way_is_told_in_the_last_parcel_and_what_stood_before_it_comes(plan, tmp_path):
    made = plan(5)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "one"}\n{"prompt": \n')
    made = plan(5, prompts=(str(tmp_path / "prompts.txt"), str(bad)))
    found, _ = parcels(made)
    assert [len(parcel.prompts) for parcel in found] == [4, 0]
    assert found[-1].error is not None
    assert "bad.jsonl:2" in found[-1].error.what


def test_a_parcel_says_in_which_stores_calls_for_its_prompts_lie(plan):
    made = plan(8)
    every = ids(parcels(made)[0])
    found, _ = parcels(made, carry={every[0]: "0000-00000007", every[1]: "0000-00000007", every[6]: "0000-00000009"})
    assert [parcel.carry for parcel in found] == [("0000-00000007",), ("0000-00000009",)]


@pytest.mark.parametrize(
    ("total", "workers", "size"), [(20, 2, SMALLEST), (1600, 2, 100), (100_000_000, 64, LARGEST), (None, 2, 256)]
)
def test_few_prompts_make_small_parcels_and_many_large_ones(total, workers, size):
    assert size_of(total, workers) == size


def test_a_parcel_travels_as_it_is(plan):
    (first, *_) = parcels(plan(2))[0]
    assert unpacked(packed(first)) == first


def test_a_file_that_cannot_be_read_on_is_told_in_the_last_parcel(plan, tmp_path):
    unread = tmp_path / "memory.txt"
    unread.symlink_to("/proc/self/mem")
    found, _ = parcels(plan(4, prompts=(str(tmp_path / "prompts.txt"), str(unread))))
    assert [len(parcel.prompts) for parcel in found] == [4, 0]
    assert found[-1].error is not None
    assert "nput/output error" in found[-1].error.what


def test_a_fault_of_the_reader_itself_reaches_the_driver(plan):
    made = plan(4)
    index_finished(made.out)
    (made.out / FINISHED).write_bytes(b"torn by another hand, and no database" * 200)
    (only,) = Reader(made, 4, {}, lambda _: None).parcels()
    assert only.error is not None
    assert "DatabaseError" in only.error.what
    assert "fault of wardlaw itself" in only.error.hint


def test_an_index_that_cannot_be_written_is_told_in_words(plan):
    made = plan(4)
    with pytest.raises(StoreError, match="cannot be written"):
        index_finished(made.out / "nowhere")


def test_bad_lines_that_are_passed_over_are_counted_and_take_no_place(plan, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "one"}\n{"prompt": \n{"prompt": "two"}\n')
    found, told = parcels(plan(2, prompts=(str(bad), str(tmp_path / "prompts.txt")), skip_bad=True))
    assert [place for parcel in found for place, _ in parcel.prompts] == [0, 1, 2, 3]
    assert told[-1].skipped == 1
    assert "bad.jsonl:2" in told[-1].first_skipped[0]


def test_a_limit_counts_from_the_beginning_of_the_input_whatever_is_finished(plan, row_with):
    every = ids(parcels(plan(6))[0])
    made = plan(6, limit=3)
    kept(made, row_with, every[0])
    assert ids(parcels(made)[0]) == every[1:3]
