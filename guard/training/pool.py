"""The pool: rows of all sources together, without repeats, without what lies near a check prompt, and split."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from guard.exchange import Exchange
from guard.training.bank import HARMLESS
from guard.training.near import LIKE, Grams, groups, near_any, plain
from guard.training.recipe import Recipe, Source
from guard.training.rows import Row
from rules.schema import Constitution, Example, Part

_TAKEN = ("teach", "choose", "calibrate")


@dataclass(frozen=True)
class Pool:
    """Rows to teach with, rows to choose settings by, and benign rows to promise by."""

    teach: list[Row]
    choose: list[Row]
    """Held out: whole pairs, and whole groups of near duplicates."""
    calibrate: list[Row]
    """Benign rows, never taught."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was taken out, and why -> rows."""
    sources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Source -> harmful, safe -> rows taught."""


def example_rows(constitution: Constitution) -> list[Row]:
    """The rules' own examples: those that break them are harmful, near misses safe. Their tests are never taught.

    A rule whose meaning is not looked for teaches nothing: its examples break it by their characters, say.
    """
    rows = []
    for rule in constitution:
        if rule.detect is not None and rule.detect.meaning is None:
            continue
        for examples, harmful in ((rule.examples.breaks, True), (rule.examples.keeps, False)):
            rows += [_example_row(rule.id, example, harmful) for example in examples]
    return rows


def pool_of(
    rows: Sequence[Row],
    check: Sequence[str],
    recipe: Recipe,
    *,
    seed: int,
    chosen: float = 0.1,
    benign: int = 1500,
) -> Pool:
    """The pool of all rows.

    Args:
        rows: of all sources.
        check: prompts that will be measured on: every exact or near duplicate of one is taken out.
        recipe: how much each source counts.
        seed: of all drawing.
        chosen: the share of twin pairs that is held out to choose settings by.
        benign: prompts, and as many answers, of sources without any harm held out to calibrate by, at most a third of
            them.
    """
    drawn, counts = _draw(rows, recipe, random.Random(seed))
    drawn, repeats = _once(drawn)
    counts["repeats"] = repeats
    if not drawn:
        return Pool([], [], [], counts)
    grams = Grams([row.text for row in drawn])
    near = near_any([row.prompt if row.prompt and row.answers else row.text for row in drawn], check, grams, LIKE)
    spoiled = {row.pair for row, hit in zip(drawn, near, strict=True) if hit and row.pair}
    kept = [row for row, hit in zip(drawn, near, strict=True) if not hit and row.pair not in spoiled]
    counts["near a check prompt"] = len(drawn) - len(kept)
    teach, choose, calibrate = _split(kept, grams, seed, chosen, benign)
    counts["near a held-out row"] = len(kept) - len(teach) - len(choose) - len(calibrate)
    taught: dict[str, Counter[str]] = {}
    for row in teach:
        taught.setdefault(row.source, Counter())["harmful" if row.harmful else "safe"] += 1
    return Pool(teach, choose, calibrate, counts, {name: dict(count) for name, count in sorted(taught.items())})


def _example_row(rule: str, example: Example, harmful: bool) -> Row:
    exchange = Exchange.of_example(example)
    answers = exchange.part in (Part.RESPONSE, Part.REASONING, Part.TOOL_CALL)
    prompt = next((turn.content for turn in reversed(exchange.messages[:-1]) if turn.role == "user"), "")
    language = "zh" if any("\u4e00" <= char <= "\u9fff" for char in exchange.text[:50]) else "en"
    return Row(
        exchange.text, harmful, "rules", prompt if answers else None, (rule,) if harmful else (), language=language
    )


def _draw(rows: Sequence[Row], recipe: Recipe, rng: random.Random) -> tuple[list[Row], dict[str, int]]:
    """Rows by the recipe's limits, weighed, in an order drawn by the seed."""
    own = Source()
    shuffled = list(rows)
    rng.shuffle(shuffled)
    seen: Counter[tuple[str, bool]] = Counter()
    drawn = []
    counts: Counter[str] = Counter()
    for row in shuffled:
        source = own if row.source == "rules" or row.source.startswith("bank/") else recipe.source(row.source)
        if source is None:
            counts["sources not in the recipe"] += 1
            continue
        limit = source.harmful if row.harmful else source.safe
        seen[row.source, row.harmful] += 1
        if limit is not None and seen[row.source, row.harmful] > limit:
            counts["over the recipe's limits"] += 1
            continue
        drawn.append(_weighed(row, source.weight))
    return drawn, dict(counts)


def _weighed(row: Row, weight: float) -> Row:
    return row if weight == row.weight else replace(row, weight=weight)


def _once(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """Each text once with each prompt; texts that stand with both labels are left out altogether, pairs whole."""
    labels: dict[tuple[str, str], set[bool]] = {}
    keys = [(plain(row.prompt or ""), plain(row.text)) for row in rows]
    for key, row in zip(keys, rows, strict=True):
        labels.setdefault(key, set()).add(row.harmful)
    contested = {row.pair for key, row in zip(keys, rows, strict=True) if row.pair and len(labels[key]) > 1}
    kept: list[Row] = []
    seen: set[tuple[str, str]] = set()
    for key, row in zip(keys, rows, strict=True):
        if key in seen or len(labels[key]) > 1 or not key[1] or (row.pair and row.pair in contested):
            continue
        seen.add(key)
        kept.append(row)
    return kept, len(rows) - len(kept)


def _split(
    rows: list[Row], grams: Grams, seed: int, chosen: float, benign: int
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows to teach, to choose by, to calibrate by; near duplicates and twins stay together, or are left out."""
    rng = random.Random(seed + 1)
    alike = groups([row.text for row in rows], grams)
    number = list(alike)
    twin: dict[str, int] = {}
    for place, row in enumerate(rows):
        if row.pair is not None:  # twins share the group of whichever stands first
            number[place] = twin.setdefault(row.pair, number[place])
    benign_sources = {row.source for row in rows} - {row.source for row in rows if row.harmful} - {HARMLESS}
    paired = {number[place] for place, row in enumerate(rows) if row.pair is not None}
    for_choice = set(_some(sorted(paired), int(len(paired) * chosen), rng))
    for_promise: set[int] = set()
    for answers in (False, True):
        free = {
            number[place]
            for place, row in enumerate(rows)
            if row.answers == answers and row.pair is None and row.source in benign_sources
        }
        harmless = sorted(free - paired - for_promise)
        for_promise.update(_some(harmless, min(benign, len(harmless) // 3), rng))
    sides: dict[str, list[Row]] = {name: [] for name in _TAKEN}
    for place, row in enumerate(rows):
        group = number[place]
        if group in for_choice:
            sides["choose"].append(row)
        elif group in for_promise:
            if row.source in benign_sources:
                sides["calibrate"].append(row)
        else:
            sides["teach"].append(row)
    # A twin stands with its twin, away from its own near duplicates: these are not taught where it is held out.
    held_out = for_choice | for_promise
    held = {alike[place] for place in range(len(rows)) if number[place] in held_out}
    spoiled = {id(row) for place, row in enumerate(rows) if alike[place] in held}
    pairs = {row.pair for row in sides["teach"] if row.pair and id(row) in spoiled}
    teach = [row for row in sides["teach"] if id(row) not in spoiled and row.pair not in pairs]
    return teach, sides["choose"], sides["calibrate"]


def _some(numbers: list[int], count: int, rng: random.Random) -> list[int]:
    return rng.sample(numbers, min(count, len(numbers)))
