"""A worker without a cluster: it opens its models, mends those that break, and works for no run but its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from constitution.prompt import Prompt, prompt_id
from constitution.row import ROLES, Source
from constitution.sharded.board import Board
from constitution.sharded.parcel import Done, Parcel, packed, unpacked
from constitution.sharded.plan import MARK, Plan
from constitution.sharded.shards import finished_ids
from constitution.sharded.worker import Worker
from guard.exchange import Message

VLLM = Path(__file__).parents[2] / "guard" / "models" / "fake_vllm.py"


class Handle:
    """The board as a worker has it: each method under `remote`, and awaited."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.board, name)

        async def answered(*given: Any) -> Any:
            return method(*given)

        return type("Method", (), {"remote": staticmethod(answered)})


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command `vllm` on the path; asked with `die` its server ends."""
    script = tmp_path / "bin" / "vllm"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {VLLM} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("guard.models.vllm._PATIENCE", 1)


Started = Callable[..., tuple[Worker, Board, Plan]]


@pytest.fixture
def started(plan, monkeypatch: pytest.MonkeyPatch) -> Started:
    monkeypatch.chdir(Path.cwd())  # the worker goes elsewhere

    def start(model: str, cwd: Path, **more: Any) -> tuple[Worker, Board, Plan]:
        made = plan(models=dict.fromkeys(ROLES[:3], model), encoder=None, **more)
        (made.out / MARK).write_text(made.session)
        board = Board(made, workers=1, spent=0)
        return Worker(Handle(board), str(cwd)), board, made

    return start


def parcel(number: int, *texts: str) -> Parcel:
    found = []
    for place, text in enumerate(texts):
        messages = (Message("user", text),)
        found.append((place, Prompt(prompt_id(messages), messages, Source(file="p", line=place + 1))))
    return Parcel(f"0001-{number:08d}", tuple(found))


async def given(worker: Worker, *parcels: Parcel) -> list[Done]:
    found: list[Awaitable[Done]] = []

    async def one(each: Parcel) -> Done:
        (said,) = [said async for said in worker({"parcel": [packed(each)]})]
        done: Done = unpacked(said["done"][0])
        return done

    found = [one(each) for each in parcels]
    return list(await asyncio.gather(*found))


def servers() -> set[int]:
    """Those of this process: other tests may run theirs at the same time."""
    found = set()
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # gone between the two calls
            if "fake_vllm.py" in " ".join(each.cmdline()):
                found.add(each.pid)
    return found


@pytest.mark.slow
async def test_a_prompt_at_which_the_model_in_the_worker_dies_is_put_aside_and_no_other_row_is_lost(started, vllm):
    """Three parcels share the model: it is opened anew under none of them."""
    worker, board, made = started("vllm:house/model", Path.cwd())
    texts = [[f"What is {number} and {n}?" for n in range(4)] for number in range(3)]
    done = await given(worker, parcel(0, *texts[0], "die"), parcel(1, *texts[1]), parcel(2, *texts[2]))
    assert [each.error for each in done] == [None] * 3
    assert [each.failed for each in done] == [1, 0, 0]
    assert "3 workers, or models in them, died" in done[0].last_failure
    assert len(list(finished_ids(made.out))) == 12
    assert board.state().starts == 1
    await worker._opened.closing.aclose()


async def test_a_model_that_dies_at_every_call_ends_the_run_with_its_last_words(started, vllm, monkeypatch):
    monkeypatch.setattr("constitution.sharded.worker._OPENED_ANEW", 1)
    worker, _, made = started("vllm:house/model", Path.cwd())
    (done,) = await given(worker, parcel(0, "die"))
    assert done.error is not None
    assert "engine core died" in done.error.what
    assert list(finished_ids(made.out)) == []
    await worker._opened.closing.aclose()


async def test_a_worker_that_is_not_admitted_leaves_no_model_open(started, vllm, determined):
    worker, board, _ = started("vllm:house/model", Path.cwd())
    board.admit(determined())
    before = servers()
    (done,) = await given(worker, parcel(0, "What is it?"))
    assert done.error is not None
    assert "other rows than the first one" in done.error.what
    assert servers() <= before


async def test_models_are_named_by_paths_that_count_from_the_drivers_folder(started, tmp_path):
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    (folder / "a script.yaml").write_text("default: {text: Fine.}\n")
    worker, _, made = started("scripted:a script.yaml", folder)
    (done,) = await given(worker, parcel(0, "What is it?"))
    assert done.error is None
    assert len(list(finished_ids(made.out))) == 1


async def test_a_worker_that_outlives_its_run_takes_no_parcel_of_it(started, tmp_path):
    (tmp_path / "s.yaml").write_text("default: {text: Fine.}\n")
    worker, _, made = started("scripted:s.yaml", tmp_path)
    assert (await given(worker, parcel(0, "What is it?")))[0].error is None
    (made.out / MARK).write_text("0002")
    (done,) = await given(worker, parcel(1, "What else?"))
    assert done.error is not None
    assert "does not see the output folder" in done.error.what
