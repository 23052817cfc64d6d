"""The folder of a run: what determined its verdicts, its shards, and the lock that keeps a second run out.

    run.json        gate, rules, hazard system, lines a unit
    verdicts/       one Parquet shard a unit, and where they were asked for the same as .jsonl.gz
    aside.jsonl     the lines that could not be judged, and why
    .work/          marks of units at work

BulkError       the folder cannot take this run, or a line could not be judged
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from guard.held import LOCK_FILE
from guard.whole_file import write
from rules.errors import WardlawError

RUN = "run.json"
SHARDS = "verdicts"
ASIDE = "aside.jsonl"
WORK = ".work"
_WORDS = {
    "constitution": "the rules",
    "gate": "the gate",
    "thorough": "--thorough",
    "hazards": "--hazards",
    "version": "the form of the shards",
}


class BulkError(WardlawError):
    """Many files cannot be judged, or not all of their lines."""


class Determined(BaseModel):
    """All that determines the verdicts in a folder beside the lines themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    """Of the shards' form."""
    constitution: str
    """Digest of the rules."""
    gate: str
    """Identity of the gate."""
    thorough: bool
    hazards: str | None
    unit: int
    """Lines a unit, about; kept for the folder's life, since units cut otherwise are other units."""


def settle(folder: Path, wanted: Determined) -> Determined:
    """What determines the verdicts of a folder: kept from its first run, or this one's where it has none.

    Raises:
        BulkError: it holds verdicts that were made otherwise, run.json is damaged, or the folder holds something else.
    """
    path = folder / RUN
    try:
        kept = Determined.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        others = sorted(each.name for each in folder.iterdir() if each.name not in (WORK, LOCK_FILE))
        if others == [SHARDS] and not any((folder / SHARDS).iterdir()):
            others = []  # a run that ended before it wrote what it was
        if others:
            raise BulkError(f"`{folder}` holds `{others[0]}`", "give an --out folder of its own") from None
        _make(folder)
        write(path, (json.dumps(wanted.model_dump(), indent=2) + "\n").encode(), 0o644)
        return wanted
    except (ValidationError, OSError) as error:
        raise BulkError(f"`{path}` is damaged", "put it back from a copy, or give another --out folder") from error
    differs = [name for name in _WORDS if getattr(kept, name) != getattr(wanted, name)]
    if differs:
        words = " and ".join(_WORDS[name] for name in differs)
        verb = "is" if len(differs) == 1 and differs[0] != "constitution" else "are"
        raise BulkError(
            f"`{folder}` holds verdicts made otherwise: {words} {verb} not the same",
            "give another --out folder, or the same rules and options as before",
        )
    _make(folder)
    return kept


def _make(folder: Path) -> None:
    for each in (folder / SHARDS, folder / WORK):
        each.mkdir(exist_ok=True)


def shards_of(folder: Path) -> list[Path]:
    """The shards, by name."""
    return sorted((folder / SHARDS).glob("*.parquet"))
