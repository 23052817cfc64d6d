"""What the row machine costs: rows a second beside a bare script that stores nothing, and beside distilabel.

    python benchmarks/generate_overhead.py [--rows 2000] [--repeat 3] [--distilabel PYTHON] [--no-memory]

Every row takes four dependent calls (answer, critique, revision, rationale) of 50 ms, 64 rows at a time, at a mock in a
process of its own. The contenders take turns, so that a noisy moment of the machine meets them all. For distilabel
make an environment outside the repository (`pip install 'distilabel[openai]==1.5.3'`) and name its python.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _bench import HERE, RULES, Ran, endpoint, generate_command, machine, measure, rows_in, table, write_prompts

CONCURRENCY = 64
CALLS = 4


@dataclass(frozen=True)
class Result:
    """One contender, once."""

    rows: int
    passed: int
    seconds: float
    """First row begun to last row ended."""
    ran: Ran

    @property
    def pace(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def bare(prompts: Path, _scratch: Path, port: int) -> Result:
    """The calls alone."""
    command = [sys.executable, str(HERE / "bare_loop.py"), str(port), str(prompts), str(RULES), str(CONCURRENCY)]
    ran = measure(command)
    told = json.loads(ran.output)
    return Result(told["rows"], told["rows"], told["seconds"], ran)


def wardlaw(prompts: Path, scratch: Path, port: int) -> Result:
    """The whole command, with the gate, the checks, the row store and all files of the export."""
    out = Path(tempfile.mkdtemp(dir=scratch)) / "out"
    ran = measure(generate_command(prompts, out, port, "--concurrency", str(CONCURRENCY)))
    return Result(*rows_in(out), ran)


def distilabel(python: str) -> Callable[[Path, Path, int], Result]:
    """The same four calls as a pipeline of four steps."""

    def contend(prompts: Path, scratch: Path, port: int) -> Result:
        cache = tempfile.mkdtemp(dir=scratch)
        script = str(HERE / "peers" / "distilabel_pipeline.py")
        ran = measure([python, script, str(port), str(prompts), str(CONCURRENCY), cache])
        told = json.loads(ran.output.splitlines()[-1])
        return Result(told["rows"], told["passed"], told["seconds"], ran)

    return contend


def memory(scratch: Path, sizes: tuple[int, ...], delay_ms: float) -> list[tuple[int, Result]]:
    """Peak memory of the whole command at several sizes."""
    found = []
    for rows in sizes:
        with endpoint(delay_ms) as port:
            found.append((rows, wardlaw(write_prompts(scratch / f"{rows}.txt", rows), scratch, port)))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--distilabel", metavar="PYTHON", help="python of an environment that has distilabel")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory at 2,000 and 20,000 rows")
    given = parser.parse_args()

    contenders: dict[str, Callable[[Path, Path, int], Result]] = {"bare script": bare, "wardlaw generate": wardlaw}
    if given.distilabel:
        contenders["distilabel"] = distilabel(given.distilabel)
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        prompts = write_prompts(scratch / "prompts.txt", given.rows)
        for _ in range(given.repeat):
            for name, contend in contenders.items():
                with endpoint(given.delay_ms) as port:
                    results[name].append(contend(prompts, scratch, port))
        print(f"{given.rows} rows x {CALLS} calls of {given.delay_ms:g} ms, {CONCURRENCY} at a time;", end=" ")
        print(f"medians of {given.repeat}; {machine()}\n")
        head = (
            "",
            "rows/s",
            "of bare, run by run",
            "best rows/s",
            "whole command s",
            "CPU ms a row",
            "peak MB",
            "passed",
        )
        print(table(head, [_line(name, found, results["bare script"]) for name, found in results.items()]))
        print(f"\nno script can do more than {CONCURRENCY / (CALLS * given.delay_ms / 1000):.0f} rows/s")
        if not given.no_memory:
            _print_memory(memory(scratch, (2000, 20000), 2.0))


def _line(name: str, found: list[Result], floor: list[Result]) -> tuple[str, ...]:
    shares = [result.pace / least.pace for result, least in zip(found, floor, strict=True)]
    middle = statistics.median
    return (
        name,
        f"{middle(result.pace for result in found):.1f}",
        ", ".join(f"{100 * share:.0f}%" for share in shares),
        f"{max(result.pace for result in found):.1f}",
        f"{middle(result.ran.wall_s for result in found):.1f}",
        f"{1000 * middle(result.ran.cpu_s / result.rows for result in found):.2f}",
        f"{middle(result.ran.peak_mb for result in found):.0f}",
        f"{min(result.passed for result in found)}/{found[0].rows}",
    )


def _print_memory(found: list[tuple[int, Result]]) -> None:
    least = found[0][1].ran.peak_mb
    lines = [
        (
            f"{rows:,}",
            f"{result.ran.peak_mb:.1f}",
            f"{100 * result.ran.peak_mb / least:.1f}%",
            f"{result.ran.wall_s:.0f}",
        )
        for rows, result in found
    ]
    print("\nthe whole command at several sizes (calls of 2 ms):\n")
    print(table(("rows", "peak MB", "of the first", "whole command s"), lines))


if __name__ == "__main__":
    main()
