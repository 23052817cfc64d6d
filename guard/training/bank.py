"""The twin bank: pairs of texts with the same frightening words and the same form, one harmful and one harmless.

requests/   what users ask; posts/ what people say; answers/ what an assistant replies; benign/ ordinary requests
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from guard.training.rows import LabelError, Row, read_lines, source_of

BANK = Path(__file__).parent / "bank"


def bank_rows(known: Iterable[str], folder: Path = BANK) -> list[Row]:
    """All rows of the bank; those whose rule is not known break some rule that is not said.

    Args:
        known: ids of the rules in force.
        folder: requests/, posts/, answers/ and benign/, JSONL each, the language before the ending: `crime.en.jsonl`.

    Raises:
        LabelError: a line lacks a field.
    """
    ids = set(known)
    rows = []
    for path in sorted(folder.glob("*/*.jsonl")):
        source, _, language = source_of(path).rpartition(".")
        name = f"bank/{path.parent.name}/{source}.{language}"
        for number, line in read_lines(path):
            if path.parent.name == "benign":
                rows.append(Row(_text(path, number, line, "prompt"), False, name, language=language))
                continue
            harmful, safe = _text(path, number, line, "harmful"), _text(path, number, line, "safe")
            rule = _text(path, number, line, "rule")
            rules = (rule,) if rule in ids else ()
            prompt = _text(path, number, line, "prompt") if path.parent.name == "answers" else None
            other = prompt and str(line.get("safe_prompt") or prompt)
            pair = hashlib.blake2b(f"{harmful}\0{safe}".encode(), digest_size=8).hexdigest()
            rows.append(Row(safe, False, name, other, pair=pair, language=language))
            rows.append(Row(harmful, True, name, prompt, rules, pair, language))
    return rows


def _text(path: Path, number: int, line: dict[str, object], key: str) -> str:
    text = line.get(key)
    if not isinstance(text, str) or not text.strip():
        raise LabelError(f"{path}:{number}: `{key}` is missing or empty", "write the pair whole, or take it out")
    return text
