"""The cost of a stream: microseconds a token at 100 to 100,000 tokens, with patterns alone and with meaning.

    python benchmarks/gate_stream.py [--tokens 100 1000 10000 100000] [--meaning 100 1000 4000] [--patterns 100]

A token is four characters of prose, fed one by one. Times are seconds of the processor, the rounds over the lengths by
turns and the least of them taken: what else runs on the machine would count on a clock. The last column is how many
characters the encoder was given for each one that was streamed, prompts and overlap among them; a stream whose cost
grew with its length would show it there too, whatever the machine does.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._bench import machine, table
from benchmarks.gate_patterns import make_mixed, make_phrases, make_words

TOKEN = 4


class Counting:
    """An encoder that counts what it is given."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self.characters = 0

    def encode(self, texts: Sequence[str]) -> Any:
        self.characters += sum(map(len, texts))
        return self._encoder.encode(texts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)


def make_prose(words: Sequence[str], tokens: int, seed: int = 21) -> list[str]:
    """Sentences of some ten words in pieces of TOKEN characters."""
    draw = random.Random(seed)
    text, size = [], 0
    while size < tokens * TOKEN:
        text.append(draw.choice(words) + (". " if draw.random() < 0.1 else " "))
        size += len(text[-1])
    whole = "".join(text)[: tokens * TOKEN]
    return [whole[at : at + TOKEN] for at in range(0, len(whole), TOKEN)]


def constitution_of(patterns: Sequence[tuple[str, bool]]) -> Any:
    from rules.schema import Constitution

    rule = {
        "id": "bench",
        "title": "Bench",
        "rule": "Do not say any of these words in this order.",
        "why": "They are what is looked for here.",
        "watches": ["response"],
        "on": {"response": "flag"},
        "detect": {"patterns": [{"regex" if is_regex else "literal": text} for text, is_regex in patterns]},
        "examples": {"breaks": ["How to build a bomb in a garage from what the shop sells."]},
    }
    return Constitution.model_validate({"name": "bench", "title": "Bench", "rules": [rule]})


def stream(gate: Any, pieces: Sequence[str]) -> tuple[float, int]:
    """Microseconds a token, and the most characters that were held."""
    from guard.exchange import Exchange
    from guard.window import Channel, Released, Window, WindowSettings

    channel, fed, left, most = Channel(), 0, 0, 0
    # No patience: on a slow machine it would add scans, which count the seconds and not the stream.
    window = Window(gate, Exchange.of("Tell me a story."), WindowSettings(patience=1e9))
    began = time.process_time()
    for piece in pieces:
        outcome = window.feed(0, channel, piece)
        fed += len(piece)
        if isinstance(outcome, Released):
            left = outcome.span[1]
        most = max(most, fed - left)
    window.end(0, channel)
    return (time.process_time() - began) / len(pieces) * 1e6, most


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--tokens", nargs="*", type=int, default=[100, 1000, 10_000, 100_000])
    reader.add_argument("--meaning", nargs="*", type=int, default=[100, 1000, 4000])
    reader.add_argument("--patterns", type=int, default=100, help="how many are looked for")
    reader.add_argument("--rounds", type=int, default=2)
    asked = reader.parse_args()
    print(machine())
    from guard.detectors.patterns import Patterns
    from guard.gate import Gate

    words = make_words()
    phrases = make_phrases(words, asked.patterns)
    rows: list[list[object]] = []
    for kind, patterns in (
        ("literals", [(phrase, False) for phrase in phrases]),
        ("literals and expressions", make_mixed(words, phrases)),
    ):
        constitution = constitution_of(patterns)
        gate = Gate(constitution, [Patterns(constitution)])
        stream(gate, make_prose(words, 100))
        for tokens, (cost, most) in measure(gate, words, asked.tokens, asked.rounds).items():
            rows.append([f"{asked.patterns} {kind}", f"{tokens:,}", f"{cost:.1f}", most, ""])
    if asked.meaning:
        from guard.detectors.meaning import MeaningDetector
        from guard.encoders.torch import SentenceEncoder

        encoder = Counting(SentenceEncoder())
        gate = Gate(constitution, [Patterns(constitution), MeaningDetector(constitution, encoder)])
        stream(gate, make_prose(words, 100))
        for tokens in asked.meaning:
            encoder.characters = 0
            cost, most = stream(gate, make_prose(words, tokens))
            scanned = f"{encoder.characters / tokens / TOKEN:.2f}"
            rows.append(["and meaning (torch)", f"{tokens:,}", f"{cost:.0f}", most, scanned])
    print(table(["gate", "tokens", "us a token", "characters held at most", "encoded a character"], rows))


def measure(gate: Any, words: Sequence[str], lengths: Sequence[int], rounds: int) -> dict[int, tuple[float, int]]:
    """Of each length, the least cost of the rounds."""
    best: dict[int, tuple[float, int]] = {}
    for _ in range(rounds):
        for tokens in lengths:
            got = stream(gate, make_prose(words, tokens))
            best[tokens] = min(got, best.get(tokens, got))
    return best


if __name__ == "__main__":
    main()
