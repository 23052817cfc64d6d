"""A run over a pool of which one endpoint dies: no row is lost, and only what was in flight there is asked twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from constitution.generate import Generation
from constitution.row import ROLES
from constitution.settings import Settings
from constitution.store import RowStore
from rules import load
from server.cli._progress import Prices, View

ROOT = Path(__file__).parents[2]
ROWS = 60


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[tuple[subprocess.Popen[str], str, Path]]]:
    """Two endpoints in processes of their own: each process, its address, its log."""
    started = []
    for number in range(2):
        log = tmp_path / f"{number}.log"
        command = [sys.executable, str(ROOT / "tests/guard/models/served.py"), "--log", str(log), "--delay-ms", "60"]
        started.append((subprocess.Popen(command, stdout=subprocess.PIPE, text=True), log))
    try:
        yield [(process, f"http://127.0.0.1:{_line(process)}/v1", log) for process, log in started]
    finally:
        for process, _ in started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _line(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def lines(log: Path, mark: str) -> list[str]:
    return [line[2:] for line in log.read_text().splitlines() if line.startswith(mark)] if log.exists() else []


async def test_a_run_over_a_pool_finishes_every_row_though_a_server_is_killed(two, tmp_path):
    (_, first, log_a), (dying, second, log_b) = two
    (tmp_path / "prompts.txt").write_text("".join(f"How do I mend the fence of house {n:03}?\n" for n in range(ROWS)))
    settings = Settings(
        prompts=(str(tmp_path / "prompts.txt"),),
        out=tmp_path / "out",
        models=dict.fromkeys(ROLES[:3], f"pool:{first},{second}#mock?health=0.2"),
        encoder=None,
        concurrency=16,
    )
    generation = Generation(settings, load(ROOT / "benchmarks/rules.yaml").constitution)
    view = View(generation.tally, generation.meter, generation.total, Prices(), lambda: generation.endpoints)
    assert "endpoints" not in view.line(), "none was looked at yet"
    run = asyncio.create_task(generation.run())
    async with asyncio.timeout(30):
        while len(lines(log_b, "+")) < 40 or len(lines(log_b, "+")) - len(lines(log_b, "-")) < 4:
            assert not run.done()
            await asyncio.sleep(0.005)
    assert "; endpoints 2 of 2 up; " in view.line()
    os.kill(dying.pid, signal.SIGKILL)
    await run
    assert "; endpoints 1 of 2 up; " in view.line()
    assert generation.tally.finished == ROWS
    assert generation.tally.failed == 0
    store = RowStore(settings.out)
    counts = store.counts()
    store.close()
    assert (counts.accepted + counts.rejected, counts.failed) == (ROWS, 0)
    came = Counter(lines(log_a, "+") + lines(log_b, "+"))
    in_flight_there = len(lines(log_b, "+")) - len(lines(log_b, "-"))
    assert in_flight_there > 0
    assert sum(came.values()) - len(came) <= in_flight_there
    assert len(came) == counts.calls
    before = sum(came.values())
    # Another pool of the same model: what was answered is found again though the addresses are others.
    alone = settings.model_copy(update={"models": dict.fromkeys(ROLES[:3], f"pool:{first}#mock")})
    again = Generation(alone, load(ROOT / "benchmarks/rules.yaml").constitution)
    await again.run()
    assert again.tally.resumed == ROWS
    assert again.tally.other_ways == 0
    assert len(lines(log_a, "+") + lines(log_b, "+")) == before
