"""A long run at one concurrency, with reloads: memory over time, errors, drift of latency, and audit rows for requests.

    python benchmarks/server_soak.py [--minutes 30] [--base] [--meaning] [--workers N] [--database postgresql+psycopg://...]

Three APIs, half of it streams, a fifth of it breaking a rule; every answer is checked: a harmless one came whole, a
breaking one did not come. Each minute, and three times at least in a short run, the rule file is rewritten and the new
digest must appear in answers. At the end the server is told to stop, and every decision that a client was told of must
be in the database.

Exit code 1 where anything of that did not hold, or where memory grew; how fast is said of runs that are long enough to
tell.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvloop
import yaml

from benchmarks._bench import HERE, machine, table
from benchmarks._server_process import Server, ask_mock, free_port, running, upstream
from benchmarks._server_setups import QUIET, write_rules
from benchmarks._server_traffic import PATHS, Tally, drive

SAMPLE_S = 2.0
WARM = 0.2
"""Share of the run in which memory may still grow."""

TELLS_MINUTES = 5.0
"""A run that is shorter says nothing of memory or latency over time: warming up is most of it."""
SLACK_MB = 1.0
"""What memory may grow by while it is watched and still count as flat."""

Samples = list[tuple[float, float, float]]
"""Minutes since the beginning, resident megabytes, seconds of the processor."""


def rewrite(path: Path, base: bool, version: int) -> None:
    """The same rules with one literal more that changes, written aside and put in place at once."""
    made = write_rules(path.with_suffix(".new"))
    data = yaml.safe_load(made.read_text(encoding="utf-8"))
    if base:
        data["extends"] = ["base"]
    data["rules"][0]["detect"]["patterns"].append({"literal": f"nobody says version {version}"})
    made.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    made.replace(path)


async def watch(server: Server, began: float, until: float, samples: Samples) -> None:
    """Memory and time of the processor, as they go."""
    while time.perf_counter() < until:
        cpu, resident = server.used()
        samples.append(((time.perf_counter() - began) / 60, resident, cpu))
        await asyncio.sleep(SAMPLE_S)


async def reload(path: Path, base: bool, every_s: float, until: float, tally: Tally, late: list[float]) -> int:
    """Rewrite the rules every so often; how often, and seconds until the first answer under the new ones."""
    version = 0
    while time.perf_counter() + every_s < until:
        await asyncio.sleep(every_s)
        known = set(tally.digests)
        version += 1
        rewrite(path, base, version)
        written = time.perf_counter()
        for _ in range(int(every_s / 0.05)):
            if set(tally.digests) != known:
                late.append(time.perf_counter() - written)
                break
            await asyncio.sleep(0.05)
    return version


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Change in an hour, and half the width of its 95% interval, by least squares over means of ten points.

    Neighbouring samples say the same thing; means of several are nearly independent.
    """
    from scipy import stats

    size = max(1, min(10, len(points) // 6))
    groups = [points[at : at + size] for at in range(0, len(points) - size + 1, size)]
    x = [statistics.fmean(minute for minute, _ in group) for group in groups]
    y = [statistics.fmean(value for _, value in group) for group in groups]
    if len(x) < 3:
        return 0.0, float("inf")
    fit = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(x) - 2)) * float(fit.stderr)
    return float(fit.slope) * 60, half * 60


def rows_of(database: str) -> tuple[set[str], dict[str, int]]:
    """Ids of the decisions in the database, and how many are in which state."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(database)
    if not sqlalchemy.inspect(engine).has_table("decisions"):
        return set(), {}
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT id, state FROM decisions")).all()
    engine.dispose()
    states: dict[str, int] = {}
    for _, state in rows:
        states[state] = states.get(state, 0) + 1
    return {row[0] for row in rows}, states


def share(values: Sequence[float], part: float) -> float:
    """A percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")


def report(asked: argparse.Namespace, samples: Samples, tally: Tally, late: list[float], reloads: int) -> bool:
    """Memory, latency and what was answered; whether memory grew."""
    warm = asked.minutes * WARM
    steady = [(minute, resident) for minute, resident, _ in samples if minute >= warm]
    tells, grew = asked.minutes >= TELLS_MINUTES, False
    print("## Memory\n")
    step = max(1, len(samples) // 15)
    print(table(["minute", "MB"], [[f"{minute:.1f}", f"{resident:.1f}"] for minute, resident, _ in samples[::step]]))
    if tells:
        change, half = slope(steady)
        grew = (change - half) * (asked.minutes - warm) / 60 > SLACK_MB
        flat = "it grows" if grew else f"flat, within {SLACK_MB:g} MB"
        print(f"\nafter {warm:.1f} minutes: {change:+.1f} MB an hour, 95% interval ±{half:.1f}: {flat}")
    else:
        print(f"\nless than {TELLS_MINUTES:g} minutes say nothing of memory over time")
    began = tally.took[0][0] if tally.took else 0.0
    print("\n## Latency\n\nharmless whole chat completions, the mock's own delay included\n")
    rows = []
    for minute in range(max(1, round(asked.minutes))):
        values = [took for sent, took in tally.took if minute * 60 <= sent - began < (minute + 1) * 60]
        if values:
            rows.append([minute, len(values), f"{share(values, 0.5):.2f}", f"{share(values, 0.99):.2f}"])
    print(table(["minute", "answers", "p50 ms", "p99 ms"], rows))
    if tells:
        drift, wide = slope([((sent - began) / 60, took) for sent, took in tally.took if (sent - began) / 60 >= warm])
        print(f"\nafter {warm:.1f} minutes: {drift:+.2f} ms an hour, 95% interval ±{wide:.2f}")
    print("\n## Answers\n")
    print(table(["asked", "times"], sorted(tally.kinds.items())))
    cpu = samples[-1][2] - samples[0][2]
    print(f"\n{tally.answered} answered, {cpu * 1000 / max(1, tally.answered):.2f} ms of the processor each")
    seen = len(tally.digests)
    print(f"{reloads} reloads, {seen} digests seen in answers, in force after {', '.join(f'{s:.1f}' for s in late)} s")
    return grew


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--minutes", type=float, default=30.0)
    reader.add_argument("--concurrency", type=int, default=32)
    reader.add_argument("--workers", type=int, default=1)
    reader.add_argument("--reload-s", type=float, default=60.0, help="seconds between two changes of the rules")
    reader.add_argument("--base", action="store_true", help="the pack `base` beside the ten patterns")
    reader.add_argument("--meaning", action="store_true", help="judge by meaning too, as far as rules ask for it")
    reader.add_argument("--delay-ms", type=float, default=50.0, help="before the mock's first byte")
    reader.add_argument("--chunk-ms", type=float, default=5.0, help="between two chunks of its streams")
    reader.add_argument("--apis", nargs="*", choices=PATHS, default=list(PATHS))
    reader.add_argument("--database", default="", metavar="URL", help="instead of an SQLite file")
    reader.add_argument("--server-core", type=int, default=1)
    reader.add_argument("--client-core", type=int, default=0)
    asked = reader.parse_args()
    pinned = (os.cpu_count() or 1) > 1 and shutil.which("taskset") is not None
    if pinned:
        os.sched_setaffinity(0, {asked.client_core})
    failed = False
    with tempfile.TemporaryDirectory(prefix="wardlaw-soak-") as name:
        folder = Path(name)
        rules = folder / "rules.yaml"
        rewrite(rules, asked.base, 0)
        port = free_port()
        with upstream(folder, asked.client_core if pinned else None) as mock:
            command = [sys.executable, "-m", "server.cli.main", "serve", "--port", str(port)]
            command += ["--upstream", f"http://127.0.0.1:{mock.port}/v1", "--constitution", str(rules)]
            variables = {
                **QUIET,
                "PYTHONPATH": str(HERE.parent),
                "WARDLAW_FOLDER": str(folder / "data"),
                "WARDLAW_DATABASE": asked.database,
                "WARDLAW_WORKERS": str(asked.workers),
                "WARDLAW_GATE__MEANING": str(asked.meaning).lower(),
            }
            before = rows_of(asked.database)[0] if asked.database else set()
            with running("wardlaw", command, port, folder, asked.server_core if pinned else None, variables) as server:
                ask_mock(mock, f"/set?delay_ms={asked.delay_ms}&chunk_ms={asked.chunk_ms}")
                tally, samples, late = Tally(), Samples(), list[float]()
                began = time.perf_counter()
                until = began + asked.minutes * 60

                async def all_of_it() -> int:
                    driving = drive(port, tuple(asked.apis), asked.concurrency, until, tally)
                    every_s = min(asked.reload_s, asked.minutes * 60 / 4)
                    reloading = reload(rules, asked.base, every_s, until, tally, late)
                    _, count, _ = await asyncio.gather(driving, reloading, watch(server, began, until, samples))
                    return count

                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    reloads = runner.run(all_of_it())
                code = server.stop(60)
            print(machine() + "\n")
            print(f"{asked.minutes} minutes, {asked.concurrency} at a time, {asked.workers} workers\n")
            grew = report(asked, samples, tally, late, reloads)
            found, states = rows_of(asked.database or f"sqlite:///{folder / 'data' / 'audit.sqlite'}")
            found -= before
            missing = tally.ids - found
            print(f"\n## Audit\n\n{tally.answered} requests answered, {len(tally.ids)} decisions told of in headers")
            print(f"{len(found)} rows in the database, one of them for the request at the start; states: {states}")
            print(f"{len(missing)} decisions that clients were told of are missing")
            print(f"\nthe server ended with {code}")
            print("\n## Errors\n")
            print("\n".join(f"{count} times {what}" for what, count in tally.errors.most_common()) or "none")
            if complaints := server.complaints():
                print("\n## From the server's log\n\n" + "\n".join(line[:1500] for line in complaints))
            for what, sample in tally.samples.items():
                print(f"\n{what}:\n{sample}", file=sys.stderr)
            verdicts = {
                "errors": bool(tally.errors),
                "decisions are missing": bool(missing),
                "rows are not as many as requests": len(found) != tally.answered + 1,
                "rules did not come into force": reloads == 0 or len(late) < reloads,
                "the server did not end well": bool(code),
                "memory grew": grew,
            }
            failed = any(verdicts.values())
            print("\n## Verdict\n\n" + ("; ".join(what for what, is_so in verdicts.items() if is_so) or "all held"))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
