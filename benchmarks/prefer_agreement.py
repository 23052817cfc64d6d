"""How far `wardlaw prefer` agrees with people: on pairs of a labelled file, in each form, with one rule and several.

    python benchmarks/prefer_agreement.py FILE --judge gguf:MODEL --pairs 60 --longest 450 --out DIR [--ways alone,...]

Pairs are drawn by seed among those whose prompt and answers together are at most `--longest` characters; a run that is
stopped goes on with the same command. A way that asks what another one has asked takes that from before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from _bench import environment

from constitution.preference.contest import Contest
from constitution.preference.sources import ContestFile

WAYS = {
    "pairs": ("both orders, mean", ()),
    "odds": ("both orders, log-odds", ("--join", "log-odds")),
    "three": ("both orders, 3 principles", ("--principles", "3")),
    "alone": ("alone", ("--form", "pointwise")),
    "alone3": ("alone, 3 rules", ("--form", "pointwise", "--principles", "3")),
    "cot": ("both orders, reasons first", ("--cot",)),
}
"""Name -> what the table calls it, and the options of `wardlaw prefer`."""
HEADS = (
    "way",
    "pairs",
    "accuracy",
    "first alone",
    "second alone",
    "order flips",
    "A over a half",
    "Brier",
    "ECE",
    "fit",
)


def main() -> None:
    """Draw the pairs, compare them in each way, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--judge", required=True)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--longest", type=int, default=450)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", default="pairs,odds,alone", help=f"of {', '.join(WAYS)}")
    parser.add_argument("--untuned", action="store_true", help="leave out the quarter that wordings were chosen on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="further options of `wardlaw prefer`")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    pairs = given.out / "pairs.jsonl"
    found = [contest for contest in ContestFile(given.file).contests() if fits(contest, given)]
    write_pairs(pairs, found, given.pairs, given.seed)
    print(f"{len(found)} of the pairs are short enough; {min(given.pairs, len(found))} drawn by seed {given.seed}\n")
    print(f"| {' | '.join(HEADS)} |")
    print(f"| --- | ---: |{' --- |' * 5}{' ---: |' * 3}")
    for way in given.ways.split(","):
        called, options = WAYS[way]
        print(row(called, compare(pairs, given, options)), flush=True)


def fits(contest: Contest, given: argparse.Namespace) -> bool:
    """Whether a pair is one to draw from."""
    said = sum(len(message.content) for message in contest.messages) + sum(map(len, contest.answers))
    return (
        said <= given.longest and contest.preferred == 0 and not (given.untuned and is_tuned(contest.source.id or ""))
    )


def is_tuned(name: str) -> bool:
    """Whether a line of this id belongs to the quarter on which the wording was chosen."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) % 4 == 0


def write_pairs(path: Path, found: list[Contest], count: int, seed: int) -> None:
    """Write the drawn pairs: the first of many are those of fewer."""
    random.Random(seed).shuffle(found)
    with path.open("w", encoding="utf-8") as file:
        for contest in found[:count]:
            prompt = [{"role": message.role, "content": message.content} for message in contest.messages]
            line = {"prompt": prompt, "chosen": contest.answers[0], "rejected": contest.answers[1]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def compare(pairs: Path, given: argparse.Namespace, options: tuple[str, ...]) -> dict[str, Any]:
    """The figures as `wardlaw prefer --json` prints them."""
    command = [sys.executable, "-m", "server.cli.main", "prefer", str(pairs), "--judge", given.judge, *options]
    command += ["--out", str(given.out / "compared"), "--seed", str(given.seed), "--agreement", "--json", *given.more]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row(way: str, figures: dict[str, Any]) -> str:
    """One line of the table."""
    agreement, position = figures["agreement"], figures["position"]
    shares = [agreement["accuracy"], agreement["first_shown"], agreement["second_shown"], position["flipped"]]
    said = [
        "-" if share is None else f"{share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}] of {share['of']}"
        for share in shares
    ]
    bias = f"{position['bias']:+.3f} (s.e. {position['bias_error']:.3f})" if position["pairs"] else "-"
    fit = "-" if agreement["fit"] is None else f"{agreement['fit']:.2f}"
    brier = f"{agreement['brier']:.3f} (s.e. {agreement['brier_error']:.3f})"
    rest = f"{brier} | {agreement['calibration_error']:.3f} | {fit}"
    return f"| {way} | {figures['pairs']} | {' | '.join(said)} | {bias} | {rest} |"


if __name__ == "__main__":
    main()
