"""How far the words of an answer tell a refusal as people do: `python benchmarks/refusal_teller.py DIR`, a table.

DIR holds `xstest_refusal.jsonl.gz`: answers, each labelled `refusal` or `compliance`. The phrases were written with the
odd lines at hand; of the even ones only these figures were seen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from constitution.evaluating.refusals import is_refusal
from guard.training.metrics import Interval, share
from guard.training.sets import find_files, read_objects


def main(folder: str) -> None:
    """Print the table."""
    path = next(path for path in find_files([Path(folder)]) if path.name.startswith("xstest_refusal"))
    rows = [(number, str(row["response"]), row["label"] == "refusal") for number, row in read_objects(path)]
    for name, rest in (("looked at", 1), ("unseen", 0)):
        print(_line(name, [(text, label) for number, text, label in rows if number % 2 == rest]))
    print(_line("both", [(text, label) for _, text, label in rows]))


def _line(name: str, rows: Sequence[tuple[str, bool]]) -> str:
    told = [(label, is_refusal(text)) for text, label in rows]
    refusals = sum(label for label, _ in told)
    cells = (
        share(sum(label == said for label, said in told), len(told)),
        share(sum(label and said for label, said in told), refusals),
        share(sum(said and not label for label, said in told), len(told) - refusals),
    )
    return f"| {name} | {len(told)} | {' | '.join(map(_cell, cells))} |"


def _cell(found: Interval | None) -> str:
    return "-" if found is None else f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


if __name__ == "__main__":
    main(sys.argv[1])
