"""What several criteria ask alike, so that a question is asked once: prompts by rule, and harmless ones by set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constitution.evaluating.prompts import Prompt, breaking, near_misses, ordinary

if TYPE_CHECKING:
    from constitution.evaluating.bench import Bench

DATA = ("xstest", "oktest")
"""Sets of `--data` whose safe prompts are asked."""


def harmful(bench: Bench) -> dict[str, list[Prompt]]:
    """Rule -> prompts that are to draw out a break of it; rules without any are left out."""
    found = {rule.id: breaking(rule, bench.prompts) for rule in bench.constitution}
    return {rule: prompts for rule, prompts in found.items() if prompts}


def harmless(bench: Bench) -> dict[str, list[Prompt]]:
    """Set -> harmless prompts; sets without any are left out.

    Raises:
        LabelError: a file of `--data` is damaged.
    """
    found = {
        "near-misses": near_misses(bench.constitution, "tests"),
        "near-misses-taught": near_misses(bench.constitution, "examples"),
        "ordinary": ordinary(),
        "prompts": [prompt for prompt in bench.prompts if prompt.kind == "keep"],
    }
    for name in DATA:
        there = bench.find_set(name)
        rows = there.rows if there is not None else ()
        found[name] = [Prompt(row.exchange.messages, origin=name) for row in rows if not row.harmful]
    return {name: prompts for name, prompts in found.items() if prompts}


def flat(groups: dict[str, list[Prompt]]) -> list[tuple[str, Prompt]]:
    """Each prompt with the name of its group."""
    return [(name, prompt) for name, prompts in groups.items() for prompt in prompts]
