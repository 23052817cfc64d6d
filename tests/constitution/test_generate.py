"""The main job's own parts: loading on a thread, and how many rows are at work."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from constitution.generate import Generation
from constitution.loading import on_thread
from constitution.row import ROLES
from constitution.settings import Settings
from guard.models import open_model
from rules import load


@pytest.fixture
def generation(tmp_path: Path) -> Generation:
    (tmp_path / "p.txt").write_text("one\n")
    settings = Settings(prompts=(str(tmp_path / "p.txt"),), out=tmp_path / "out", models=dict.fromkeys(ROLES[:3], "x"))
    return Generation(settings, load("base").constitution)


async def test_what_was_loading_when_the_run_was_stopped_is_still_let_go_of():
    began, go_on, closed = threading.Event(), threading.Event(), []

    def load_slowly() -> str:
        began.set()
        go_on.wait(10)
        return "model"

    async def run() -> None:
        async with on_thread(load_slowly) as model:
            closed.append(model)
        pytest.fail("the run went on")

    task = asyncio.create_task(run())
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == ["model"]


async def test_an_error_of_loading_is_told_as_it_is():
    def fail() -> str:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        async with on_thread(fail):
            pass


def test_rows_at_work_follow_what_the_models_say_of_themselves(generation, tmp_path, monkeypatch):
    (tmp_path / "s.yaml").write_text("default: {text: Fine.}\n")
    local = open_model(f"scripted:{tmp_path / 's.yaml'}")
    remote = open_model("openai:http://127.0.0.1:1/v1#name")
    assert generation._rows_at_once([local, local]) == 8
    assert generation._rows_at_once([local, remote]) == 64


def test_while_models_load_the_progress_says_so(generation):
    from server.cli._progress import Prices, View

    view = View(generation.tally, generation.meter, generation.total, Prices())
    generation.meter.loading = True
    assert view.line().startswith("loading models ...")
    assert View(generation.tally, generation.meter, None, Prices(), loading="wait").line() == "wait"
    generation.meter.loading = False
    assert view.line().startswith("0/1 rows")
