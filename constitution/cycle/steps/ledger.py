"""Finds of the red-team ledger: labels, prompts, and those that are held out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from constitution.cycle.digests import of_data
from constitution.cycle.settings import CycleSettings, LedgerSettings
from constitution.cycle.step import Made, Work
from constitution.formats.files import write_text
from guard.ledger.file import read_ledger
from guard.ledger.find import held_out
from guard.ledger.labels import label_row, prompt_row
from guard.ledger.state import Entry, fold

NAME = "ledger"
ABOUT = "finds of the red-team ledger"
VERSION = 1


def left_out(settings: CycleSettings) -> bool:
    """Whether there is none."""
    return settings.ledger is None


def after(settings: CycleSettings) -> tuple[str, ...]:
    """Nothing comes before."""
    return ()


def inputs(work: Work) -> dict[str, str]:
    """The finds that count, as they are seen now; a replay that changes none of them changes nothing here."""
    found = _meant(work)
    return {
        "finds": of_data([[e.find.id, e.rules] for e in found]),
        "settings `ledger`": of_data(_settings(work).hold_out),
    }


def run(work: Work) -> Made:
    """Write them as labels, as prompts, and those held out as texts that nothing may come near."""
    settings, found = _settings(work), _meant(work)
    taught = [entry for entry in found if not held_out(entry.find.id, settings.hold_out)]
    labels = [row for entry in taught if (row := label_row(entry)) is not None]
    breaks = [entry for entry in taught if entry.find.kind == "break"]
    folder = work.out / "ledger"
    outputs = [
        _write(folder / "ledger.jsonl", labels),
        _write(folder / "prompts.jsonl", [prompt_row(entry) for entry in breaks]),
        _write(folder / "held_out.jsonl", [prompt_row(e) for e in found if e not in taught]),
    ]
    figures = {
        "finds": len(found),
        "taught": len(taught),
        "held_out": len(found) - len(taught),
        "labels": len(labels),
        "prompts": len(breaks),
    }
    return Made(outputs, figures)


def entries_of(file: Path) -> list[Entry]:
    """All finds of a ledger; none where it is not there yet.

    Raises:
        LedgerError: it cannot be read, or lines are not as they were written.
    """
    return list(fold(read_ledger(file).events).values()) if file.exists() else []


def _meant(work: Work) -> list[Entry]:
    settings = _settings(work)
    return [entry for entry in entries_of(settings.file) if entry.status in settings.status]


def _settings(work: Work) -> LedgerSettings:
    return work.settings.ledger or LedgerSettings()


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    return write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
