"""Tokens a second on SmolLM2-135M by llama.cpp and by transformers, batched against one by one, in one run.

    .venv/bin/python benchmarks/local_throughput.py            3 to 4 minutes on 2 cores
    .venv/bin/python benchmarks/local_throughput.py --asks 8 --rounds 1

Every way answers the same chat asks with the same weights: llama.cpp as they lie in the file (4 bits a weight),
transformers unpacked to float32. The ways take turns, round after round, so that a busy neighbour slows all of them;
the table shows each way's best round, and its ratio to the same library one by one. What is counted is generated
tokens over wall time, and over CPU time; reading the prompts is within both.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from guard.exchange import Message
from guard.models import open_model
from guard.models.base import Ask, ChatModel, Sampling
from guard.models.embedded import weights

SYSTEM = "You are a careful and friendly assistant. Answer in a few plain sentences, and say so where you are not sure."
TOPICS = (
    "how bread rises",
    "why the sea is salty",
    "what a lighthouse keeper did all day",
    "how to comfort a friend who failed an exam",
    "the history of the bicycle",
    "why leaves turn red in autumn",
    "how to plan a small garden",
    "what makes a good apology",
)


@dataclass
class Way:
    """One way to answer the asks."""

    name: str
    library: str
    model: str
    calls: int
    """Calls in flight."""
    speeds: list[float] = field(default_factory=list)
    """Generated tokens a second, one figure a round."""
    thrift: list[float] = field(default_factory=list)
    """Generated tokens a CPU second, one figure a round: what a busy neighbour disturbs less than wall time."""


def asks(count: int, tokens: int) -> list[Ask]:
    """Chat asks of unlike lengths, each with its own seed."""
    made = []
    for n in range(count):
        text = f"Tell me about {TOPICS[n % len(TOPICS)]}." + " Give an example from daily life." * (n % 4)
        sampling = Sampling(temperature=0.7, max_tokens=tokens, seed=n)
        made.append(Ask((Message("system", SYSTEM), Message("user", text)), sampling))
    return made


async def answer(model: ChatModel, work: list[Ask], calls: int) -> tuple[int, float, float]:
    """Answer `work` with `calls` in flight: (generated tokens, wall seconds, CPU seconds of this process)."""
    gate = asyncio.Semaphore(calls)

    async def one(ask: Ask) -> int:
        async with gate:
            return (await model.chat(ask)).usage.completion

    start, spent = time.perf_counter(), time.process_time()
    counts = await asyncio.gather(*map(one, work))
    return sum(counts), time.perf_counter() - start, time.process_time() - spent


async def measure(ways: list[Way], work: list[Ask], rounds: int) -> None:
    """Run all ways in turn, `rounds` times; each is warmed once before it counts."""
    models = {way.model: open_model(way.model) for way in ways}
    for way in ways:
        await answer(models[way.model], work[:2], way.calls)
    for number in range(rounds):
        for way in ways:
            # one by one needs no more than a few asks to show its speed, and would take most of the time
            some = work if way.calls > 1 else work[: max(2, len(work) // 6)]
            tokens, seconds, spent = await answer(models[way.model], some, way.calls)
            way.speeds.append(tokens / seconds)
            way.thrift.append(tokens / spent)
            print(f"  round {number + 1}: {way.name:<28} {tokens:5} tokens in {seconds:5.1f} s", file=sys.stderr)
    for model in models.values():
        await model.close()


def table(ways: list[Way]) -> str:
    """The figures as one Markdown table."""
    alone = {way.library: way for way in ways if way.calls == 1}
    lines = [
        "| way | calls in flight | tokens/s, best round | worst | against alone | tokens/CPU s | against alone |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        best, thrift, base = max(way.speeds), max(way.thrift), alone[way.library]
        lines.append(
            f"| {way.name} | {way.calls} | {best:.0f} | {min(way.speeds):.0f} | {best / max(base.speeds):.1f}x"
            f" | {thrift:.0f} | {thrift / max(base.thrift):.1f}x |"
        )
    return "\n".join(lines)


def machine(threads: int) -> str:
    """What it ran on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("xllamacpp", "torch", "transformers")
    )
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    here = f"{cpu}, {os.cpu_count()} cores, {threads} threads used, load {load} at the start"
    return f"{here}; {versions}; Python {platform.python_version()}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asks", type=int, default=32, help="chat asks a round (default 32)")
    parser.add_argument("--tokens", type=int, default=64, help="most tokens an answer (default 64)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds; the best counts (default 2)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each library (all cores)")
    parser.add_argument("--batch", type=int, default=16, help="batch of transformers (default 16)")
    parser.add_argument("--slots", type=int, default=8, help="slots of llama.cpp (default 8)")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    llama, torched = f"gguf:{weights()}?context=1024&threads={options.threads}", f"hf:{weights()}?batch={options.batch}"
    ways = [
        Way("llama.cpp one by one", "llama.cpp", f"{llama}&slots=1", 1),
        Way(f"llama.cpp {options.slots} slots", "llama.cpp", f"{llama}&slots={options.slots}", 64),
        Way("transformers one by one", "transformers", torched, 1),
        Way(f"transformers batch {options.batch}", "transformers", torched, 64),
    ]
    print(machine(options.threads))
    print(f"{weights().name}; {options.asks} chat asks of up to {options.tokens} tokens, {options.rounds} rounds\n")
    asyncio.run(measure(ways, asks(options.asks, options.tokens), options.rounds))
    print(table(ways))


if __name__ == "__main__":
    main()
