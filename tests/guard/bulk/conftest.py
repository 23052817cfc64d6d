"""Files to judge, a gate that finds one word, and runs in processes that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from guard.bulk.folder import shards_of
from guard.bulk.run import Engine, Outcome, judge_files
from guard.detectors.patterns import Patterns
from guard.gate import Gate
from rules.schema import Constitution

_SCRIPT = Path(__file__).parent / "driver" / "run.py"

Judge = Callable[..., Outcome]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of prompts with ids."""

    def written(name: str, texts: Sequence[str]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        lines = (json.dumps({"id": f"{path.stem}-{place}", "prompt": text}) for place, text in enumerate(texts))
        path.write_text("".join(line + "\n" for line in lines))
        return path

    return written


@pytest.fixture
def rows_of() -> Callable[[Path], list[dict[str, Any]]]:
    """All rows of a folder, by place."""

    def read(out: Path) -> list[dict[str, Any]]:
        rows = [row for path in shards_of(out) for row in pq.read_table(path).to_pylist()]
        return sorted(rows, key=lambda row: (row["file"], row["line"]))

    return read


@pytest.fixture
def small(make_rule: Any, constitute: Any) -> Constitution:
    """A rule against one phrase."""
    return constitute(make_rule(detect={"patterns": [{"literal": "pipe bomb"}]}))


@pytest.fixture
def judge(small: Constitution) -> Judge:
    """Judges files into a folder, in this process."""

    def run(names: Sequence[Any], out: Path, constitution: Constitution = small, **options: Any) -> Outcome:
        def build(threads: int | None) -> Gate:
            return Gate(constitution, [Patterns(constitution)])

        options.setdefault("engine", Engine())
        with build(None) as gate:
            return judge_files([str(name) for name in names], out, gate, build, **options)

    return run


@dataclass
class Watching:
    """Runs of the watched gate in processes of their own."""

    folder: Path

    def begin(self, out: Path, files: Sequence[Path], address: str = "local", slow_s: float = 0.0) -> Any:
        """Begin a run; what it prints is in its pipes."""
        self.folder.mkdir(exist_ok=True)
        command = [sys.executable, str(_SCRIPT), str(self.folder), str(out), address, str(slow_s), *map(str, files)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, out: Path, files: Sequence[Path], address: str = "local", slow_s: float = 0.0) -> dict[str, Any]:
        """Run to the end, and what it told."""
        process = self.begin(out, files, address, slow_s)
        told, wrong = process.communicate()
        assert process.returncode == 0, wrong
        return json.loads(told)

    def asked(self) -> list[str]:
        """Every text that a gate began to judge."""
        return [line for log in self.folder.glob("*.log") for line in log.read_text().splitlines()]

    def processes(self) -> list[int]:
        """Those that have judged something."""
        return [int(log.stem) for log in self.folder.glob("*.log")]


@pytest.fixture
def watching(tmp_path: Path) -> Watching:
    """See `Watching`."""
    return Watching(tmp_path / "asked")
