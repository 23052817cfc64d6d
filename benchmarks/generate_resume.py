"""What kill -9 costs: a run is killed at random moments and started again, five times, then left to finish.

    python benchmarks/generate_resume.py [--rows 400] [--kills 5] [--seed 1]

The mock answers by content and counts what it is asked. A call counts as completed when its answer stood in rows.sqlite
at the moment of the kill; the run after it must not ask it again. At the end the rows are compared with those of a run
that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from _bench import asked, endpoint, environment, generate_command, machine, measure, table, write_prompts

UNLIKE = ("started", "finished", "calls")
"""What may differ between two runs: times, and in `calls` the order of those that ran side by side."""


def kept_calls(out: Path) -> set[int]:
    """Numbers of the calls whose answers are kept."""
    if not (out / "rows.sqlite").exists():
        return set()
    with closing(sqlite3.connect(out / "rows.sqlite")) as db:
        if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise SystemExit("the row store is damaged")
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
            return set()
        return {number for (number,) in db.execute("SELECT prompt_tokens FROM calls")}


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The rows, without what may differ between runs."""
    if not (out / "rows.sqlite").exists():
        return []
    with closing(sqlite3.connect(out / "rows.sqlite")) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'rows'").fetchone():
            return []
        rows = [json.loads(text) for (text,) in db.execute("SELECT row FROM rows ORDER BY position")]
    return [{key: value for key, value in row.items() if key not in UNLIKE} for row in rows]


def main() -> None:
    """Kill, go on, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    lines: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder, endpoint(20.0, count=True) as port:
        scratch = Path(folder)
        prompts = write_prompts(scratch / "prompts.txt", given.rows)
        command = generate_command(prompts, scratch / "out", port)
        complete: dict[str, int] = {}
        finished: set[str] = set()
        for number in range(1, given.kills + 1):
            moment = draw.uniform(0.02, 0.9 / given.kills)
            before = sum(asked(port)["asked"].values())
            process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # The moment is drawn in calls: the start of a process takes as long as the machine has other work.
            while sum(asked(port)["asked"].values()) < before + moment * 4 * given.rows:
                if process.poll() is not None:
                    raise SystemExit(f"the run ended by itself with {process.returncode}")
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.wait()
            times = Counter(asked(port)["asked"])
            again = sum(times[call] > count for call, count in complete.items())
            rows = [row["id"] for row in rows_of(scratch / "out")]
            lost, doubled = len(finished - set(rows)), len(rows) - len(set(rows))
            complete = {str(call): times[str(call)] for call in kept_calls(scratch / "out")}
            finished = set(rows)
            lines.append((number, f"{moment:.3f}", sum(times.values()), len(complete), len(rows), again, lost, doubled))
        measure(command)
        times = Counter(asked(port)["asked"])
        again = sum(times[call] > count for call, count in complete.items())
        rows_after = rows_of(scratch / "out")
        ids = [row["id"] for row in rows_after]
        calls = len(kept_calls(scratch / "out"))
        left_out, doubled = given.rows - len(set(ids)), len(ids) - len(set(ids))
        lines.append(("end", "", sum(times.values()), calls, len(ids), again, left_out, doubled))
        measure(generate_command(prompts, scratch / "undisturbed", port))
        same = rows_after == rows_of(scratch / "undisturbed")
    print(f"{given.rows} rows x 4 calls of 20 ms, 64 at a time, seed {given.seed}; {machine()}\n")
    head = ("kill", "after share of calls", "calls asked", "calls kept", "rows kept")
    print(table((*head, "completed calls asked twice", "rows lost", "rows doubled"), lines))
    print(f"\nthe same rows as an undisturbed run: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
