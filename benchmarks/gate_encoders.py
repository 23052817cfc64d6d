"""The encoders of the meaning stage beside sentence-transformers' torch default: speed, start, memory, nearness.

All are measured in turn within one run, and again in each round, so that other work on the machine meets all of them.

    python benchmarks/gate_encoders.py [--rounds 5] [--seconds 0.5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from _bench import environment, machine, table

from guard.encoders import StaticEncoder, open_encoder
from guard.encoders._texts import TEXTS
from guard.encoders.source import find
from guard.encoders.torch import load

TOKENS = (15, 64, 256)
BATCHES = (1, 32)
STORY = (
    "When the last ferry had left, the old harbour master locked his office and walked along the wall to see whether"
    " the small boats were tied up for the night. A cold wind came from the north, and somebody on the pier was asking"
    " in a loud voice how one gets a licence to fish on Sundays, where the toilets are and who pays for a torn sail. "
)
NAMES = ("sentence-transformers", "torch", "onnx-int8", "static")

START = """
import json, sys, time
began = time.perf_counter()
name = sys.argv[1]
if name == "sentence-transformers":
    from sentence_transformers import SentenceTransformer
    encoder = SentenceTransformer(sys.argv[2], local_files_only=True)
elif name == "static":
    from guard.encoders import StaticEncoder
    encoder = StaticEncoder()
else:
    from guard.encoders import open_encoder
    encoder = open_encoder(backend=name.partition("-")[0])
encoder.encode(["hello"])
seconds = time.perf_counter() - began
import resource
held = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
print(json.dumps([seconds, int(held) / 1024]))
"""


def texts_of(tokens: int, count: int, tokenizer: Any) -> list[str]:
    """Different texts of about so many tokens, special ones counted."""
    long = STORY * 8
    spans = tokenizer(long, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
    places = spans["offset_mapping"]
    firsts = range(0, 3 * count, 3)
    return [long[places[first][0] : places[first + tokens - 3][1]] for first in firsts]


def timed(call: Callable[[], Any], seconds: float) -> float:
    """Milliseconds a call, the median of as many as fit."""
    call()
    took, end = [], time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def start(name: str, folder: str) -> tuple[float, float]:
    """Seconds to the first vector in a fresh process, and MB held then."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START, name, folder],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    seconds, held = json.loads(ran.stdout.splitlines()[-1])
    return seconds, held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each cell of a round")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    source = find("default")
    theirs = load(source)  # as SentenceTransformer(folder) makes it
    ours = {
        "torch": open_encoder(backend="torch"),
        "onnx-int8": open_encoder(backend="onnx"),
        "static": StaticEncoder(),
    }
    encode: dict[str, Callable[[list[str]], Any]] = {"sentence-transformers": theirs.encode}
    encode |= {name: encoder.encode for name, encoder in ours.items()}

    cells = [(batch, tokens) for batch in BATCHES for tokens in TOKENS]
    took: dict[tuple[str, int, int], list[float]] = {}
    for _ in range(options.rounds):
        for batch, tokens in cells:
            texts = texts_of(tokens, batch, theirs.tokenizer)
            for name in NAMES:
                seconds = timed(partial(encode[name], texts), options.seconds)
                took.setdefault((name, batch, tokens), []).append(seconds)

    reference = theirs.encode(list(TEXTS), normalize_embeddings=True)
    rows = []
    for name in NAMES:
        row: list[object] = [name]
        for cell in cells:
            best = statistics.median(took[(name, *cell)])
            # The ratio of each round, so that a busy moment weighs on both sides of it.
            pairs = zip(took[(NAMES[0], *cell)], took[(name, *cell)], strict=True)
            row.append(f"{best:.3g} ({statistics.median(base / own for base, own in pairs):.1f}x)")
        began = [start(name, str(source.folder)) for _ in range(3)]
        row += [f"{min(seconds for seconds, _ in began):.2f}", f"{min(held for _, held in began):.0f}"]
        if name in ("torch", "onnx-int8"):
            cosines = (reference * ours[name].encode(TEXTS)).sum(axis=1)
            row += [f"{cosines.min():.4f}", f"{cosines.mean():.4f}"]
        else:
            row += ["", ""]
        rows.append(row)
    print(machine())
    print(f"milliseconds a call (times as fast as {NAMES[0]}), median of {options.rounds} rounds\n")
    head = ["encoder", *(f"{batch} x {tokens} tokens" for batch, tokens in cells)]
    print(table([*head, "start s", "MB", "lowest cosine", "mean"], rows))


if __name__ == "__main__":
    main()
