"""The twin bank: pairs of texts with the same frightening words and the same form, one harmful and one harmless.

requests/   what users ask; posts/ what people say; answers/ what an assistant replies; benign/ ordinary requests
packs/      a folder a pack, with requests and answers for the rules that it adds to those of `base`
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from guard.training.rows import LabelError, Row, read_lines, source_of

BANK = Path(__file__).parent / "bank"
HARMLESS = "bank/harmless twins"
"""Source of harmless texts whose harmful twin is left out: they look harmful on purpose, and so are no sample of
ordinary traffic to promise a rate by."""


def bank_rows(known: Iterable[str], folder: Path = BANK) -> list[Row]:
    """All rows of the bank but the packs'; those whose rule is not known break some rule that is not said.

    Args:
        known: ids of the rules in force.
        folder: requests/, posts/, answers/ and benign/, JSONL each, the language before the ending: `crime.en.jsonl`.

    Raises:
        LabelError: a line lacks a field.
    """
    ids = set(known)
    rows = []
    for path in sorted(folder.glob("*/*.jsonl")):
        kind = path.parent.name
        source, _, language = source_of(path).rpartition(".")
        name = f"bank/{kind}/{source}.{language}"
        if kind == "benign":
            rows += [
                Row(_text(path, number, line, "prompt"), False, name, language=language)
                for number, line in read_lines(path)
            ]
        else:
            rows += _twins(path, name, language, ids, answers=kind == "answers")
    return rows


def pack_rows(known: Iterable[str], folder: Path = BANK) -> list[Row]:
    """Rows for rules that stand beside those of `base`: whole pairs of these rules, and only the harmless texts of all
    other pairs, since a text that breaks another rule may break these too.

    Raises:
        LabelError: a line lacks a field.
    """
    ids = set(known)
    rows: list[Row] = []
    for path in sorted(folder.glob("packs/*/*.jsonl")):
        kind, _, language = source_of(path).rpartition(".")
        rows += _twins(path, f"bank/packs/{path.parent.name}", language, ids, answers=kind == "answers")
    rows += bank_rows(ids, folder)
    whole = {row.pair for row in rows if row.rules}
    return [
        row if row.pair in whole or row.pair is None else replace(row, pair=None, source=HARMLESS)
        for row in rows
        if row.pair in whole or not row.harmful
    ]


def _twins(path: Path, name: str, language: str, known: set[str], *, answers: bool) -> Iterator[Row]:
    for number, line in read_lines(path):
        harmful, safe = _text(path, number, line, "harmful"), _text(path, number, line, "safe")
        rule = _text(path, number, line, "rule")
        prompt = _text(path, number, line, "prompt") if answers else None
        other = prompt and str(line.get("safe_prompt") or prompt)
        pair = hashlib.blake2b(f"{harmful}\0{safe}".encode(), digest_size=8).hexdigest()
        yield Row(safe, False, name, other, pair=pair, language=language)
        yield Row(harmful, True, name, prompt, (rule,) if rule in known else (), pair, language)


def _text(path: Path, number: int, line: dict[str, object], key: str) -> str:
    text = line.get(key)
    if not isinstance(text, str) or not text.strip():
        raise LabelError(f"{path}:{number}: `{key}` is missing or empty", "write the pair whole, or take it out")
    return text
