"""How the packs fare with their own texts: how many there are, what is found of the tests, what is wrongly flagged.

    python benchmarks/packs.py [PACK ...] [--heads FOLDER] [--benign FILE ...] [--out docs/figures/packs.md]

A row a pack, over the rules that its own file is the first to define, so that no text counts twice; the last row is all
of them. Tests are never taught. Found and flagged are by the rule whose test it is. Intervals are exact (Clopper and
Pearson), 95%. With `--benign`, a second table says how many harmless prompts each pack flags with all its rules, and
all packs together.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._bench import machine, table
from guard.exchange import Exchange
from guard.gate import Gate
from guard.training.metrics import Interval, share
from guard.training.rows import prompt_text, source_of
from guard.training.sets import read_objects
from guard.trials.contract import breaches
from guard.trials.trial import Tally, try_rules
from rules.files import packs
from rules.load import load
from rules.schema import Rule

HEAD = (
    "pack",
    "rules",
    "of them looked for",
    "examples, break / keep",
    "tests, break / keep",
    "tests found, patterns alone",
    "tests found, with meaning",
    "near misses flagged",
    "contracts kept",
)


AT_ONCE = 64
_ON_HARMLESS = (
    "Prompts of public sets, none of them taught, that any rule of the pack flags (`--benign`); every pack with all\n"
    "its rules, those that it takes from others too. Each group of heads keeps its own promise of 1%, so packs put\n"
    "together may flag the sum."
)


@dataclass(frozen=True)
class Measured:
    """A pack's own rules and what was seen of their tests."""

    name: str
    rules: tuple[Rule, ...]
    plain: Tally
    """By patterns and hidden characters alone."""
    whole: Tally
    """By all stages that need no model elsewhere."""
    broken: int
    """Rules whose contract is not kept."""


def measure(pack: str, heads: str) -> Measured:
    """Run a pack's own tests through both gates."""
    loaded = load(pack)
    own = loaded.files[-1].resolve()
    rules = tuple(rule for rule in loaded.constitution if Path(loaded.locate(rule.id).path).resolve() == own)
    ids = [rule.id for rule in rules]
    seen: list[Tally] = []
    broken: set[str] = set()
    for encoder in (None, "default"):
        given = None if heads == "none" else "shipped" if heads == "shipped" else Path(heads)
        with Gate.build(loaded.constitution, encoder=encoder, heads=given) as gate:
            trial = try_rules(gate, origins=("tests",), only=ids, explain=False, at_once=64)
        failed = [each for each in trial.seen if each.failed]
        if failed:  # its misses would look like the rules'
            raise SystemExit(f"{pack}: a detector failed on {len(failed)} texts, as `{failed[0].case.text[:60]}`")
        seen.append(trial)
        broken = {each.rule for each in breaches(loaded.constitution, trial.by_rule, only=ids)}
    return Measured(pack, rules, seen[0], seen[1], len(broken))


def row(of: Measured) -> list[str]:
    """A pack's line."""
    looked = [rule for rule in of.rules if rule.detect is not None]
    examples = [sum(len(getattr(rule.examples, kind)) for rule in of.rules) for kind in ("breaks", "keeps")]
    tests = [sum(len(getattr(rule.tests, kind)) for rule in of.rules) for kind in ("breaks", "keeps")]
    held = sum(rule.contract is not None for rule in of.rules)
    return [
        of.name,
        str(len(of.rules)),
        str(len(looked)),
        f"{examples[0]:,} / {examples[1]:,}",
        f"{tests[0]:,} / {tests[1]:,}",
        percent(of.plain.recall()),
        percent(of.whole.recall()),
        percent(of.whole.false_alarms()),
        f"{held - of.broken} of {held}",
    ]


def together(all_of: Sequence[Measured]) -> Measured:
    """The sum of the packs."""
    return Measured(
        "**all**",
        tuple(rule for each in all_of for rule in each.rules),
        Tally(tuple(seen for each in all_of for seen in each.plain.seen)),
        Tally(tuple(seen for each in all_of for seen in each.whole.seen)),
        sum(each.broken for each in all_of),
    )


def percent(share: Interval | None) -> str:
    """A share with its interval."""
    return "-" if share is None else f"{share.value:.1%} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def flagged(sources: Sequence[str], heads: str, benign: Mapping[str, Sequence[str]]) -> list[str]:
    """The share of each set of harmless prompts that packs flag, put together as one constitution."""
    cells = []
    given = None if heads == "none" else "shipped" if heads == "shipped" else Path(heads)
    with Gate.build(load(*sources).constitution, heads=given) as gate:
        for prompts in benign.values():
            hit = 0
            for start in range(0, len(prompts), AT_ONCE):
                verdicts = gate.judge_many([Exchange.of(prompt) for prompt in prompts[start : start + AT_ONCE]])
                hit += sum(bool(verdict.findings) for verdict in verdicts)
            cells.append(percent(share(hit, len(prompts))))
    return cells


def harmless(files: Sequence[Path]) -> dict[str, list[str]]:
    """The prompts of labelled files that are labelled safe, by the file's name."""
    found = {}
    for file in files:
        safe = [line for _, line in read_objects(file) if line.get("label") == "safe"]
        found[source_of(file)] = [prompt_text(file, 0, line.get("prompt")) for line in safe]
    return found


def second(names: Sequence[str], heads: str, files: Sequence[Path]) -> str:
    """The table of harmless prompts."""
    benign = harmless(files)
    head = ("flagged of harmless prompts", *(f"{name} ({len(prompts):,})" for name, prompts in benign.items()))
    lines = []
    for name in names:
        print(f"harmless prompts: {name}", file=sys.stderr)
        lines.append([name, *flagged([name], heads, benign)])
    if len(names) > 1:
        lines.append(["**all together**", *flagged(names, heads, benign)])
    return table(head, lines)


def page(all_of: Sequence[Measured], heads: str, seconds: float, more: str) -> str:
    """The whole page."""
    lines = [row(each) for each in all_of]
    if len(all_of) > 1:
        lines.append(row(together(all_of)))
    return "\n".join(
        [
            "# The packs and their own tests",
            "",
            f"{machine()}, {datetime.now(UTC):%B %Y}; heads: {heads}; {seconds:.0f} s.",
            "",
            f"    python benchmarks/packs.py {' '.join(each.name for each in all_of)}",
            "",
            "A row a pack, over the rules that its own file is the first to define. Tests are never taught; one counts",
            "as found where its own rule is, by stages that ask no model elsewhere. In brackets exact 95% intervals.",
            "",
            table(HEAD, lines),
            "",
            *([_ON_HARMLESS, "", more, ""] if more else []),
        ]
    )


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("packs", nargs="*", metavar="PACK", help="all that ship where none is named")
    reader.add_argument("--heads", default="shipped", help="folder of trained heads, `shipped` or `none`")
    reader.add_argument("--out", type=Path, help="write the page there; else it is printed")
    reader.add_argument(
        "--benign", type=Path, nargs="+", default=[], help="JSONL, packed or not, with `prompt`, `label`"
    )
    asked = reader.parse_args()
    began = time.perf_counter()
    measured = [measure(pack, asked.heads) for pack in asked.packs or packs()]
    more = second([each.name for each in measured], asked.heads, asked.benign) if asked.benign else ""
    said = page(measured, asked.heads, time.perf_counter() - began, more)
    if asked.out is None:
        print(said, end="")
    else:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(said, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
