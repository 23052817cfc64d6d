"""Patterns over texts of 1 KB: the bare engine, ours without and with views, and the peers' scanners, in one run.

    python benchmarks/gate_patterns.py [--peers PYTHON ...] [--counts 10 100 1000 5000] [--seconds 1]

Each figure is the median of three rounds, which go over all scanners by turns, in seconds of the processor: all of them
run in one thread, and what else runs on the machine would count on a clock. `times bare's cost` is by how much a
scanner is slower than bare hyperscan, `times ours` by how much it is slower than our detector with all views. Two texts
in a hundred hold one of the patterns; every scanner stops at yes or no but ours, which also finds the spans. A peer's
Python (of a virtual environment that has llm-guard or nemoguardrails) runs the same texts and patterns in a process of
its own, right after ours.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._bench import machine, table
from benchmarks._peers_patterns import rate

Scanner = Callable[[str], Any]

TEXTS, SIZE, HIT_RATE = 300, 1024, 0.02
CHUNK = 5

BARE = "bare hyperscan"
PLAIN = "ours, detector, no views"
OURS = "ours, detector, all views"
JUDGED = "ours, a whole verdict of the gate"
STREAMED = f"ours, stream, a chunk of {CHUNK}"

PEERS = Path(__file__).resolve().parent / "_peers_patterns.py"


class Cell(NamedTuple):
    """One set of patterns, all scanners."""

    rows: list[tuple[str, float, int, int]]
    """Scanner, texts a second, texts hit, of texts."""
    built: dict[str, float]
    """Milliseconds until the first scan."""
    chunk_us: float


def make_words(count: int = 4000, seed: int = 11) -> list[str]:
    """Words that look like words, so that the engines' filters meet common letters.

    None is an English word backwards or under rot13: by chance one text in forty held one, and was then read once more
    backwards, as ordinary texts are not.
    """
    from guard.views.words import mirrored, rotated

    draw = random.Random(seed)
    heads = "b c d f g h k l m n p r s t v w bl br cr dr fl gr pl pr sh sp st th tr".split()
    vowels = "a e i o u ai ea ee ou".split()
    tails = ["", "", "", *"d g k l m n p r s t ck nd ng nt st".split()]
    words: set[str] = set()
    while len(words) < count:
        parts = [
            draw.choice(heads) + draw.choice(vowels) + draw.choice(tails) for _ in range(draw.choice((1, 2, 2, 3)))
        ]
        words.add("".join(parts))
    return sorted(words.difference(mirrored(), rotated()))


def make_phrases(words: Sequence[str], count: int, seed: int = 12) -> list[str]:
    """Phrases of two or three words, no two alike."""
    draw = random.Random(seed)
    phrases: set[str] = set()
    while len(phrases) < count:
        phrases.add(" ".join(draw.choice(words) for _ in range(draw.choice((2, 2, 3)))))
    return sorted(phrases)


def make_mixed(words: Sequence[str], phrases: Sequence[str], seed: int = 13) -> list[tuple[str, bool]]:
    """Four phrases to one expression: any white space, a choice, joined by marks, an inflection with a word between."""
    draw = random.Random(seed)
    mixed = []
    for place, phrase in enumerate(phrases):
        first, second, *_ = phrase.split()
        forms = (
            r"\b" + r"\s+".join(phrase.split()) + r"\b",
            rf"\b(?:{first}|{draw.choice(words)})\s+(?:the\s+)?{second}\b",
            rf"\b{first}[\s_-]*{second}\d{{0,3}}\b",
            rf"\b{first}(?:s|ed|ing)?\s+\w{{1,12}}\s+{second}\b",
        )
        mixed.append((phrase, False) if place % 5 else (forms[place // 5 % 4], True))
    return mixed


def make_texts(words: Sequence[str], phrases: Sequence[str], seed: int = 14) -> list[str]:
    """Sentences of such words; a few hold a phrase."""
    draw = random.Random(seed)
    texts = []
    for _ in range(TEXTS):
        text = ""
        while len(text) < SIZE:
            text += draw.choice(words) + (". " if draw.random() < 0.08 else " ")
        if draw.random() < HIT_RATE:
            place = draw.randrange(SIZE - 80)
            text = f"{text[:place]} {draw.choice(phrases).title()} {text[place:]}"
        texts.append(text[:SIZE].capitalize())
    return texts


def bare(patterns: Sequence[tuple[str, bool]]) -> Scanner:
    """Hyperscan by itself: no borders, no views, no spans."""
    import hyperscan

    db = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
    written = [(text if is_regex else re.escape(text)).encode() for text, is_regex in patterns]
    db.compile(expressions=written, ids=list(range(len(written))), elements=len(written), flags=[flags] * len(written))

    def scan(text: str) -> list[int]:
        found: list[int] = []
        db.scan(text.encode(), match_event_handler=note, context=found)
        return found

    return scan


def note(place: int, start: int, end: int, flags: int, found: list[int]) -> None:
    found.append(place)


def ours(patterns: Sequence[tuple[str, bool]], engine: str, folder: Path) -> dict[str, Scanner]:
    """The detector without and with views, the gate round it, and its stream in chunks of CHUNK characters."""
    from guard.detectors.patterns import Patterns
    from guard.exchange import Exchange
    from guard.gate import Gate
    from rules.schema import Constitution, Part

    rule = {
        "id": "bench",
        "title": "Bench",
        "rule": "Do not say any of these.",
        "why": "They are what is looked for here.",
        "detect": {"patterns": [{"regex" if is_regex else "literal": text} for text, is_regex in patterns]},
    }
    constitution = Constitution.model_validate({"name": "bench", "title": "Bench", "rules": [rule]})
    detector = Patterns(constitution, engine=engine, cache=folder)
    search = detector._search
    gate = Gate(constitution, [detector], remember=0)

    def plain(text: str) -> Any:
        return search.look(Part.PROMPT, text, places) if (places := search.engine.candidates(text)) else ()

    exchange_of = lru_cache(maxsize=None)(Exchange.of)  # the engine by itself makes none

    def viewed(text: str) -> Any:
        return detector.scan((exchange_of(text),))[0].findings

    def judged(text: str) -> Any:
        return gate.judge(Exchange.of(text)).findings

    def streamed(text: str) -> Any:
        stream = detector.stream(Part.PROMPT)
        found = []
        for at in range(0, len(text), CHUNK):
            found += stream.feed(text[at : at + CHUNK])
        return found + stream.close()

    return {PLAIN: plain, OURS: viewed, JUDGED: judged, STREAMED: streamed}


def built_ms(make: Callable[[], Any]) -> float:
    """Milliseconds of the processor that it takes."""
    began = time.process_time()
    make()
    return (time.process_time() - began) * 1000


def peers(pythons: Sequence[str], sets: dict[str, Any]) -> list[tuple[str, float, int, int, float]]:
    """The peers' scanners on the same sets, each Python in a process of its own: name, pace, hits, texts, build ms."""
    rows: list[tuple[str, float, int, int, float]] = []
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as opened:
        json.dump(sets, opened)
        opened.flush()
        for python in pythons:
            ran = subprocess.run([python, str(PEERS), opened.name], capture_output=True, text=True, timeout=900)
            if ran.returncode:
                print(f"{python} ended with {ran.returncode}: {ran.stderr[-500:]}", file=sys.stderr)
            rows += [tuple(json.loads(line)) for line in ran.stdout.splitlines() if line.startswith("[")]
    return rows


def compare(patterns: Sequence[tuple[str, bool]], texts: Sequence[str], seconds: float, pythons: Sequence[str]) -> Cell:
    """All scanners over one set of patterns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scanners: dict[str, Scanner] = {}
        built = {BARE: built_ms(lambda: scanners.update({BARE: bare(patterns)}))}
        built["ours, compiled"] = built_ms(lambda: ours(patterns, "hyperscan", folder))
        built["ours, cached"] = built_ms(lambda: scanners.update(ours(patterns, "hyperscan", folder)))
        streamed = scanners.pop(STREAMED)
        scanners["ours, re2 engine, views"] = ours(patterns, "re2", folder)[OURS]
        rounds: dict[str, list[tuple[float, int, int]]] = {scanner: [] for scanner in scanners}
        for _ in range(3):
            for scanner, scan in scanners.items():
                scan(texts[0])
                rounds[scanner].append(rate(scan, texts, seconds))
        rows = [
            (scanner, statistics.median(pace for pace, _, _ in seen), *seen[0][1:]) for scanner, seen in rounds.items()
        ]
        streamed(texts[0])
        each = 1e6 / rate(streamed, texts[:20], seconds)[0] / (SIZE / CHUNK)
    for scanner, pace, hits, done, ms in peers(pythons, {"patterns": patterns, "texts": texts, "seconds": seconds}):
        rows.append((scanner, pace, hits, done))
        built[scanner] = ms
    return Cell(rows, built, each)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--peers", nargs="*", default=[], metavar="PYTHON")
    reader.add_argument("--counts", nargs="*", type=int, default=[10, 100, 1000, 5000])
    reader.add_argument("--seconds", type=float, default=1.0, help="of each round of each scanner")
    asked = reader.parse_args()
    print(machine(), flush=True)
    words = make_words()
    paces, starts = [], []
    for count in asked.counts:
        phrases = make_phrases(words, count)
        texts = make_texts(words, phrases)
        for kind, patterns in (
            ("literals", [(phrase, False) for phrase in phrases]),
            ("mixed", make_mixed(words, phrases)),
        ):
            cell = compare(patterns, texts, asked.seconds, asked.peers)
            pace_of = {scanner: pace for scanner, pace, *_ in cell.rows}
            for scanner, pace, hits, done in cell.rows:
                ratios = (pace_of[BARE] / pace, pace_of[OURS] / pace)
                figures = (f"{pace:,.0f}", f"{1e6 / pace:.1f}", *(f"{ratio:,.1f}" for ratio in ratios))
                paces.append([kind, count, scanner, *figures, f"{hits} of {done}"])
            paces.append([kind, count, STREAMED, "", f"{cell.chunk_us:.1f}", "", "", ""])
            starts += [[kind, count, name, f"{ms:,.0f}"] for name, ms in cell.built.items()]
            print(f"{count} {kind} done", file=sys.stderr, flush=True)
    head = ["patterns", "count", "scanner", "texts/s", "us a text", "times bare's cost", "times ours", "texts hit"]
    print(f"\n{TEXTS} texts of {SIZE} characters, seconds of the processor, median of 3 rounds\n")
    print(table(head, paces))
    print("\nUntil the first scan, milliseconds of the processor (a peer's include its imports):\n")
    print(table(["patterns", "count", "scanner", "ms"], starts))


if __name__ == "__main__":
    main()
