"""What Ray costs and gives: rows and judged lines a second beside the local engine, and what a kill loses.

    python benchmarks/ray_engine.py generate [--rows 20000] [--delay-ms 5]
    python benchmarks/ray_engine.py restart [--rows 2000] [--delay-ms 20]
    python benchmarks/ray_engine.py gate [--lines 20000] [--meaning 1000]

Every contender does the same work in turns, in one run of this script: the local engine, Ray with one worker, Ray with
two. The model is the mock in a process of its own. Clusters begin and end with the command, so its whole time has Ray's
start in it; rows a second are told without it as well, from the first finished row to the last. CPU is that of the
command and all processes below it, the mock left out. Sections of docs/figures/scale.md are written with --write.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from _bench import HERE, asked, endpoint, environment, generate_command, machine, table, write_prompts
from _page import write_section

from constitution.rows import open_rows
from guard.bulk.files import read
from guard.bulk.unit import cut

PAGE = HERE.parent / "docs" / "figures" / "scale.md"
SETUPS: dict[str, list[str]] = {
    "local": [],
    "Ray, 1 worker": ["--engine", "ray", "--workers", "1"],
    "Ray, 2 workers": ["--engine", "ray", "--workers", "2"],
}


@dataclass
class Watched:
    """A command and all processes below it."""

    process: subprocess.Popen[str]
    began: float = field(default_factory=time.perf_counter)
    cpu: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        """Note the CPU seconds so far of every process there is."""
        try:
            every = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        except psutil.Error:
            return
        for each in every:
            try:
                times = each.cpu_times()
            except psutil.Error:
                continue
            self.cpu[each.pid] = max(self.cpu.get(each.pid, 0.0), times.user + times.system)

    def end(self, well: tuple[int, ...] = (0,)) -> tuple[float, float]:
        """Wait; seconds by the clock and of CPU. `well` are the exit codes of a good end."""
        while self.process.poll() is None:
            self.look()
            time.sleep(0.25)
        if self.process.returncode not in well:
            raise SystemExit(f"ended with {self.process.returncode}:\n{self.process.communicate()[1][-2000:]}")
        return time.perf_counter() - self.began, sum(self.cpu.values())


def begin(command: list[str]) -> Watched:
    """Begin a command; what it says goes to a pipe, and is little."""
    pipe = subprocess.PIPE
    return Watched(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment()))


def spans(out: Path) -> tuple[int, float, dict[str, int]]:
    """Rows, seconds from the first one's beginning to the last one's end, and their bytes and calls together."""
    rows, began, ended = 0, float("inf"), 0.0
    total = {"bytes": 0, "calls": 0}
    with closing(open_rows(out)) as kept:
        for row in kept.rows():
            rows += 1
            began, ended = min(began, row.started), max(ended, row.finished)
            total["bytes"] += len(row.model_dump_json())
            total["calls"] += len(row.calls)
    return rows, ended - began, total


def size_of(folder: Path, pattern: str) -> int:
    """Bytes of the files of a pattern."""
    return sum(path.stat().st_size for path in folder.glob(pattern))


def generate(rows: int, delay_ms: float) -> str:
    """The pipeline, each engine once over the same prompts."""
    lines: list[list[object]] = []
    about, base = "", {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts = write_prompts(folder / "prompts.txt", rows)
        for setup, options in SETUPS.items():
            out = folder / setup.replace(", ", "-").replace(" ", "-")
            with endpoint(delay_ms) as port:
                wall, cpu = begin(generate_command(prompts, out, port, *options)).end()
            done, seconds, total = spans(out)
            pace = done / seconds
            base = base or {"pace": pace, "cpu": cpu / done, "wall": wall}
            cells = [setup, done, f"{pace:.0f}", f"{pace / base['pace']:.2f}", f"{wall:.0f}"]
            cells += [f"{wall / base['wall']:.2f}", f"{1000 * cpu / done:.2f}", f"{cpu / done / base['cpu']:.2f}"]
            lines.append(cells)
            if "2" in setup:
                parquet, shards = size_of(out, "rows/*.parquet"), len(list((out / "rows").glob("*.parquet")))
                formats = {path.name: path.stat().st_size / done for path in sorted(out.glob("*.jsonl"))}
                each = ", ".join(f"`{file}` {size:,.0f}" for file, size in formats.items())
                about = (
                    f"Bytes a row: {total['bytes'] / done:,.0f} canonical as JSON, {parquet / done:,.0f} in "
                    f"{shards} Parquet shards; of prompts {prompts.stat().st_size / done:.0f}; {each}. "
                    f"{total['calls'] / done:.1f} calls a row."
                )
            print(lines[-1], flush=True)
    head = ["engine", "rows", "rows/s", "of local", "whole command s", "of local", "CPU ms a row", "of local"]
    return (
        f"The pipeline on the mock:\n\n"
        f"    python benchmarks/ray_engine.py generate --rows {rows} --delay-ms {delay_ms:g}\n\n"
        f"{rows:,} rows x 4 calls of {delay_ms:g} ms; {machine()}\n\n{table(head, lines)}\n\n{about}"
    )


def restart(rows: int, delay_ms: float) -> str:
    """The driver killed once at a random moment and begun again: calls asked twice."""
    drawn, lines = random.Random(1), []
    for setup, options in list(SETUPS.items())[1:]:
        with tempfile.TemporaryDirectory() as name, endpoint(delay_ms, count=True) as port:
            folder = Path(name)
            prompts, out = write_prompts(folder / "prompts.txt", rows), folder / "out"
            command = generate_command(prompts, out, port, *options)
            target = int(rows * 4 * drawn.uniform(0.3, 0.6))
            first = begin(command)
            while sum(asked(port)["asked"].values()) < target and first.process.poll() is None:
                time.sleep(0.05)
            if first.process.poll() is not None:
                raise SystemExit(f"ended before it was killed:\n{first.process.communicate()[1][-2000:]}")
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
            time.sleep(5)  # until the workers of its cluster have seen that it is gone
            flight = asked(port)["most_open"]
            wall, _ = begin(command).end()
            counts = asked(port)["asked"]
            twice = sum(times - 1 for times in counts.values())
            done = spans(out)[0]
            lines.append([setup, done, target, len(counts), twice, flight, f"{wall:.0f}"])
            print(lines[-1], flush=True)
    head = ["engine", "rows", "killed at call", "calls", "asked twice", "most in flight", "second run s"]
    return (
        f"`kill -9` of the command while it is at work, then the same command again:\n\n"
        f"    python benchmarks/ray_engine.py restart --rows {rows} --delay-ms {delay_ms:g}\n\n"
        f"{machine()}\n\n{table(head, lines)}"
    )


def write_lines(path: Path, count: int) -> Path:
    """Requests of 20 to 120 words, no two alike."""
    drawn = random.Random(1)
    words = "how do i keep the garden of my neighbour clean near a small library with bread and paint for".split()
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = " ".join(drawn.choices(words, k=drawn.randint(20, 120)))
            file.write(json.dumps({"id": f"r{number}", "prompt": f"{number} {text}"}) + "\n")
    return path


def gate(count: int, meaning: int) -> str:
    """Bulk scoring, by patterns alone and with the encoder."""
    lines, about = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, number, extra in (("patterns", count, ["--no-meaning"]), ("meaning", meaning, [])):
            if not number:
                continue
            path, base = write_lines(folder / f"{what}.jsonl", number), {}
            began = time.perf_counter()
            for _ in cut(str(path), read(str(path))):
                pass
            speed = path.stat().st_size / (time.perf_counter() - began) / 2**20
            for setup, options in SETUPS.items():
                out = folder / f"{what}-{setup.replace(' ', '-')}"
                out.mkdir()
                command = [sys.executable, "-m", "server.cli.main", "gate", "check", "--jsonl", str(path)]
                wall, cpu = begin([*command, "--out", str(out), "--quiet", *extra, *options]).end((0, 1))
                shards = sorted((out / "verdicts").glob("*.parquet"))
                times = [shard.stat().st_mtime for shard in shards]
                # The first shard's own lines are not in the span that ends with it.
                pace = number * (len(shards) - 1) / len(shards) / max(1e-9, max(times) - min(times))
                base = base or {"pace": pace, "wall": wall, "cpu": cpu}
                cells = [what, setup, number, f"{pace:.0f}", f"{pace / base['pace']:.2f}", f"{wall:.0f}"]
                cells += [f"{wall / base['wall']:.2f}", f"{1000 * cpu / number:.2f}", f"{cpu / base['cpu']:.2f}"]
                lines.append(cells)
                print(cells, flush=True)
            size = sum(shard.stat().st_size for shard in shards) / number
            told = f"{what}: {path.stat().st_size / number:.0f} bytes a line in, {size:.0f} a line out in Parquet"
            about.append(f"{told}; one reader reads and cuts {speed:.0f} MiB/s")
    head = [
        "stage",
        "engine",
        "lines",
        "lines/s",
        "of local",
        "whole command s",
        "of local",
        "CPU ms a line",
        "of local",
    ]
    return (
        f"`gate check` of many lines:\n\n"
        f"    python benchmarks/ray_engine.py gate --lines {count} --meaning {meaning}\n\n{machine()}\n\n"
        f"{table(head, lines)}\n\n{'. '.join(about)}."
    )


def main() -> None:
    """Measure one part, print its section, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("generate", "restart", "gate"))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--delay-ms", type=float)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--meaning", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="put the section into docs/figures/scale.md")
    given = parser.parse_args()
    if given.part == "generate":
        heading, text = "Rows", generate(given.rows or 20_000, given.delay_ms or 5)
    elif given.part == "restart":
        heading, text = "After a kill", restart(given.rows or 2000, given.delay_ms or 20)
    else:
        heading, text = "Judged lines", gate(given.lines, given.meaning)
    print(text)
    if given.write:
        write_section(PAGE, "Many machines", heading, text)


if __name__ == "__main__":
    main()
