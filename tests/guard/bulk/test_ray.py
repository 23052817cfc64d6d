"""On a real Ray cluster of this machine: the same shards, and what becomes of those that are killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.bulk.folder import shards_of

pytestmark = pytest.mark.timeout(300)
TEXTS = [f"text {number}" + " bad" * (number % 50 == 0) for number in range(400)]


def _until(true: Callable[[], bool], process: Any) -> None:
    """Wait for something to become true while a process is at work."""
    while not true():
        if process.poll() is not None:
            raise RuntimeError(f"ended before it: {process.communicate()}")
        time.sleep(0.02)


def _shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shards_of(out)}


def test_a_cluster_writes_the_shards_that_one_process_writes(
    ray_cluster: Any, watching: Any, write: Any, tmp_path: Path
):
    files = [write("a.jsonl", TEXTS), write("b.jsonl", TEXTS[:30])]
    files[1].write_text(files[1].read_text() + "{broken\n")
    local = watching.run(tmp_path / "local", files)
    on_ray = watching.run(tmp_path / "ray", files, ray_cluster.address)
    assert on_ray == local
    assert (local["rows"], local["found"], len(local["aside"])) == (430, 9, 1)
    assert _shards(tmp_path / "ray") == _shards(tmp_path / "local")


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_unit_judged_again(
    ray_cluster: Any, watching: Any, write: Any, rows_of: Any, tmp_path: Path
):
    path, out = write("a.jsonl", TEXTS), tmp_path / "out"
    process = watching.begin(out, [path], ray_cluster.address, 0.02)
    _until(lambda: len(watching.processes()) == 2 and len(shards_of(out)) > 2, process)
    os.kill(watching.processes()[0], signal.SIGKILL)
    _, wrong = process.communicate()
    assert process.returncode == 0, wrong
    assert [row["id"] for row in rows_of(out)] == [f"a-{number}" for number in range(400)]
    assert len(watching.processes()) == 3
    asked = Counter(watching.asked())
    assert set(asked) == set(TEXTS)
    # One unit was in the killed worker: 32 lines at most.
    assert asked.total() - len(TEXTS) <= 32


@pytest.mark.slow
def test_a_killed_driver_loses_no_more_than_the_units_in_flight(
    ray_cluster: Any, watching: Any, write: Any, rows_of: Any, tmp_path: Path
):
    path, out = write("a.jsonl", TEXTS), tmp_path / "out"
    process = watching.begin(out, [path], ray_cluster.address, 0.02)
    _until(lambda: len(shards_of(out)) > 4, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = len(shards_of(out))
    told = watching.run(out, [path], ray_cluster.address)
    assert kept <= told["kept"] < told["units"]
    assert (told["rows"], told["aside"]) == (400, [])
    assert [row["id"] for row in rows_of(out)] == [f"a-{number}" for number in range(400)]
    # A unit in each of the two workers: 32 lines at most.
    assert Counter(watching.asked()).total() - len(TEXTS) <= 64


@pytest.mark.slow
def test_a_text_that_kills_its_worker_does_not_stop_the_run(
    ray_cluster: Any, watching: Any, write: Any, rows_of: Any, tmp_path: Path
):
    texts = [*TEXTS[:60], "deadly", *TEXTS[60:]]
    path, out = write("a.jsonl", texts), tmp_path / "out"
    told = watching.run(out, [path], ray_cluster.address)
    assert told["rows"] == 400
    assert "workers died while they judged it alone" in told["aside"][0]
    rows = rows_of(out)
    assert [row["line"] for row in rows if row["error"]] == [61]
    assert len(rows) == 401


@pytest.mark.slow
def test_a_worker_that_makes_another_gate_ends_the_run_with_a_word(
    ray_cluster: Any, watching: Any, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WATCHED_IDENTITY", "changed in the driver alone")
    process = watching.begin(tmp_path / "out", [write("a.jsonl", TEXTS)], ray_cluster.address)
    _, wrong = process.communicate()
    assert process.returncode == 1
    assert "a worker makes another gate than this command" in wrong
