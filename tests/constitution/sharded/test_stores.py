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
from constitution.sharded.leftovers import clear, next_session, settle, stores
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
        assert store.died() == {"c": 2}
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


def test_after_a_whole_run_the_stores_of_earlier_runs_go_and_its_own_stay(parcel, row_with, tmp_path):
    parcel(row_with).close()
    ParcelStore(tmp_path / WORK / "0002-00000000").close()
    clear(tmp_path, "0002")
    assert [path.parent.name for path in stores(tmp_path)] == ["0002-00000000"]


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


def test_half_a_shard_that_a_killed_worker_left_is_not_read(tmp_path, row_with):
    shard(tmp_path, row_with, "0001-00000000", row_with(id="a"))
    (tmp_path / ROWS / ".0001-00000001.parquet.77.partial").write_bytes(b"PAR1")
    with closing(open_rows(tmp_path)) as rows:
        assert rows.counts().accepted == 1


def test_a_folder_without_a_finished_row_says_so(tmp_path):
    (tmp_path / ROWS).mkdir()
    with pytest.raises(StoreError, match="no finished rows"):
        open_rows(tmp_path)
