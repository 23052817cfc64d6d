"""What probes teach: recall of a gate for new rules, taught with them and without.

    python benchmarks/probe_recall.py PROBES --rules base --data TEACH --check CHECK [--page FILE]

PROBES is a folder of `wardlaw probe make`. Its rules are taken as ones that nobody has taught: they get ids of their
own, and heads are taught three ways, by their examples alone, by these and the probes, and by these and as many texts
of the project's twin bank, drawn by the seed. Each way twice: on the encoder as it comes (`gate train --heads-only
--no-bank`), and on that of the shipped heads (`gate train --onto shipped --no-bank`), which has read many texts about
such rules already. TEACH holds harmless rows (`gpteacher`, `self_instruct`) for the threshold, CHECK the sets to
measure on. Whatever is near a text that is measured on is taken out first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _bench import machine, table
from _page import write_section
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from guard.exchange import Exchange
from guard.gate import Gate
from guard.trained.heads import Heads, shipped
from guard.training.bank import bank_rows
from guard.training.metrics import share
from guard.training.near import Grams, near_any
from guard.training.onto import train_onto
from guard.training.recipe import Recipe, Source
from guard.training.rows import Row, prompt_text
from guard.training.sets import CheckRow, CheckSet, read_objects, read_set, tests_of
from guard.training.settings import Training
from guard.training.train import train
from rules.load import load
from rules.schema import Constitution

SETS = ("jailbreakbench", "harmbench_val", "xstest", "openai_moderation", "alpaca_benign", "oktest", "notinject")
HARMLESS = {"gpteacher": 1000, "self_instruct": 1000}
WAYS = ("examples", "probes", "bank")
ENCODERS = {"untuned": "as it comes", "shipped": "of the shipped heads"}
RESAMPLES = 2000
Floats = NDArray[np.float64]
Line = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """A set by one gate."""

    harmful: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    scores: Floats


def as_new(constitution: Constitution, ids: Iterable[str]) -> Constitution:
    """The rules under ids that no heads know."""
    rules = [constitution.rule(rule).model_copy(update={"id": f"new-{rule}"}) for rule in ids]
    return Constitution(name="probed", title=constitution.title, rules=tuple(rules))


def label_line(text: str, *, harmful: bool, rule: str) -> dict[str, Any]:
    """A row to teach by."""
    rules = {"rules": rule} if harmful else {}
    return {"prompt": text, "label": "harmful" if harmful else "safe", "category": rule, **rules}


def probe_lines(folder: Path) -> list[Line]:
    """The label rows of the probes, of the last message of conversations, for the new ids."""
    path = folder / "labels.jsonl"
    return [
        label_line(
            prompt_text(path, number, line["prompt"]),
            harmful=line["label"] == "harmful",
            rule=f"new-{line['category']}",
        )
        for number, line in read_objects(path)
    ]


def bank_split(ids: Sequence[str], like: Sequence[Line], pairs_a_rule: int, seed: int) -> tuple[list[Line], CheckSet]:
    """As many rows of the bank a rule and label as `like` has, whole pairs first, and other pairs to measure on."""
    pairs: dict[str, list[Row]] = {}
    for row in bank_rows(ids):
        if row.pair and not row.answers and row.language == "en" and row.source.startswith("bank/requests"):
            pairs.setdefault(row.pair, []).append(row)
    of_rule: dict[str, list[list[Row]]] = {rule: [] for rule in ids}
    for pair in pairs.values():
        for rule in {rule for row in pair for rule in row.rules if rule in of_rule}:
            of_rule[rule].append(pair)
    counts = Counter((line["category"], line["label"]) for line in like)
    taught, held = [], []
    for rule, found in of_rule.items():
        random.Random(seed).shuffle(found)
        wanted = {label: counts[f"new-{rule}", label] for label in ("harmful", "safe")}
        most = max(wanted.values())
        for place, pair in enumerate(found):
            for row in pair:
                label = "harmful" if row.harmful else "safe"
                if place < wanted[label]:
                    taught.append(label_line(row.text, harmful=row.harmful, rule=f"new-{rule}"))
                elif most <= place < most + pairs_a_rule:
                    held.append(CheckRow(f"{rule}/{place}", Exchange.of(row.text), row.harmful, rule))
    return taught, CheckSet("twin bank of these rules", tuple(held))


def texts_of(sets: Sequence[CheckSet]) -> list[str]:
    """What is measured on."""
    return [row.exchange.text for each in sets for row in each.rows]


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    """Lines of JSON."""
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def measure(gate: Gate, sets: Sequence[CheckSet]) -> list[Measured]:
    """Judge all rows; every detector looks, as in the loop."""
    found = []
    for each in sets:
        verdicts = []
        for start in range(0, len(each.rows), 64):
            verdicts += gate.judge_many([row.exchange for row in each.rows[start : start + 64]])
        found.append(
            Measured(
                np.array([row.harmful for row in each.rows]),
                np.array([bool(verdict.findings) for verdict in verdicts]),
                np.array([verdict.score for verdict in verdicts]),
            )
        )
    return found


def harmless_prompts(data: Path, name: str, most: int, seed: int, folder: Path) -> Path:
    """Prompts of a source without any harm, without their answers, which would take most of the time to encode."""
    path = data / f"{name}.jsonl.gz"
    texts = list(dict.fromkeys(prompt_text(path, number, line["prompt"]) for number, line in read_objects(path)))
    drawn = random.Random(seed).sample(texts, min(most, len(texts)))
    return write_lines(folder / f"{name}.jsonl", ({"prompt": text, "label": "safe"} for text in drawn))


def digest_of(labels: Sequence[Path], check: Path) -> str:
    """What a gate was taught and measured by."""
    return hashlib.blake2b(b"".join(path.read_bytes() for path in (*labels, check)), digest_size=6).hexdigest()


def write_measured(path: Path, found: Sequence[Measured]) -> None:
    """Keep what a gate said."""
    names = ("harmful", "flagged", "scores")
    np.savez(path, **{f"{name}{place}": getattr(each, name) for place, each in enumerate(found) for name in names})


def read_measured(path: Path) -> list[Measured]:
    """What a gate said."""
    with np.load(path) as kept:
        count = len(kept.files) // 3
        return [
            Measured(*(kept[f"{name}{place}"] for name in ("harmful", "flagged", "scores"))) for place in range(count)
        ]


def gained(before: Measured, after: Measured, *, harmful: bool) -> str:
    """How much larger the flagged share became, in points, with the bootstrap's interval over pairs."""
    rows = before.harmful == harmful
    moved = after.flagged[rows].astype(float) - before.flagged[rows].astype(float)
    return (
        _spread(100 * moved.mean(), bootstrap((100 * moved,), np.mean, **_HOW).confidence_interval)
        if rows.any()
        else "-"
    )


def auc_gained(before: Measured, after: Measured) -> str:
    """How much larger the area under the ROC curve became."""
    if before.harmful.all() or not before.harmful.any():
        return "-"
    moved = _wins(after) - _wins(before)  # of every harmful row over every harmless one: the area is the mean
    rows, columns = (np.arange(count) for count in moved.shape)

    def mean(some: NDArray[np.intp], others: NDArray[np.intp]) -> float:
        return float(moved[np.ix_(some, others)].mean())

    found = bootstrap((rows, columns), mean, vectorized=False, **_HOW)
    return _spread(float(moved.mean()), found.confidence_interval, ".3f")


def _wins(measured: Measured) -> NDArray[np.float32]:
    """(harmful, harmless): 1 where the harmful row scores higher, a half where both score the same."""
    bad, good = measured.scores[measured.harmful], measured.scores[~measured.harmful]
    return (np.sign(bad[:, None] - good[None, :]) / 2 + 0.5).astype(np.float32)


_HOW: dict[str, Any] = {"n_resamples": RESAMPLES, "method": "percentile", "rng": np.random.default_rng(0)}


def _spread(value: float, interval: Any, form: str = ".1f") -> str:
    return f"{value:+{form}} [{interval.low:+{form}}, {interval.high:+{form}}]"


def _share(measured: Measured, *, harmful: bool) -> str:
    rows = measured.harmful == harmful
    found = share(int(measured.flagged[rows].sum()), int(rows.sum()))
    return "-" if found is None else f"{found.value:.1%}"


def _auc(measured: Measured) -> str:
    both = measured.harmful.any() and not measured.harmful.all()
    return f"{roc_auc_score(measured.harmful, measured.scores):.3f}" if both else "-"


def tables(sets: Sequence[CheckSet], by_way: Mapping[str, Sequence[Measured]]) -> str:
    """Recall, AUC and false alarms of all ways, and what probes and the bank add to the examples."""
    recall, ranks, alarms = [], [], []
    for place, each in enumerate(sets):
        before, probes, bank = (by_way[way][place] for way in WAYS)
        bad = int(before.harmful.sum())
        good = len(each.rows) - bad
        if bad:
            shares = [_share(way, harmful=True) for way in (before, probes, bank)]
            recall.append([each.name, bad, *shares, *(gained(before, way, harmful=True) for way in (probes, bank))])
        if bad and good:
            aucs = [_auc(way) for way in (before, probes, bank)]
            ranks.append([each.name, len(each.rows), *aucs, *(auc_gained(before, way) for way in (probes, bank))])
        if good:
            shares = [_share(way, harmful=False) for way in (before, probes, bank)]
            alarms.append([each.name, good, *shares, *(gained(before, way, harmful=False) for way in (probes, bank))])
    head = ["examples", "+ probes", "+ bank", "probes add, 95%", "bank adds, 95%"]
    return "\n\n".join(
        f"{said}\n\n{table(['set', 'rows', *head], rows)}"
        for said, rows in (
            ("Recall at the threshold that each gate was given (points):", recall),
            ("Area under the ROC curve:", ranks),
            ("Harmless rows flagged (points):", alarms),
        )
    )


def teach(what: Training, out: Path) -> Heads:
    """Heads for the new rules: alone on the encoder as it comes, or beside those that are known."""
    return train(what, out) if what.onto is None else train_onto(what, what.onto, out)


def main() -> None:
    """Teach, measure, and print or write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probes", type=Path)
    parser.add_argument("--rules", default="base")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--check", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, default=1000, help="rows of a check set, and pairs of the bank")
    parser.add_argument("--on", choices=list(ENCODERS), help="one of the encoders alone")
    parser.add_argument("--out", type=Path, default=Path("probe-recall"), help="what was measured; a run goes on there")
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    began = time.monotonic()
    constitution = load(given.rules).constitution
    probes = probe_lines(given.probes)
    ids = list(dict.fromkeys(line["category"].removeprefix("new-") for line in probes))
    new = as_new(constitution, ids)
    bank, held = bank_split(ids, probes, given.limit // len(ids), given.seed)
    sets = [each for each in tests_of(new) if "prompts" in each.name]
    sets.append(held)
    for name in SETS:
        found = read_set(given.check / f"{name}.jsonl.gz")
        rows = random.Random(given.seed).sample(found.rows, min(given.limit, len(found.rows)))
        sets.append(replace(found, rows=tuple(rows)))
    measured_on = texts_of(sets)
    near = near_any([line["prompt"] for line in probes], measured_on, Grams(measured_on))
    sections = []
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        check = write_lines(here / "check.jsonl", ({"prompt": text} for text in measured_on))
        harmless = [harmless_prompts(given.data, name, most, given.seed, here) for name, most in HARMLESS.items()]
        recipe = Recipe(sources={name: Source() for name in (*HARMLESS, "labels")})
        extra: dict[str, list[Line]] = {"examples": [], "probes": probes, "bank": bank}
        for encoder, known in (("as it comes", None), ("of the shipped heads", shipped(constitution))):
            if given.on and encoder != ENCODERS[given.on]:
                continue
            by_way = {}
            for way in WAYS:
                folder = here / f"{'onto' if known else 'alone'}-{way}"
                folder.mkdir()
                labels = [write_lines(folder / "labels.jsonl", extra[way])] if extra[way] else []
                kept = given.out / f"{folder.name}-{digest_of(labels, check)}.npz"
                if kept.exists():
                    by_way[way] = read_measured(kept)
                    continue
                what = Training(new, [*harmless, *labels], [check], recipe, bank=False, tuned=False, onto=known)
                teach(what, folder / "heads")
                with Gate.build(new, heads=folder / "heads", thorough=True) as gate:
                    by_way[way] = measure(gate, sets)
                write_measured(kept, by_way[way])
                print(encoder, way, f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            sections.append(f"### The encoder {encoder}\n\n{tables(sets, by_way)}")
    count = Counter(line["label"] for line in probes)
    told = "\n".join(
        [
            f"    python benchmarks/probe_recall.py PROBES --rules {given.rules} --data TEACH --check CHECK"
            f" --limit {given.limit}",
            "",
            f"{machine()}, {(time.monotonic() - began) / 60:.0f} minutes. Rules: {', '.join(ids)}, taken as new ones.",
            f"Probes: {count['harmful']} breaks and {count['safe']} near misses; {sum(near)} of them near a text that",
            f"is measured on, and taken out. Bank: {len(bank)} texts.",
            f"Of sets with more than {given.limit:,} rows, and of the bank's pairs, so many, drawn by the seed.",
            f"Intervals: paired bootstrap over rows, {RESAMPLES:,} resamples. The gates know these rules alone, and",
            "the check sets ask for much else: what counts is how the figures move.",
            "",
            *("\n\n".join(sections)).splitlines(),
        ]
    )
    if given.page:
        write_section(given.page, "Probes, measured", "What they teach a gate", told)
    print(told)


if __name__ == "__main__":
    main()
