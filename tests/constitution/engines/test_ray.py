"""The Ray engine without a cluster: what it refuses, how it shares out the cluster, and what it says at the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constitution.calls import BudgetSpent
from constitution.engines import EngineError, Where, open_engine
from constitution.engines.ray import RayGeneration, fixed
from constitution.row import ROLES
from constitution.row_file import FILE
from constitution.settings import Settings
from constitution.sharded.drive import Drive
from constitution.sharded.parcel import Done
from constitution.sharded.plan import WORK
from guard.cluster import Cluster
from guard.models.base import Usage
from rules import load
from rules.errors import WardlawError

Made = Callable[..., Any]


@pytest.fixture
def engine(tmp_path: Path) -> Made:
    """Opens a run of the engine called so."""

    def make(name: str = "ray", where: Where | None = None, model: str = "openai:http://h/v1#m", **more: Any) -> Any:
        (tmp_path / "p.txt").write_text("one\ntwo\n")
        fields = {"prompts": (str(tmp_path / "p.txt"),), "models": dict.fromkeys(ROLES[:3], model), **more}
        settings = Settings(out=tmp_path / "out", **fields)
        return open_engine(name).generation(settings, load("base").constitution, where or Where())

    return make


def test_standard_input_and_a_folder_of_the_other_engine_are_refused(engine, tmp_path):
    with pytest.raises(EngineError, match="standard input"):
        engine(prompts=("-",))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / WORK).mkdir()
    engine("local")  # a folder of that name is no sign of shards
    (tmp_path / "out" / WORK / "0001-00000000").mkdir()
    (tmp_path / "out" / WORK / "0001-00000000" / FILE).write_text("")
    with pytest.raises(EngineError, match="holds the shards of `--engine ray`"):
        engine("local")
    (tmp_path / "out" / FILE).write_text("")
    with pytest.raises(EngineError, match="holds rows of the local engine"):
        engine()


@pytest.mark.parametrize(
    ("model", "gpus", "where", "workers", "share"),
    [
        ("openai:http://h/v1#m", 2, Where(), 8, 0.0),
        ("vllm:house/model", 2, Where(), 2, 1.0),
        ("vllm:house/model", 2, Where(workers=1, gpus=2), 1, 2.0),
        ("gguf:model.gguf", 0, Where(), 1, 0.0),
        ("gguf:model.gguf", 2, Where(gpus=0), 2, 0.0),
    ],
)
def test_a_worker_is_given_a_gpu_where_its_model_runs_in_it(engine, model, gpus, where, workers, share):
    made: RayGeneration = engine(model=model, where=where)
    cluster = Cluster(cpus=8, gpus=gpus, driver="n", begun=True)
    assert (made._workers(cluster), made._gpus(cluster)) == (workers, share)


def test_patterns_stand_for_the_files_of_the_beginning(engine, tmp_path):
    """A reader that began anew among other files would give other prompts the names of finished parcels."""
    (tmp_path / "out").mkdir()
    for name in ("a b.jsonl", "c.jsonl"):
        (tmp_path / name).write_text(json.dumps({"prompt": name}) + "\n")
    made: RayGeneration = engine(prompts=(str(tmp_path / "*.jsonl"),), benign=(str(tmp_path / "*.txt"),))
    found = fixed(made._plan())
    (tmp_path / "b.jsonl").write_text('{"prompt": "late"}\n')
    assert [Path(name).name for name in found.settings.prompts] == ["a b.jsonl", "c.jsonl"]
    assert [Path(name).name for name in found.settings.benign] == ["p.txt"]


def test_a_spent_budget_is_told_in_the_figures_of_the_run(engine):
    made: RayGeneration = engine(max_tokens_total=50_000)
    made.meter.before = 40_000
    made.meter.usage = Usage(5_000, 4_000)
    assert "the budget of 50,000 tokens is spent: 49,000 are used" in made._budget_spent().what


def told_by(*dones: Done | Exception) -> Drive:
    def drawing() -> Any:
        for done in dones:
            if isinstance(done, Exception):
                raise done
            yield done

    drive = Drive(drawing())
    assert drive.ended.wait(10)
    return drive


def test_what_ended_the_drive_is_told_and_what_cannot_be_mended_by_going_on_comes_first():
    spent = Done("p", spent=WardlawError("spent", "more"))
    told_by(Done("p", accepted=3)).tell()
    with pytest.raises(BudgetSpent):
        told_by(Done("o"), spent).tell()
    with pytest.raises(WardlawError, match="no such file"):
        told_by(Done("o", error=WardlawError("no such file")), Done("p")).tell()
    with pytest.raises(EngineError, match=r"Ray gave up: the actor died"):
        told_by(RuntimeError("the  actor\ndied")).tell()


async def test_a_board_that_is_gone_ends_the_run_in_words():
    pytest.importorskip("ray")
    from ray.exceptions import RayActorError

    from constitution.engines.ray import _state

    class Gone:
        class state:  # noqa: N801
            @staticmethod
            async def remote() -> None:
                raise RayActorError

    with pytest.raises(EngineError, match="Ray gave up"):
        await _state(Gone())
