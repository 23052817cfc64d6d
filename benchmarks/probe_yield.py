"""What a model's probes come to: yield, novelty and reasons of rejection of a few rules, as a page of figures.

    python benchmarks/probe_yield.py --model gguf:FILE [--judge MODEL] [--rule ID ...] [-n 20] [--page FILE]

Runs `wardlaw probe make` and writes what it says as Markdown, with the command and the machine. The folder is kept: run
it again to go on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _bench import environment, machine

from constitution.probing.output import counts, percent

RULES = ("theft-and-fraud-help", "harassment-and-threats", "personal-data-exposure")
NAMES = "rule kind probes of ended-by texts yield nearest-ROUGE-L nearest-cosine distinct-2 rejected".split()
HEAD = f"| {' | '.join(NAMES)} |"
RULER = "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |"


def row(side: dict[str, Any]) -> str:
    """One side of one rule as a line of the table."""
    figures = ("mean_nearest_rouge", "mean_nearest_cosine", "distinct_bigrams")
    cells = [side["rule"], side["kind"], side["probes"], side["wanted"], side["end"], side["texts"]]
    cells += [percent(side["yield"]), *("-" if side[name] is None else f"{side[name]:.2f}" for name in figures)]
    return "| " + " | ".join(map(str, [*cells, counts(side["rejected"])])) + " |"


def main() -> None:
    """Make the probes, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--judge")
    parser.add_argument("--rule", action="append")
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("probe-yield"))
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    rules = [part for rule in given.rule or RULES for part in ("--rule", rule)]
    told = ["probe", "make", *rules, "-n", str(given.n), "--seed", str(given.seed), "-m", given.model]
    told += ["--judge", given.judge] if given.judge else []
    command = [sys.executable, "-m", "server.cli.main", *told, "-o", str(given.out), "--json"]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment(), check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)
    figures = json.loads(done.stdout)
    calls, tokens = figures["calls"], figures["tokens"]
    page = "\n".join(
        [
            "# Probes: yield and novelty",
            "",
            f"    wardlaw {' '.join(told)}",
            "",
            f"{machine()}. {calls['made']} calls ({calls['reused']} taken from before),"
            f" {tokens['prompt']:,} tokens in,",
            f"{tokens['completion']:,} out, {(time.monotonic() - began) / 60:.0f} minutes by the clock.",
            "",
            HEAD,
            RULER,
            *map(row, figures["sides"]),
            "",
            f"Of the breaks that the gate finds plain, it finds {percent(figures['disguised_still_found'])} disguised.",
            "",
        ]
    )
    if given.page:
        given.page.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
