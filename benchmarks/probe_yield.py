"""What a model's probes come to: yield, novelty and reasons of rejection of a few rules, as a page of figures.

    python benchmarks/probe_yield.py --model gguf:FILE [--judge MODEL] [--rule ID ...] [-n 20] [--page FILE]

Runs `wardlaw probe make` and writes what it says as Markdown, with the command and the machine; then the judge sorts
the rules' own tests, which nobody has shown it, so that its word can be weighed. The folder is kept: run it again to
go on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from _bench import environment, machine, table
from _page import write_section

from constitution.probing.figures import interval
from constitution.probing.making import Making
from constitution.probing.output import counts, percent
from constitution.probing.recipe import Recipe
from constitution.probing.session import opened
from constitution.probing.settings import Common, Wanted
from constitution.store import RowStore
from guard.exchange import Exchange
from guard.training.metrics import share
from guard.training.sets import read_objects
from rules.load import load
from rules.schema import Constitution

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


def named(command: str, name: str) -> str:
    """The command with the models' file called by a name, which says more than where it lay."""
    return re.sub(r"gguf:[^ ?]+", f"gguf:{name}", command) if name else command


async def sorted_tests(common: Common, constitution: Constitution, seed: int) -> list[list[object]]:
    """What the judge takes the tests of the rules for that are prompts: a row a rule and side."""
    making = Making(common, Wanted(), Recipe(seed=seed), constitution)
    rows: list[list[object]] = []
    async with opened(common, constitution, making.meter) as session:
        for rule in making.rules:
            target = making.target(session, rule)
            for side, wanted in (("breaks", "break"), ("keeps", "near")):
                asked = [Exchange.of_example(example).messages for example in getattr(rule.tests, side)]
                prompts = [messages for messages in asked if messages[-1].role == "user"]
                found = await asyncio.gather(*(target.sort(messages) for messages in prompts))
                said = Counter(each.aim if each else "unreadable" for each in found)
                right = share(said[wanted], len(found))
                rows.append([rule.id, side, len(found), counts(dict(said.most_common())), percent(interval(right))])
    return rows


def read_by_hand(path: Path, out: Path) -> list[str]:
    """How many of the probes that a person read are what they are meant to be, by kind."""
    kinds = {line["id"]: line["kind"] for _, line in read_objects(out / "probes.jsonl")}
    read = [(kinds[line["id"]], bool(line["good"])) for _, line in read_objects(path) if line["id"] in kinds]
    told = []
    for kind in ("break", "keep"):
        right = [good for each, good in read if each == kind]
        told.append(f"{kind} {sum(right)} of {len(right)}: {percent(interval(share(sum(right), len(right))))}")
    return ["Read one by one, and on target: " + "; ".join(told) + ".", ""]


def main() -> None:
    """Make the probes, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--judge")
    parser.add_argument("--rule", action="append")
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default="", help="what the page calls the file of the models")
    parser.add_argument("--out", type=Path, default=Path("probe-yield"))
    parser.add_argument("--max-tokens-total", type=int, help="end with what there is when so many are spent")
    parser.add_argument("--read", type=Path, help="JSONL of `id` and `good`: what a person said of probes")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    rules = [part for rule in given.rule or RULES for part in ("--rule", rule)]
    told = ["probe", "make", *rules, "-n", str(given.n), "--seed", str(given.seed), "-m", given.model]
    told += ["--judge", given.judge] if given.judge else []
    told += ["--max-tokens-total", str(given.max_tokens_total)] if given.max_tokens_total else []
    command = [sys.executable, "-m", "server.cli.main", *told, "-o", str(given.out), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment(), check=False)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(done.returncode)
    figures = json.loads(done.stdout)
    tests: list[str] = []
    if given.judge:
        constitution = load("base").constitution
        common = Common(given.out, given.model, given.judge, tuple(given.rule or RULES))
        sorted_ = asyncio.run(sorted_tests(common, constitution, given.seed))
        tests = ["The judge on the rules' own tests, which it is never shown:", ""]
        tests += [table(["rule", "side", "tests", "the judge says", "as the rule says"], sorted_), ""]
    with closing(RowStore(given.out)) as store:
        spent = store.counts()
    text = "\n".join(
        [
            f"    wardlaw {named(' '.join(told), given.name)}",
            "",
            f"{machine()}. {spent.calls:,} calls in all, {spent.tokens.prompt:,} tokens in,",
            f"{spent.tokens.completion:,} out.",
            "",
            HEAD,
            RULER,
            *map(row, figures["sides"]),
            "",
            f"Of the breaks that the gate finds plain, it finds {percent(figures['disguised_still_found'])} disguised.",
            "",
            *(read_by_hand(given.read, given.out) if given.read else []),
            *tests,
        ]
    )
    if given.page:
        write_section(given.page, "Probes, measured", "Yield and novelty", text)
    print(text)


if __name__ == "__main__":
    main()
