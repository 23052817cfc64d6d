"""Tokens a second of the whole loop on SmolLM2-135M, by llama.cpp and by transformers, many rows at once against one.

    .venv/bin/python benchmarks/loop_throughput.py                 some minutes on 2 cores
    .venv/bin/python benchmarks/loop_throughput.py --rows 4 --tokens 32

Every way runs `Generation`, the job behind `wardlaw generate`, over the same prompts with the pack `base`, one round,
patterns alone as the gate, and a fresh folder. Counted are tokens read and written over the time from the first call
to the last row; loading the model is not in it. Critiques of a rule share their beginning, which llama.cpp keeps.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_throughput import machine

from constitution.generate import Generation
from constitution.row import ROLES
from constitution.settings import Settings
from guard.exchange import Message
from guard.models import open_model
from guard.models.base import Ask, Sampling
from guard.models.embedded import weights
from rules import load

PROMPTS = Path(__file__).resolve().parents[1] / "examples" / "prompts.jsonl"


@dataclass(frozen=True)
class Way:
    """One way to run the loop."""

    name: str
    library: str
    model: str
    rows: int
    """Rows at work at once."""


@dataclass(frozen=True)
class Figures:
    """What a way came to."""

    seconds: float
    prompt: int
    completion: int
    calls: int


async def job(way: Way, generation: Generation) -> None:
    """Run the job with the model loaded and warm before its first call."""
    model = open_model(way.model, concurrency=way.rows)
    try:
        await model.chat(Ask((Message("user", "Hello"),), Sampling(max_tokens=4)))
        await generation.run()
    finally:
        await model.close()


def run(way: Way, rows: int, tokens: int) -> Figures:
    """Run the job once in a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            prompts=(str(PROMPTS),),
            out=Path(folder) / "out",
            models=dict.fromkeys(ROLES[:3], way.model),
            sampling={role: {"max_tokens": tokens, "temperature": 0.3} for role in ROLES[:3]},
            rounds=1,
            encoder=None,
            limit=rows,
            concurrency=way.rows,
            formats=("sft",),
        )
        generation = Generation(settings, load("base").constitution)
        asyncio.run(job(way, generation))
        meter = generation.meter
        return Figures(meter.seconds, meter.usage.prompt, meter.usage.completion, meter.calls)


def table(found: list[tuple[Way, Figures]]) -> str:
    """The figures as one Markdown table."""
    alone = {way.library: figures for way, figures in found if way.rows == 1}
    lines = [
        "| way | rows at once | calls | tokens read | written | s | written/s | against one row |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, figures in found:
        speed = figures.completion / figures.seconds
        base = alone[way.library].completion / alone[way.library].seconds
        lines.append(
            f"| {way.name} | {way.rows} | {figures.calls} | {figures.prompt:,} | {figures.completion:,}"
            f" | {figures.seconds:.0f} | {speed:.1f} | {speed / base:.1f}x |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8, help="rows a way (default 8)")
    parser.add_argument("--tokens", type=int, default=64, help="most tokens an answer (default 64)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each library (all cores)")
    parser.add_argument("--only", choices=["llama.cpp", "transformers"], help="one library alone")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    llama, torched = f"gguf:{weights()}?threads={options.threads}", f"hf:{weights()}?batch=16"
    ways = [
        Way("llama.cpp, row by row", "llama.cpp", f"{llama}&slots=1", 1),
        Way("llama.cpp, 8 slots", "llama.cpp", f"{llama}&slots=8", 8),
        Way("transformers, row by row", "transformers", torched, 1),
        Way("transformers, batch 16", "transformers", torched, 16),
    ]
    print(machine(options.threads))
    print(f"{weights().name}; {options.rows} rows of {PROMPTS.name}, answers of up to {options.tokens} tokens\n")
    found = [(way, run(way, options.rows, options.tokens)) for way in ways if options.only in (None, way.library)]
    print(table(found))


if __name__ == "__main__":
    main()
