"""The rows of all sources, as settings ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from guard.trained.sides import ANSWERED, ASKED
from guard.training.bank import bank_rows, pack_rows
from guard.training.pool import Pool, example_rows, pool_of
from guard.training.rows import HARMFUL, SAFE, LabelError, Row, by_side, prompt_text, read_rows, source_of
from guard.training.sets import find_files, read_objects
from guard.training.settings import Training

_CHOSEN_OF_FEW = 0.2
"""The share of pairs held out where there are few of them: enough to calibrate by."""


def gather_pool(what: Training) -> Pool:
    """All rows, drawn, cleaned and split.

    Raises:
        LabelError: the data cannot be used, or hold one label only.
    """
    rules = what.rules
    if not rules:
        raise LabelError(
            "no rule is looked for by meaning, so there is no head to teach", "give rules with `detect: {}`"
        )
    chosen = 0.1 if what.onto is None else _CHOSEN_OF_FEW
    pool = pool_of(gather(what, rules), check_texts(what.check), what.recipe, seed=what.how.seed, chosen=chosen)
    labels = {name: {row.harmful for row in rows} for name, rows in by_side(pool.teach).items()}
    if what.onto is None or all(len(both) < 2 for both in labels.values()):
        _refuse_one_class(labels.get(ASKED, set()))
    for name, each in labels.items():
        if len(each) == 1:  # heads taught by them would give every text that label; examples judge instead
            kept = [row for row in pool.teach if row.answers != (name == ANSWERED)]
            why = f"{'answers' if name == ANSWERED else 'prompts'}, as all are {_label(each)}"
            pool = replace(pool, teach=kept, counts={**pool.counts, why: len(pool.teach) - len(kept)})
    return pool


def gather(what: Training, rules: Sequence[str]) -> list[Row]:
    """The rows of all sources, before anything is drawn or left out."""
    rows = example_rows(what.constitution)
    if what.bank:
        rows += bank_rows(rules) if what.onto is None else pack_rows(rules)
    for path in find_files(what.data) if what.data else ():
        source = what.recipe.source(source_of(path))
        if source is not None:
            rows += read_rows(path, rules, _categories(what, source.categories), prompts_too=source.prompts_too)
    if what.onto is not None:  # what breaks another rule may break these too: it says nothing of them
        rows = [row for row in rows if row.rules or not row.harmful]
    return rows


def check_texts(paths: Iterable[Path]) -> list[str]:
    """The prompts of files that will be measured on; their labels do not matter here."""
    texts = []
    for path in find_files(list(paths)) if paths else ():
        for number, line in read_objects(path):
            texts.append(prompt_text(path, number, line.get("prompt")))
    return texts


def _categories(what: Training, own: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """A source's categories, and those that are hazards of the constitution's rules."""
    hazards: dict[str, list[str]] = {}
    for rule in what.constitution:
        for hazard in rule.hazards:
            hazards.setdefault(str(hazard), []).append(rule.id)
    return {**{hazard: tuple(ids) for hazard, ids in hazards.items()}, **own}


def _refuse_one_class(labels: set[bool]) -> None:
    if labels != {True, False}:
        raise LabelError(
            f"all prompts to teach are {_label(labels)}" if labels else "there are no prompts to teach",
            "a classifier needs both labels; add examples to the rules, or labelled files",
        )


def _label(labels: set[bool]) -> str:
    return HARMFUL if labels == {True} else SAFE
