"""Stores of parcels, shards of finished rows, and what an earlier run left."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from constitution.row import Rejection, Row
from constitution.row_file import StoreError
from constitution.rows import open_rows
from constitution.sharded.leftovers import next_session, settle, stores
from constitution.sharded.parcel_store import ParcelStore
from constitution.sharded.plan import ROWS, WORK
from constitution.sharded.shards import Shards, finished_ids, is_sharded, shards_of, write_shard
from guard.models.base import Reply, Usage

ROOT = Path(__file__).parents[3]


def reply(text: str) -> Reply:
    return Reply(text, usage=Usage(3, 4))


@pytest.fixture
def parcel(tmp_path):
    """A parcel at work: two finished rows, one begun, calls for all three."""
    folder = tmp_path / WORK / "0001-00000000"

    def make(row_with) -> ParcelStore:
        store = ParcelStore(folder)
        store.run = "run-a"
        for place, row_id in enumerate(("a", "b")):
            store.keep_call(row_id.encode(), row_id, "answer", reply(row_id))
            store.begin(row_id)
            store.keep_row(place, row_with(id=row_id))
        store.begin("c")
        store.keep_call(b"c", "c", "answer", reply("c"))
        return store

    return make


def test_a_death_is_counted_for_the_rows_at_work_alone(parcel, row_with):
    with closing(parcel(row_with)) as store:
        assert store.died() == {"c": 1}
        store.end("c")
        assert store.died() == {}


def test_calls_are_taken_over_for_the_rows_that_are_asked_for(parcel, row_with, tmp_path):
    with closing(parcel(row_with)) as store, closing(ParcelStore(tmp_path / "new")) as new:
        new.take_calls(store.path, {"c", "nobody"})
        assert new.reply(b"c") == reply("c")
        assert new.reply(b"a") is None


def test_finished_rows_of_a_killed_run_go_into_a_shard_and_calls_of_the_others_are_found_again(
    parcel, row_with, tmp_path
):
    parcel(row_with).close()
    left = settle(tmp_path)
    assert left.calls == {"c": "0001-00000000"}
    assert left.tokens == 7
    assert [(row, run) for row, _, run in finished_ids(tmp_path)] == [("a", "run-a"), ("b", "run-a")]
    assert settle(tmp_path).calls == left.calls, "a second look finds the same"
    assert next_session(tmp_path) == "0002"


def test_a_parcel_is_waited_for_while_another_process_has_it_and_taken_when_that_one_dies(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from constitution.sharded.parcel_store import ParcelStore;"
        "ParcelStore(Path(sys.argv[1])); print('has it', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        other.stdout.readline()
        killing = threading.Timer(0.3, other.kill)
        killing.start()
        ParcelStore(tmp_path).close()
        killing.join()


def test_a_store_with_nothing_left_to_do_is_dropped(parcel, row_with, tmp_path):
    with closing(parcel(row_with)) as store:
        store.keep_row(2, row_with(id="c"))
    assert settle(tmp_path).calls == {}
    assert stores(tmp_path) == []
    assert len(list(finished_ids(tmp_path))) == 3


def test_a_store_whose_row_was_finished_by_a_later_run_goes_and_one_whose_row_was_not_stays(parcel, row_with, tmp_path):
    """Also where the later run was over other prompts: what was paid for the first ones is not thrown away."""
    parcel(row_with).close()
    settle(tmp_path)
    shard(tmp_path, row_with, "0002-00000000", row_with(id="elsewhere"))
    assert settle(tmp_path, session="0002").calls == {"c": "0001-00000000"}
    shard(tmp_path, row_with, "0003-00000000", row_with(id="c"))
    assert settle(tmp_path, session="0003").calls == {}
    assert not (tmp_path / WORK).exists()


def test_calls_that_a_later_run_took_over_are_counted_once(parcel, row_with, tmp_path):
    parcel(row_with).close()
    settle(tmp_path)
    with closing(ParcelStore(tmp_path / WORK / "0002-00000003")) as store:
        store.take_calls(tmp_path / WORK / "0001-00000000" / "rows.sqlite", {"c"})
        store.keep_call(b"c2", "c", "critique", reply("more"))
    left = settle(tmp_path)
    assert left.calls == {"c": "0002-00000003"}
    assert left.tokens == 14


def test_a_row_that_two_workers_finished_in_two_runs_stands_once(row_with, tmp_path):
    """A worker of a killed run that lived on, and the run after it."""
    for name in ("0001-00000000", "0002-00000000"):
        with closing(ParcelStore(tmp_path / WORK / name)) as store:
            store.run = "run-a"
            store.keep_row(0, row_with(id="a"))
    settle(tmp_path)
    with closing(ParcelStore(tmp_path / WORK / "0001-00000001")) as store:
        store.keep_row(1, row_with(id="a"))
    settle(tmp_path)
    assert [row for row, _, _ in finished_ids(tmp_path)] == ["a"]


def test_a_row_is_not_taken_for_deadly_by_deaths_before_it_was_taken_up_again(tmp_path):
    with closing(ParcelStore(tmp_path)) as store:
        store.begin("x")
        assert store.died() == {"x": 1}
        assert store.died() == {"x": 1}, "it was not at work since"
        store.begin("x")
        assert store.died() == {"x": 2}


def test_one_who_waits_for_a_store_that_is_dropped_gets_a_new_one(tmp_path):
    folder = tmp_path / "parcel"
    store = ParcelStore(folder)
    store.keep_call(b"a", "a", "answer", reply("a"))
    found: list[ParcelStore] = []
    waiting = threading.Thread(target=lambda: found.append(ParcelStore(folder)))
    waiting.start()
    store.drop()
    waiting.join()
    with closing(found[0]) as other:
        assert other.reply(b"a") is None
        other.keep_call(b"b", "b", "answer", reply("b"))
    assert [path.name for path in tmp_path.iterdir()] == ["parcel"]


def test_a_store_that_is_damaged_is_named_with_what_to_do(parcel, row_with, tmp_path):
    store = parcel(row_with)
    store.close()
    store.path.write_bytes(b"no database, by no means, for it was torn" * 100)
    with pytest.raises(StoreError, match="damaged") as caught:
        settle(tmp_path)
    assert f"remove `{store.path.parent}`" in caught.value.hint


def shard(folder, row_with, name: str, *rows: Row) -> None:
    columns = [(n, row.id, row.status, None, "arson", 5, 6, row.model_dump_json()) for n, row in enumerate(rows)]
    write_shard(folder, name, columns, "run-a")


def test_all_shards_are_read_as_one_by_run_and_then_by_place(tmp_path, row_with):
    shard(tmp_path, row_with, "0002-00000000", row_with(id="d"))
    shard(tmp_path, row_with, "0001-00000001", row_with(id="c"))
    shard(tmp_path, row_with, "0001-00000000", row_with(id="a"), row_with(id="b"))
    assert is_sharded(tmp_path)
    with closing(open_rows(tmp_path)) as rows:
        assert [row.id for row in rows.rows()] == ["a", "b", "c", "d"]
        assert rows.counts().accepted == 4
        assert rows.rules() == {"arson": 4}
        assert [row.id for row in rows.rows(row="b")] == ["b"]
        assert list(rows.rows(rule="theft")) == []


def test_what_a_later_pass_says_of_a_row_stands_in_place_of_what_its_shard_says(tmp_path, row_with):
    shard(tmp_path, row_with, "0001-00000000", row_with(id="a"), row_with(id="b"))
    before = shards_of(tmp_path)[0].read_bytes()
    rejection = Rejection(stage="duplicates", reason="near_duplicate", detail="the answer repeats that of row a")
    with closing(Shards(tmp_path, read_only=False)) as shards:
        shards.replace_row(row_with(id="b", status="rejected", rejection=rejection))
    with closing(open_rows(tmp_path)) as rows:
        assert [row.id for row in rows.rows(status="accepted")] == ["a"]
        assert rows.reasons() == {"near_duplicate": 1}
        assert list(rows.finals("near_duplicate"))[1][:2] == ("b", "near_duplicate")
        with pytest.raises(StoreError, match="opened to be read"):
            rows.replace_row(row_with(id="a"))
    assert shards_of(tmp_path)[0].read_bytes() == before


def test_a_damaged_shard_is_named_with_what_to_do(tmp_path, row_with):
    shard(tmp_path, row_with, "0001-00000000", row_with(id="a"))
    shards_of(tmp_path)[0].write_bytes(b"PAR1 no more")
    with closing(open_rows(tmp_path)) as rows, pytest.raises(StoreError, match=r"0001-00000000\.parquet` is no shard"):
        list(rows.rows())


def test_half_a_shard_that_a_killed_worker_left_is_not_read_and_is_removed(tmp_path, row_with):
    shard(tmp_path, row_with, "0001-00000000", row_with(id="a"))
    half = tmp_path / ROWS / ".0001-00000001.parquet.77.partial"
    half.write_bytes(b"PAR1")
    with closing(open_rows(tmp_path)) as rows:
        assert rows.counts().accepted == 1
    settle(tmp_path)
    assert not half.exists()


def test_a_row_made_anew_after_its_shard_was_lost_is_not_hidden_by_what_was_said_of_the_lost_one(tmp_path, row_with):
    shard(tmp_path, row_with, "0001-00000000", row_with(id="a"))
    rejection = Rejection(stage="duplicates", reason="near_duplicate", detail="the answer repeats that of row b")
    with closing(Shards(tmp_path, read_only=False)) as shards:
        shards.replace_row(row_with(id="a", status="rejected", rejection=rejection))
    shards_of(tmp_path)[0].unlink()
    shard(tmp_path, row_with, "0002-00000000", row_with(id="a", final="Another answer.", started=2000, finished=2001))
    with closing(open_rows(tmp_path)) as rows:
        assert [(row.status, row.final) for row in rows.rows()] == [("accepted", "Another answer.")]


def test_a_strange_parquet_file_among_the_shards_is_passed_over_and_one_called_as_a_shard_is_told(tmp_path, row_with):
    import pyarrow as pa
    import pyarrow.parquet as pq

    shard(tmp_path, row_with, "0001-00000000", row_with(id="a"))
    pq.write_table(pa.table({"x": [1]}), tmp_path / ROWS / "mine.parquet")
    assert [row for row, _, _ in finished_ids(tmp_path)] == ["a"]
    pq.write_table(pa.table({"x": [1]}), tmp_path / ROWS / "0001-00000009.parquet")
    with pytest.raises(StoreError, match="no column `constitution`"):
        list(finished_ids(tmp_path))


def test_a_disk_without_room_leaves_no_half_shard_and_the_rows_in_their_store(parcel, row_with, tmp_path):
    store = parcel(row_with)
    (tmp_path / ROWS).write_text("a file where the folder should be")
    with closing(store), pytest.raises(StoreError, match="cannot be written"):
        store.put_away(tmp_path, "0001-00000000")
    with closing(ParcelStore(store.path.parent)) as again:
        assert again.finished() == {"a", "b"}


def test_a_folder_without_a_finished_row_says_so(tmp_path):
    ParcelStore(tmp_path / WORK / "0001-00000000").close()
    with pytest.raises(StoreError, match="no finished rows"):
        open_rows(tmp_path)


def test_a_folder_that_has_a_work_of_its_own_is_not_taken_for_one_of_shards(tmp_path):
    (tmp_path / WORK).mkdir()
    (tmp_path / ROWS).mkdir()
    assert not is_sharded(tmp_path)
