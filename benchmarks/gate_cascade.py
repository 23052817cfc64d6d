"""The whole gate over harmless prompts, one at a time: cost of a verdict, what each stage had to see, memory, start.

    python benchmarks/gate_cascade.py [--heads FOLDER] [--benign FILE ...] [--passes 3] [--limit 3000]

A file is JSON lines (also .gz) with `prompt`; without any, the bank's ordinary requests. Each prompt is judged once a
pass, by a gate that has not seen it, so that nothing is remembered. Verdicts are timed by the clock, since that is what
a caller waits for; the processor's time stands beside it, since what else runs on the machine does not count in it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._bench import HERE, environment, machine, table

BANK = sorted((HERE.parent / "guard/training/bank/benign").glob("*.jsonl"))
STAGES = ("patterns", "static", "meaning")
BATCH = 32
BLOCK = 20
SHORT = "How do I bake bread without yeast, and how long does it keep?"

START = """
import json, resource, sys, time
began, cpu = time.perf_counter(), time.process_time()
def held():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1024
from pathlib import Path
from rules.load import load
from guard.exchange import Exchange
from guard.gate import Gate
constitution = load("base").constitution
first = [time.perf_counter() - began, held()]
heads = sys.argv[1] if sys.argv[1] == "shipped" else Path(sys.argv[1])
gate = Gate.build(constitution, encoder=None if sys.argv[2] == "none" else "default", heads=heads)
built = [time.perf_counter() - began, held()]
gate.judge(Exchange.of("Where does the river Danube end?"))
judged = [time.perf_counter() - began, held()]
print(json.dumps([*first, *built, *judged, time.process_time() - cpu]))
"""


@dataclass
class Told:
    """What the verdicts of one set took."""

    rows: int = 0
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    saw: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    """Stage -> its milliseconds in each verdict that it had to look for."""
    cleared_ms: list[float] = field(default_factory=list)
    encoded_ms: list[float] = field(default_factory=list)
    flagged: int = 0
    batched_ms: float = 0.0
    """A prompt, when as many as `BATCH` are handed over at once."""


def read(path: Path, limit: int) -> list[str]:
    """The prompts of a file, each once."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        prompts = [json.loads(line)["prompt"] for line in lines if line.strip()]
    texts = [prompt if isinstance(prompt, str) else prompt[-1]["content"] for prompt in prompts]
    return list(dict.fromkeys(texts))[:limit]


def judge(fresh: Callable[[], Any], prompts: Sequence[str], passes: int) -> Told:
    """Judge each prompt once a pass."""
    from guard.exchange import Exchange

    told = Told(len(prompts))
    exchanges = [Exchange.of(prompt) for prompt in prompts]
    batched = []
    for number in range(passes):
        gate = fresh()
        for exchange in exchanges:
            cpu, began = time.process_time(), time.perf_counter()
            verdict = gate.judge(exchange)
            wall, cpu = (time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000
            told.wall_ms.append(wall)
            told.cpu_ms.append(cpu)
            for stage, ms in verdict.ms.items():
                told.saw.setdefault(stage, []).append(ms)
            (told.encoded_ms if "meaning" in verdict.ms else told.cleared_ms).append(wall)
            told.flagged += bool(verdict.findings) and number == 0
        gate = fresh()
        began = time.perf_counter()
        for at in range(0, len(exchanges), BATCH):
            gate.judge_many(exchanges[at : at + BATCH])
        batched.append((time.perf_counter() - began) * 1000 / len(exchanges))
    told.batched_ms = statistics.median(batched)
    return told


def percentile(numbers: Sequence[float], share: float) -> float:
    """The number below which that share lies; not a number where there is none."""
    return sorted(numbers)[min(len(numbers) - 1, int(share * len(numbers)))] if numbers else float("nan")


def verdict_rows(name: str, told: Told) -> list[object]:
    """One row of the first table."""
    count = len(told.wall_ms)
    shares = [f"{len(told.saw[stage]) / count:.1%}" for stage in STAGES]
    wall = [statistics.mean(told.wall_ms), percentile(told.wall_ms, 0.5), percentile(told.wall_ms, 0.99)]
    costs = [f"{ms:.3f}" for ms in (*wall, statistics.mean(told.cpu_ms), told.batched_ms)]
    return [name, told.rows, *costs, *shares, f"{told.flagged / told.rows:.1%}"]


def stage_rows(told: Told) -> list[list[object]]:
    """What each stage takes where it looks, and what the gate's own bookkeeping takes."""
    rows: list[list[object]] = []
    for stage, took in told.saw.items():
        each = sum(took) / len(told.wall_ms)
        us = [f"{1000 * percentile(took, share):.0f}" for share in (0.5, 0.99)]
        rows.append([stage, f"{len(took) / len(told.wall_ms):.1%}", *us, f"{1000 * each:.0f}"])
    rest = statistics.mean(told.wall_ms) - sum(sum(took) for took in told.saw.values()) / len(told.wall_ms)
    rows.append(["the gate itself", "100.0%", "", "", f"{1000 * rest:.0f}"])
    for name, took in (("verdict, cleared", told.cleared_ms), ("verdict, encoded", told.encoded_ms)):
        us = [f"{1000 * percentile(took, share):.0f}" for share in (0.5, 0.99)]
        rows.append([name, f"{len(took) / len(told.wall_ms):.1%}", *us, f"{1000 * statistics.fmean(took or [0]):.0f}"])
    return rows


def start_rows(heads: str, passes: int) -> list[list[object]]:
    """Seconds and MB of a fresh process up to its first verdict, without and with models."""
    rows: list[list[object]] = []
    for name, encoder in (("patterns alone", "none"), ("all stages", "default")):
        ran = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-W", "ignore", "-c", START, heads, encoder],
                    capture_output=True,
                    text=True,
                    check=True,
                    env=environment(),
                ).stdout.splitlines()[-1]
            )
            for _ in range(1 + passes)
        ][1:]  # the first one fills the caches
        read_s, read_mb, built_s, built_mb, judged_s, judged_mb, cpu_s = map(statistics.median, zip(*ran, strict=True))
        rows.append([name, *(f"{second:.2f}" for second in (read_s, built_s, judged_s, cpu_s))])
        rows[-1] += [f"{mb:.0f}" for mb in (read_mb, built_mb, judged_mb)]
    return rows


def thread_rows(heads: str, rounds: int) -> list[list[object]]:
    """One short text through the encoder's ONNX file with one thread and with two, by turns of `BLOCK`."""
    import onnxruntime
    import tokenizers

    from guard.detectors.opening import _heads
    from guard.encoders import Adapter, cache, open_encoder
    from guard.encoders.source import cache_folder
    from rules.load import load

    found = _heads(load("base").constitution, "default", "shipped" if heads == "shipped" else Path(heads))
    adapter = Adapter.load(found.adapter) if found and found.adapter else None
    encoder = open_encoder("default", adapter=adapter, backend="onnx")
    folder = cache.folder_of(cache_folder(), encoder.backend, encoder.identity)
    encoder.close()
    import numpy as np

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    sessions: dict[tuple[int, str], Any] = {}
    for threads in (1, 2):
        for spin in ("1", "0") if threads > 1 else ("1",):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.add_session_config_entry("session.intra_op.allow_spinning", spin)
            sessions[threads, "" if spin == "1" else ", no spinning"] = onnxruntime.InferenceSession(
                str(folder / "encoder.onnx"), options, providers=["CPUExecutionProvider"]
            )
    rows: list[list[object]] = []
    for words in (1, 8):
        ids = np.array([tokenizer.encode(" ".join([SHORT] * words)).ids], np.int64)
        took: dict[tuple[int, str], list[tuple[float, float]]] = {key: [] for key in sessions}
        for _ in range(rounds // BLOCK):
            for key, session in sessions.items():
                time.sleep(0.05)  # the threads of the session before spin on for a while
                for _ in range(BLOCK):
                    began, cpu = time.perf_counter(), time.process_time()
                    session.run(None, {"ids": ids})
                    took[key].append((time.perf_counter() - began, time.process_time() - cpu))
        for (threads, note), seconds in took.items():
            wall, cpu = zip(*seconds, strict=True)
            figures = (statistics.median(wall), percentile(wall, 0.99), statistics.mean(cpu))
            rows.append([ids.size, f"{threads}{note}", *(f"{1000 * figure:.2f}" for figure in figures)])
    return rows


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--heads", default="shipped", help="folder of trained heads")
    reader.add_argument("--benign", nargs="*", type=Path, default=BANK, metavar="FILE")
    reader.add_argument("--passes", type=int, default=3)
    reader.add_argument("--limit", type=int, default=3000, help="prompts of a file")
    asked = reader.parse_args()
    print(machine())
    from guard.exchange import Exchange
    from guard.gate import Gate
    from rules.load import load

    constitution = load("base").constitution
    heads: Any = asked.heads if asked.heads == "shipped" else Path(asked.heads)
    with Gate.build(constitution, heads=heads) as built:
        stages = ", ".join(detector.identity.partition(":")[0] for detector in built.detectors)
        for _ in range(50):
            Gate(constitution, built.detectors).judge(Exchange.of(SHORT))
        everything = Told()
        rows = []
        for path in asked.benign or BANK:
            told = judge(lambda: Gate(constitution, built.detectors), read(path, asked.limit), asked.passes)
            rows.append(verdict_rows(path.name.partition(".jsonl")[0], told))
            add(everything, told)
        if len(rows) > 1:
            rows.append(verdict_rows("all", everything))
    shares = [f"seen by {stage}" for stage in STAGES]
    print(f"{len(constitution.rules)} rules; {stages}; milliseconds a verdict, {asked.passes} passes\n")
    head = ["prompts", "rows", "mean", "p50", "p99", "mean of processor", f"mean, {BATCH} at once", *shares, "flagged"]
    print(table(head, rows), flush=True)
    print("\nWhere the time of a verdict goes, microseconds:\n")
    print(table(["stage", "share of verdicts", "p50", "p99", "mean over all verdicts"], stage_rows(everything)))
    print("\nA fresh process with warm caches, seconds since its start:\n")
    head = ["gate", "rules read", "gate built", "first verdict", "processor", "MB, rules", "MB, gate", "MB, verdict"]
    print(table(head, start_rows(asked.heads, asked.passes)))
    print("\nOne text through the encoder's ONNX file, milliseconds:\n")
    print(table(["tokens", "threads", "p50", "p99", "mean of processor"], thread_rows(asked.heads, 100 * asked.passes)))


def add(everything: Told, told: Told) -> None:
    """The figures of one set to those of all."""
    rows = everything.rows + told.rows
    everything.batched_ms = (everything.rows * everything.batched_ms + told.rows * told.batched_ms) / rows
    everything.rows = rows
    everything.flagged += told.flagged
    everything.wall_ms += told.wall_ms
    everything.cpu_ms += told.cpu_ms
    everything.cleared_ms += told.cleared_ms
    everything.encoded_ms += told.encoded_ms
    for stage, took in told.saw.items():
        everything.saw.setdefault(stage, []).extend(took)


if __name__ == "__main__":
    main()
