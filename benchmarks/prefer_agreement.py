"""How far `wardlaw prefer` agrees with people: on pairs of a labelled file, with both ways to join the orders.

    python benchmarks/prefer_agreement.py FILE --judge gguf:MODEL --pairs 60 --longest 450 --out DIR

Pairs are drawn by seed among those whose prompt and answers together are at most `--longest` characters; a run that is
stopped goes on with the same command. The second way to join asks no model again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from _bench import environment

from constitution.preference.sources import ContestFile


def main() -> None:
    """Draw the pairs, compare them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--judge", required=True)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--longest", type=int, default=450)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="further options of `wardlaw prefer`")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    pairs = given.out / "pairs.jsonl"
    there = write_pairs(pairs, given.file, given.pairs, given.longest, given.seed)
    print(f"{there} of the pairs are short enough; {given.pairs} drawn by seed {given.seed}\n")
    print("| join | pairs | accuracy | first alone | second alone | order flips | A over a half | Brier | ECE |")
    print("| --- | ---: | --- | --- | --- | --- | --- | ---: | ---: |")
    for join in ("mean", "log-odds"):
        print(row(join, compare(pairs, given, join)), flush=True)


def write_pairs(path: Path, name: str, count: int, longest: int, seed: int) -> int:
    """Write the drawn pairs; how many there were to draw from."""
    found = []
    for contest in ContestFile(name).contests():
        said = sum(len(message.content) for message in contest.messages) + sum(map(len, contest.answers))
        if said <= longest and contest.preferred == 0:
            found.append(contest)
    chosen = random.Random(seed).sample(found, min(count, len(found)))
    with path.open("w", encoding="utf-8") as file:
        for contest in chosen:
            prompt = [{"role": message.role, "content": message.content} for message in contest.messages]
            line = {"prompt": prompt, "chosen": contest.answers[0], "rejected": contest.answers[1]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(found)


def compare(pairs: Path, given: argparse.Namespace, join: str) -> dict[str, Any]:
    """The figures as `wardlaw prefer --json` prints them."""
    command = [sys.executable, "-m", "server.cli.main", "prefer", str(pairs), "--judge", given.judge, "--join", join]
    command += ["--out", str(given.out / "compared"), "--seed", str(given.seed), "--agreement", "--json", *given.more]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row(join: str, figures: dict[str, Any]) -> str:
    """One line of the table."""
    agreement, position = figures["agreement"], figures["position"]
    shares = [agreement["accuracy"], agreement["first_shown"], agreement["second_shown"], position["flipped"]]
    said = [
        "-" if share is None else f"{share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}] of {share['of']}"
        for share in shares
    ]
    bias = f"{position['bias']:+.3f} (s.e. {position['bias_error']:.3f})"
    rest = f"{agreement['brier']:.3f} | {agreement['calibration_error']:.3f}"
    return f"| {join} | {figures['pairs']} | {' | '.join(said)} | {bias} | {rest} |"


if __name__ == "__main__":
    main()
