"""How fast the gate is, all in one run: patterns, encoders and the whole cascade, each beside what it is compared with.

    python benchmarks/gate_speed.py [--heads FOLDER] [--benign FILE ...] [--peers PYTHON ...] [--only PART ...]

Each part is a benchmark of its own and runs in a process of its own, one after the other, so that none pays for the
memory of another: `gate_patterns.py`, `gate_encoders.py`, `gate_cascade.py`. What a peer is and how it is set up stands
in the first one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._bench import HERE, environment, machine

PARTS = {"patterns": "Patterns", "encoders": "Meaning", "cascade": "The whole gate"}


def run(part: str, options: Sequence[object]) -> bool:
    """One part to its end, its tables as they come; whether it ended well."""
    began = time.perf_counter()
    print(f"\n## {PARTS[part]}\n", flush=True)
    command = [sys.executable, "-W", "ignore", str(HERE / f"gate_{part}.py"), *map(str, options)]
    code = subprocess.run(command, env=environment()).returncode
    if code:
        print(f"\n`gate_{part}.py` ended with {code}", flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s", flush=True)
    return code == 0


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--heads", default="shipped", help="folder of trained heads")
    reader.add_argument("--benign", nargs="*", type=Path, default=[], metavar="FILE", help="harmless prompts, as JSONL")
    reader.add_argument("--peers", nargs="*", default=[], metavar="PYTHON", help="of environments that have a peer")
    reader.add_argument("--counts", nargs="*", type=int, default=[10, 100, 1000, 5000], help="of patterns")
    reader.add_argument("--seconds", type=float, default=1.0, help="of each round of each pattern scanner")
    reader.add_argument("--passes", type=int, default=3, help="over the harmless prompts")
    reader.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    asked = reader.parse_args()
    print(machine(), flush=True)
    options: dict[str, list[object]] = {
        "patterns": ["--counts", *asked.counts, "--seconds", asked.seconds, "--peers", *asked.peers],
        "encoders": [],
        "cascade": ["--heads", asked.heads, "--passes", asked.passes],
    }
    if asked.benign:
        options["cascade"] += ["--benign", *asked.benign]
    done = [run(part, options[part]) for part in asked.only]
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    main()
