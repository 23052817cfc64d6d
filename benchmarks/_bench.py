"""What the benchmarks share: the mock as a process, prompts, measured commands, tables."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RULES = HERE / "rules.yaml"
ROLES = ("answerer", "critic", "reviser")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    output: str
    wall_s: float
    cpu_s: float
    peak_mb: float


def environment(**more: str) -> dict[str, str]:
    """Of the measured commands: none may go to a network, and none needs a real key."""
    quiet = {"OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HERE.parent)}
    return {**os.environ, **quiet, **more}


@contextmanager
def endpoint(delay_ms: float, *, count: bool = False) -> Iterator[int]:
    """The mock endpoint in a process of its own; gives its port."""
    command = [sys.executable, str(HERE / "mock_endpoint.py"), "--delay-ms", str(delay_ms)]
    process = subprocess.Popen([*command, *(["--count"] if count else [])], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def asked(port: int) -> dict[str, Any]:
    """The mock's counts."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def write_prompts(path: Path, rows: int) -> Path:
    """One prompt a line, as long as people's questions are, no two alike."""
    text = "How do I look after the garden and the old fruit trees of house number {:06d} while its owners are away?\n"
    path.write_text("".join(text.format(number) for number in range(rows)), encoding="utf-8")
    return path


def generate_command(prompts: Path, out: Path, port: int, *options: str) -> list[str]:
    """`wardlaw generate` on the mock, with patterns alone in the gate."""
    command = [sys.executable, "-m", "server.cli.main", "generate", str(prompts), "--rules", str(RULES)]
    model = f"openai:http://127.0.0.1:{port}/v1#mock"
    return [*command, "--out", str(out), "--model", model, "--encoder", "none", "--quiet", *options]


def measure(command: Sequence[str], **variables: str) -> Ran:
    """Run a command to its end; its peak memory is that of its largest process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**variables)
    )
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"`{' '.join(command)}` ended with {process.returncode}:\n{errors[-2000:]}")
    return Ran(output, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def rows_in(folder: Path) -> tuple[int, int, float]:
    """Rows, accepted rows, and seconds from the first row's beginning to the last one's end."""
    query = (
        "SELECT count(*), sum(status = 'accepted'),"
        " max(json_extract(row, '$.finished')) - min(json_extract(row, '$.started')) FROM rows"
    )
    with closing(sqlite3.connect(folder / "rows.sqlite")) as db:
        rows, accepted, seconds = db.execute(query).fetchone()
    return rows, accepted, seconds


def machine() -> str:
    """What the figures were measured on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, load {load}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
