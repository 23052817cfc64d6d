"""`generate --engine ray` on a real cluster: the rows of the local engine, and no death costs more than it must."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from constitution.rows import open_rows
from constitution.sharded.plan import WORK

UNLIKE = {"started", "finished", "calls"}
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def ray(ray_cluster, work):
    """The options that bring a run to the cluster."""
    return ["--engine", "ray", "--address", ray_cluster.address, "--workers", "2"]


def rows_of(out: Path) -> dict[str, dict]:
    with closing(open_rows(out)) as rows:
        found = [json.loads(row.model_dump_json()) for row in rows.rows()]
    assert len({row["id"] for row in found}) == len(found), "a row stands twice"
    return {row["id"]: {key: value for key, value in row.items() if key not in UNLIKE} for row in found}


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def until(condition, what: str, seconds: float = 120) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.02)


def test_the_rows_are_those_of_the_local_engine(work, ray):
    """Also with a prompt that stands in two files, harmless ones mixed in and a limit: all that hangs on the order."""
    work.prompts(40)
    more = work.folder / "more.jsonl"
    more.write_text('{"prompt": "How should I look after the plants on balcony number 3?"}\n{"prompt": "Why is it?"}\n')
    benign = work.folder / "benign.txt"
    benign.write_text("".join(f"What is {n} and {n}?\n" for n in range(30)))
    options = [str(more), "--benign", str(benign), "--limit", "45"]
    code, said, err = ended(work.start(*options, *ray))
    assert code == 0, err
    assert "45 rows" in said or "44 rows" in said
    distributed = rows_of(work.out)
    work.out.rename(work.folder / "ray")
    code, _, err = ended(work.start(*options))
    assert code == 0, err
    assert distributed == rows_of(work.out)
    code, said, err = ended(work.start("--engine", "ray"))
    assert code == 2
    assert "rows of the local engine" in err


def test_a_worker_and_then_the_driver_are_killed_and_only_what_was_in_flight_is_asked_twice(work, ray, ray_cluster):
    work.prompts(160)
    work.endpoint.numbered = True
    work.endpoint.delay_s = 0.05
    process = work.start("--concurrency", "8", *ray)
    most_in_flight = 2 * 8  # two workers, each with as many calls at once as rows
    until(lambda: sum(work.endpoint.asked.values()) > 60, "the run does not begin")
    os.kill(ray_cluster.workers("MapWorker")[0], signal.SIGKILL)
    asked = sum(work.endpoint.asked.values())
    until(lambda: sum(work.endpoint.asked.values()) > asked + 100, "it does not go on after a worker died")
    process.kill()
    ended(process)
    until(lambda: not ray_cluster.workers("MapWorker"), "the workers outlive their driver")
    code, _, err = ended(work.start("--concurrency", "8", *ray))
    assert code == 0, err
    rows = rows_of(work.out)
    assert len(rows) == 160
    twice = sum(count - 1 for count in work.endpoint.asked.values())
    assert twice <= 2 * most_in_flight, "two deaths, each of what was in flight"
    assert sum(work.endpoint.asked.values()) - twice == 4 * 160
    assert not list((work.out / WORK).glob("*")) if (work.out / WORK).exists() else True


@pytest.mark.slow
def test_one_poison_prompt_is_put_aside_and_the_others_become_rows(work, ray, ray_cluster):
    """A prompt at which the process dies, as one that breaks a native library would."""
    work.prompts(30, "Say the word poison.")
    before: list[int] = []

    def poison(body, request: web.Request):
        if "poison" in json.dumps(body):
            # The endpoint knows which process asks: the one at the other end of the connection.
            port = request.transport.get_extra_info("peername")[1]
            import psutil

            for pid in ray_cluster.workers("MapWorker"):
                if any(c.laddr.port == port for c in psutil.Process(pid).net_connections("tcp")):
                    before.append(pid)
                    os.kill(pid, signal.SIGKILL)

    work.endpoint.fault = poison
    code, said, err = ended(work.start(*ray))
    assert code == 1, said + err
    assert len(before) == 3
    assert "3 workers, or models in them, died while it was at work" in said + err
    assert len(rows_of(work.out)) == 30
    with closing(open_rows(work.out)) as rows:
        (failure,) = rows.failures()
    assert failure[1].line == 31


def test_a_model_that_cannot_be_opened_ends_the_run_with_its_error_and_no_row(work, ray):
    process = subprocess.run(
        [sys.executable, "-m", "server.cli.main", *work.arguments(*ray, model="gguf:nowhere.gguf")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert process.returncode == 2
    assert "nowhere.gguf" in process.stderr
    assert not list((work.out / "rows").glob("*.parquet"))


@pytest.mark.slow
def test_a_folder_of_other_rules_is_refused_unless_mixed(work, ray):
    assert ended(work.start(*ray))[0] == 0
    rules = work.folder / "rules.yaml"
    rules.write_text(rules.read_text().replace("may hurt people", "may hurt anybody"))
    work.prompts(12)
    code, _, err = ended(work.start(*ray))
    assert code == 2
    assert "made otherwise" in err
    assert "careless-advice" in err
    assert len(rows_of(work.out)) == 10
    code, _, err = ended(work.start("--mixed", *ray))
    assert code == 0, err
    assert len(rows_of(work.out)) == 12


@pytest.mark.slow
def test_the_budget_holds_over_all_workers(work, ray):
    work.prompts(60)
    code, said, err = ended(work.start("--max-tokens-total", "3000", "--concurrency", "4", *ray))
    assert code == 3, said + err
    assert "the budget of 3,000 tokens is spent" in err
    spent = sum(work.endpoint.asked.values()) * (9 + 5)
    assert spent <= 3000
    code, said, err = ended(work.start("--concurrency", "4", *ray))
    assert code == 0, err
    assert len(rows_of(work.out)) == 60
    assert Counter(work.endpoint.asked.values())[1] >= 4 * 60 - 16


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_says_how_many_rows_are_kept_and_goes_on_later(work, ray, sign):
    work.prompts(60)
    work.endpoint.delay_s = 0.05
    process = work.start("--concurrency", "4", *ray)
    until(lambda: sum(work.endpoint.asked.values()) > 60, "the run does not begin")
    process.send_signal(sign)
    code, _, err = ended(process)
    assert code == 130, err
    (kept,) = re.findall(r"stopped: (\d+) rows are kept", err)
    assert 0 < int(kept) < 60
    assert len(rows_of(work.out)) == int(kept)
    assert ended(work.start(*ray))[0] == 0
    assert len(rows_of(work.out)) == 60
    assert sum(count - 1 for count in work.endpoint.asked.values()) <= 2 * 4


def test_a_cluster_that_is_not_there_is_told_with_what_to_do(work):
    code, _, err = ended(work.start("--engine", "ray", "--address", "127.0.0.1:1"))
    assert code == 2
    assert "no Ray cluster answers at `127.0.0.1:1`" in err
    assert "ray start --head" in err


def test_what_belongs_to_ray_is_refused_by_the_local_engine(work):
    code, _, err = ended(work.start("--workers", "2"))
    assert code == 2
    assert "--engine ray" in err
    code, _, err = ended(work.start("--engine", "rai"))
    assert code == 2
    assert "`local`, `ray`" in err
