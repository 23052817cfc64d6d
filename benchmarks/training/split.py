"""Prompts to make rows of, and prompts kept apart to measure on; parted by a seed before anything else is done.

    python benchmarks/training/split.py --red-team hh_harmless.jsonl.gz --benign gpteacher.jsonl.gz --out DIR

Takes the red-team prompts of one turn that are short, and benign instructions that are short; writes `held_out.jsonl`,
`make.jsonl` (for `wardlaw generate`) and `benign.jsonl` (for its --benign). No prompt stands in two of them, whatever
its case and punctuation.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from steps import bare, read_json_lines, write_json_lines


def one_turn(row: dict) -> str | None:
    """The prompt of a row, where it is one message of a user."""
    prompt = row["prompt"]
    if isinstance(prompt, str):
        return prompt.strip()
    return prompt[0]["content"].strip() if len(prompt) == 1 else None


def short_prompts(path: Path, *, most_characters: int, known: set[str], skip: str = "") -> list[dict]:
    """The short prompts of a file, each once; `known` holds those seen before and is added to."""
    kept = []
    for row in read_json_lines(path):
        text = one_turn(row)
        if text is None or not 12 <= len(text) <= most_characters or (skip and row.get("category") == skip):
            continue
        plain = bare(text)
        if plain not in known:
            known.add(plain)
            kept.append({"id": row.get("id", plain), "prompt": text})
    return kept


def with_system(rows: list[dict], system: str | None) -> list[dict]:
    """The rows, their prompts as messages that begin with the system message."""
    if not system:
        return rows
    told = {"role": "system", "content": system}
    return [{**row, "prompt": [told, {"role": "user", "content": row["prompt"]}]} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--red-team", type=Path, required=True, help="JSONL of red-team prompts")
    parser.add_argument("--benign", type=Path, required=True, help="JSONL of harmless instructions")
    parser.add_argument("--skip-category", default="", help="category of benign rows to leave out")
    parser.add_argument("--held-out", type=int, default=80, help="red-team prompts kept apart")
    parser.add_argument("--benign-rows", type=int, default=200, help="benign prompts to offer")
    parser.add_argument("--most-characters", type=int, default=200, help="longest prompt")
    parser.add_argument("--system", help="a system message that stands before every prompt, as an operator's would")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    known: set[str] = set()
    red = short_prompts(given.red_team, most_characters=given.most_characters, known=known)
    benign = short_prompts(given.benign, most_characters=given.most_characters, known=known, skip=given.skip_category)
    draw = random.Random(given.seed)
    draw.shuffle(red)
    draw.shuffle(benign)
    write_json_lines(given.out / "held_out.jsonl", red[: given.held_out])
    write_json_lines(given.out / "make.jsonl", with_system(red[given.held_out :], given.system))
    write_json_lines(given.out / "benign.jsonl", with_system(benign[: given.benign_rows], given.system))
    print(f"{given.held_out} held out, {len(red) - given.held_out} to make rows of, {given.benign_rows} benign")


if __name__ == "__main__":
    main()
