"""How much of what the gate finds it still finds in disguise, and whether harmless Unicode makes it see things.

    python benchmarks/gate_obfuscation.py [--heads FOLDER] [--safe FILE ...] [--count 200] [--language en] [--show 0]

Three tables. Patterns: each text has a rule of its own whose literal is a phrase of the text; found means by that rule.
Meaning: the meaning stage alone, without the rule `hidden-text`, which would find half of the disguises as such; of the
breaking tests of the pack and the harmful requests of the bank, those that it finds undisguised. Safe texts: the whole
gate on the bank's harmless requests, and on the prompts of the files given, as they are and in harmless Unicode.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._bench import machine, table
from benchmarks._disguises import DISGUISES, FOR_HAN, HARMLESS, Disguise, check
from guard.detectors.opening import meaning_detectors
from guard.detectors.patterns import Patterns
from guard.exchange import Exchange
from guard.gate import Gate
from guard.training.bank import BANK, bank_rows
from guard.verdict import Verdict
from rules import load
from rules.schema import Constitution, Part

HIDDEN = "hidden-text"
BATCH = 256
_WORDS = re.compile(r"(?<![\w'’.-])[A-Za-z]{2,}(?: [A-Za-z]{2,}){1,2}(?![\w'’-])")
_HAN = re.compile("[\u4e00-\u9fff]{4,6}")

Heads = Path | Literal["shipped"]


def breaking(base: Constitution, language: str) -> list[str]:
    """The breaking tests of the pack, then the bank's harmful requests in an order drawn once; prompts alone."""
    tests = [
        example.text
        for rule in base
        if rule.id != HIDDEN
        for example in rule.tests.breaks
        if example.part is Part.PROMPT and (_HAN.search(example.text) is not None) == (language == "zh")
    ]
    rows = [row for row in bank_rows(()) if row.harmful and "/requests/" in row.source and row.language == language]
    random.Random(17).shuffle(rows)
    return [*tests, *(row.text for row in rows)]


def key_phrase(text: str, language: str) -> str | None:
    """The longest two or three words, or four to six Han characters, that stand together in a text."""
    return max((_HAN if language == "zh" else _WORDS).findall(text), key=len, default=None)


def disguises(language: str) -> dict[str, Disguise]:
    """Those that fit the language."""
    return {name: make for name, make in DISGUISES.items() if language == "en" or name in FOR_HAN}


def measure_patterns(texts: Sequence[str], language: str, count: int, show: int) -> str:
    """The table of the patterns."""
    phrases: dict[str, str] = {}
    for text in texts:
        phrase = key_phrase(text, language)
        if phrase and phrase.lower() not in map(str.lower, phrases):
            phrases[phrase] = text
        if len(phrases) == count:
            break
    rules = [
        {
            "id": f"phrase-{place}",
            "title": "A phrase",
            "rule": "Do not say this.",
            "why": "It is what is looked for here.",
            "detect": {"patterns": [{"literal": phrase}], "meaning": None},
        }
        for place, phrase in enumerate(phrases)
    ]
    detector = Patterns(Constitution.model_validate({"name": "phrases", "title": "Phrases", "rules": rules}))

    def found(texts: Sequence[str]) -> list[bool]:
        scans = detector.scan([Exchange.of(text) for text in texts])
        return [f"phrase-{place}" in scan.scores for place, scan in enumerate(scans)]

    return compare(list(phrases.values()), found, disguises(language), show)


def measure_meaning(
    texts: Sequence[str], base: Constitution, heads: Heads, language: str, count: int, show: int
) -> str:
    """The table of the meaning stage."""
    others = base.model_copy(update={"rules": tuple(rule for rule in base if rule.id != HIDDEN)})
    with Gate(others, meaning_detectors(others, "default", heads, thorough=False), remember=0) as gate:

        def found(texts: Sequence[str]) -> list[bool]:
            return [bool(verdict.findings) for verdict in judged(gate, texts)]

        plain: list[str] = []
        for start in range(0, len(texts), count):
            some = texts[start : start + count]
            plain += [text for text, hit in zip(some, found(some), strict=True) if hit]
            if len(plain) >= count:
                break
        return compare(plain[:count], found, disguises(language), show)


def compare(
    texts: Sequence[str], found: Callable[[Sequence[str]], list[bool]], ways: dict[str, Disguise], show: int
) -> str:
    """Recall in each disguise over recall without one, with what was missed written to standard error."""
    before = found(texts)
    rows: list[Sequence[object]] = []
    after_all = 0
    for name, disguise in ways.items():
        hidden = [disguise(text) for text in texts]
        # Only what was found before counts, so that a disguise which adds a finding does not make up for a miss.
        after = [was and now for was, now in zip(before, found(hidden), strict=True)]
        missed = [text for text, was, now in zip(hidden, before, after, strict=True) if was and not now]
        for text in missed[:show]:
            print(f"missed, {name}: {text[:300]!a}", file=sys.stderr)
        after_all += sum(after)
        rows.append((name, sum(before), sum(after), ratio(sum(after), sum(before))))
    rows.append(("**all**", sum(before) * len(ways), after_all, ratio(after_all, sum(before) * len(ways))))
    return table(("disguise", "found before", "found after", "after / before"), rows)


def measure_safe(texts: Sequence[str], base: Constitution, heads: Heads, show: int) -> str:
    """The table of the safe texts, on the whole gate."""
    detectors = [Patterns(base), *meaning_detectors(base, "default", heads, thorough=False)]
    with Gate(base, detectors, remember=0) as gate:
        plain = [verdict.broken for verdict in judged(gate, texts)]
        flagged = sum(map(bool, plain))
        rows: list[Sequence[object]] = [("as it is", flagged, f"{flagged / len(texts):.2%}", "", "")]
        for name, change in HARMLESS.items():
            changed = [change(text) for text in texts]
            broken = [verdict.broken for verdict in judged(gate, changed)]
            fresh = [place for place, ids in enumerate(broken) if ids and not plain[place]]
            for place in fresh[:show]:
                print(f"newly flagged, {name}, {broken[place]}: {changed[place][:300]!a}", file=sys.stderr)
            count = sum(map(bool, broken))
            points = 100 * (count - flagged) / len(texts)
            by = Counter(rule for place in fresh for rule in broken[place][:1]).most_common(2)
            most = ", ".join(f"{rule} {times}" for rule, times in by)
            rows.append((name, count, f"{count / len(texts):.2%}", f"{points:+.2f}", most))
        return table(("safe texts", "flagged", "rate", "points", "newly flagged by"), rows)


def judged(gate: Gate, texts: Sequence[str]) -> Iterable[Verdict]:
    """Verdicts in order; a detector that fails ends the run, since its misses would look like the disguise's."""
    for start in range(0, len(texts), BATCH):
        for verdict in gate.judge_many([Exchange.of(text) for text in texts[start : start + BATCH]]):
            if verdict.coverage.degraded:
                raise SystemExit(f"a detector failed: {dict(verdict.coverage.degraded)}")
            yield verdict


def safe_texts(files: Sequence[Path], count: int | None) -> list[str]:
    """The bank's harmless requests and the prompts of the files."""
    texts = [row.text for row in bank_rows(()) if "/benign/" in row.source]
    for file in files:
        texts += [str(json.loads(line)["prompt"]) for line in file.read_text(encoding="utf-8").splitlines() if line]
    random.Random(19).shuffle(texts)
    return texts[:count]


def ratio(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "none found before"


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--heads", type=Path, help="folder of trained heads; those that ship where it is left out")
    reader.add_argument("--safe", type=Path, nargs="*", default=[], metavar="FILE", help="JSONL with `prompt`")
    reader.add_argument("--count", type=int, default=200, help="breaking texts")
    reader.add_argument("--safe-count", type=int, help="safe texts; all where it is left out")
    reader.add_argument("--language", choices=("en", "zh"), default="en", help="of the breaking texts")
    reader.add_argument("--only", choices=("patterns", "meaning", "safe"), help="one of the tables")
    reader.add_argument("--show", type=int, default=0, help="misses to write out, a disguise")
    asked = reader.parse_args()
    check()
    base = load("base").constitution
    heads: Heads = asked.heads or "shipped"
    texts = breaking(base, asked.language)
    print(f"{machine()}; heads: {asked.heads or 'shipped'}; bank: {BANK.name}, language {asked.language}")
    parts: dict[str, Callable[[], str]] = {
        "patterns": lambda: measure_patterns(texts, asked.language, asked.count, asked.show),
        "meaning": lambda: measure_meaning(texts, base, heads, asked.language, asked.count, asked.show),
        "safe": lambda: measure_safe(safe_texts(asked.safe, asked.safe_count), base, heads, asked.show),
    }
    for name, measure in parts.items():
        if asked.only in (None, name):
            began = time.perf_counter()
            said = measure()
            print(f"\n{name} ({time.perf_counter() - began:.0f} s)\n\n{said}", flush=True)


if __name__ == "__main__":
    main()
