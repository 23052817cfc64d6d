"""Labelled files into rows to teach or to check with.

LabelError      a labelled file cannot be used; says which line
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.trained.sides import ANSWERED, ASKED
from rules.errors import WardlawError

HARMFUL, SAFE = "harmful", "safe"

MAX_CHARACTERS = 20_000
"""A row's text is taught and deduplicated up to here; what a classifier learns of a text stands far before."""


class LabelError(WardlawError):
    """A labelled file cannot be used."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text: a request, a post, or an answer with its prompt."""

    text: str
    """What is judged: the prompt, or the response where there is one."""
    harmful: bool
    source: str
    """The file's name without its endings, or the bank's part."""
    prompt: str | None = None
    """The prompt that the text answers; None where the text is a prompt itself."""
    rules: tuple[str, ...] = ()
    """Rules that a harmful text may break; empty where the source does not say."""
    pair: str | None = None
    """What twins share; both go to the same side of a split."""
    language: str = "en"
    weight: float = 1.0

    @property
    def answers(self) -> bool:
        """Whether it is an answer judged with its prompt."""
        return self.prompt is not None


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, packed by gzip or not, with their line numbers from 1.

    Raises:
        LabelError: the file cannot be read, or a line is no JSON object.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _object(path, number, line)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise LabelError(f"`{path}` cannot be read: {error}", "give a JSONL file, packed by gzip or not") from error


def read_rows(
    path: Path,
    known: Iterable[str],
    categories: Mapping[str, tuple[str, ...]] | None = None,
    *,
    prompts_too: bool = False,
) -> list[Row]:
    """The rows of a labelled file: `prompt` (a string or messages), `response` where there is one, `label`, `category`.

    What `generate --format gate` writes has more: `rules` names those broken, joined by a space; `language`; and `row`,
    which the answers before and after a revision share: twins.

    Args:
        path: JSONL, packed by gzip or not.
        known: ids of the rules; a category that is one of them says which rule a harmful row breaks.
        categories: category -> ids, for categories that are hazards or a source's own words; `*` for all others.
        prompts_too: make a row of the prompt as well where a row is an answer: for sources without any harm.

    Raises:
        LabelError: a line lacks a field, has an unknown label, or the file has no rows at all.
    """
    ids = set(known)
    also = categories or {}
    source = source_of(path)
    language = "zh" if source.endswith("_zh") else "en"
    rows = []
    for number, line in read_lines(path):
        label = line.get("label")
        if label not in (HARMFUL, SAFE):
            raise LabelError(
                f"{path}:{number}: the label `{label}` is neither `{HARMFUL}` nor `{SAFE}`",
                "put it right, or leave the row out",
            )
        prompt, response = prompt_text(path, number, line.get("prompt")), line.get("response")
        if response is not None and not isinstance(response, str):
            raise LabelError(f"{path}:{number}: the response is no string", "give the answer's text, or leave it out")
        harmful = label == HARMFUL
        rules = _broken(line, ids, also) if harmful else ()
        row = Row(
            (prompt if response is None else response)[:MAX_CHARACTERS],
            harmful,
            source,
            prompt=None if response is None else prompt[:MAX_CHARACTERS],
            rules=rules,
            pair=f"{source}:{line['row']}" if line.get("row") else None,
            language=str(line.get("language") or language),
        )
        rows.append(row)
        if prompts_too and row.prompt is not None:
            rows.append(Row(row.prompt, harmful, source, rules=rules, language=row.language))
    if not rows:
        raise LabelError(f"`{path}` has no rows", "give a JSONL file with `prompt` and `label` in every line")
    return rows


def _broken(line: Mapping[str, Any], ids: set[str], also: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The rules that a harmful line may break, by its own word, else by its category."""
    named = tuple(rule for rule in str(line.get("rules") or "").split() if rule in ids)
    category = str(line.get("category"))
    return named or ((category,) if category in ids else also.get(category, also.get("*", ())))


def prompt_text(path: Path, number: int, prompt: object) -> str:
    """The text of a prompt: itself, or what the user said last in a list of messages.

    Raises:
        LabelError: it is neither.
    """
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list):
        for message in reversed(prompt):
            if isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str):
                return str(message["content"])
    raise LabelError(
        f"{path}:{number}: `prompt` is neither a string nor a list of messages with one of a user",
        'write {"prompt": "...", "label": "safe"}',
    )


def by_side(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by what they are of: `asked` or `answered`; no side is there without a row."""
    sides: dict[str, list[Row]] = {}
    for row in rows:
        sides.setdefault(ANSWERED if row.answers else ASKED, []).append(row)
    return sides


def source_of(path: Path) -> str:
    """A file's name without `.jsonl` and `.gz`."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path}:{number}: no JSON: {error}", "write one JSON object a line") from error
    if not isinstance(found, dict):
        raise LabelError(f"{path}:{number}: no JSON object", 'write {"prompt": "...", "label": "safe"}')
    return found
