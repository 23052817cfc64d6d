"""What `make demo` says after its run: one row of each kind, and how to read the rest."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from textwrap import fill, indent

from constitution.row import Row
from constitution.store import RowStore

WIDTH = 100


def main(folder: Path) -> None:
    """Show a revised row, an unchanged one and a rejected one of `folder`, as far as there are any."""
    with closing(RowStore(folder, read_only=True)) as store:
        rows = list(store.rows())
    kinds = (
        ("An answer that a rule changed", [row for row in rows if row.status == "accepted" and row.changed]),
        ("An answer that could stay as it was", [row for row in rows if row.status == "accepted" and not row.changed]),
        ("A row that was not good enough, kept with its reason", [row for row in rows if row.status == "rejected"]),
    )
    for title, found in kinds:
        if found:
            show(title, found[0])
    print(f"""
How to go on
  {folder}/report.html      the whole run in pictures, rows side by side
  {folder}/sft.jsonl        for TRL's SFTTrainer: prompt and completion, the rationale as reasoning_content
  {folder}/preference.jsonl for TRL's DPOTrainer: final answer chosen, first answer rejected
  .venv/bin/wardlaw rows {folder} --status rejected
  .venv/bin/wardlaw generate --help

The embedded model has 135 million parameters: it shows the machine at work, and is a poor critic and reviser. Name a
better one with --critic and --reviser, such as openai:http://127.0.0.1:8000/v1#name.""")


def show(title: str, row: Row) -> None:
    """Print one row, in the order in which it came about."""
    print(f"\n{title}  ({row.id})")
    part("asked", row.prompt[-1].content)
    part("first answer", row.answer or "")
    for round_ in row.rounds:
        part(f"critique by `{round_.rule}`", f"{round_.critique.verdict}: {round_.critique.problem}")
        for quote in round_.critique.quotes:
            part("quoting", quote)
        if round_.revision is not None:
            part("revision", round_.revision)
    if row.rationale:
        part("rationale", row.rationale)
    if row.rejection:
        part("rejected", f"{row.rejection.reason}: {row.rejection.detail}")


def part(name: str, text: str) -> None:
    """Print one part of a row, shortened where it is long."""
    text = " ".join(text.split())
    text = text if len(text) <= 400 else f"{text[:400]} ..."
    print(f"  {name}:")
    print(indent(fill(text, WIDTH - 6), "      "))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
