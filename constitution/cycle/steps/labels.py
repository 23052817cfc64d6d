"""All that teaches, put together: labels of probes, rows, finds, feedback and one's own files.

What comes near a test, a row of a check set or a find held out is taken away first: it would be measured on itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from constitution.cycle.digests import of_data, of_files, of_rules
from constitution.cycle.settings import CycleSettings
from constitution.cycle.step import Made, Work
from constitution.formats.files import write_text
from guard.exchange import Message
from guard.training.near import Grams, near_any
from guard.training.rows import HARMFUL, SAFE, LabelError, prompt_text, source_of
from guard.training.sets import find_files, read_objects, read_set, tests_of

NAME = "labels"
ABOUT = "all that teaches, without what is measured on"
VERSION = 1
KEPT_OUT = "kept_out.jsonl"
"""The prompts that nothing taught may come near."""


def left_out(settings: CycleSettings) -> bool:
    """Whether nothing is taught."""
    return settings.train is None


def after(settings: CycleSettings) -> tuple[str, ...]:
    """What gives labels, and finds held out."""
    labels = settings.labels
    wanted = {"probes": labels.probes and settings.probes, "rows": labels.rows and settings.rows}
    return (*(name for name, there in wanted.items() if there), *(("ledger",) if settings.ledger else ()))


def inputs(work: Work) -> dict[str, str]:
    """Rules, labelled files, check sets, and which sources count."""
    labels = work.settings.labels
    return {
        **of_rules(work.constitution),
        "settings `labels`": of_data([labels.probes, labels.rows]),
        **of_files("file", [*labels.data, *labels.feedback, *work.settings.check.sets]),
    }


def run(work: Work) -> Made:
    """Write a file a source, and the prompts that they were held against."""
    kept_out = _kept_out(work)
    folder = work.out / "labels"
    told: dict[str, Any] = {}
    outputs = []
    named = Counter[str]()
    for source, path in _sources(work):
        named[source] += 1
        name = source if named[source] == 1 else f"{source}-{named[source]}"
        rows = [(labelled(path, number, row), row) for number, row in read_objects(path)]
        why = _near(work, name, [prompt for prompt, _ in rows], kept_out)
        left = [row for (_, row), near in zip(rows, why, strict=True) if not near]
        told[name] = {
            "rows": len(rows),
            "taught": dict(Counter(str(row["label"]) for row in left)),
            "taken_out": dict(Counter(near for near in why if near)),
            "rules": dict(Counter(rule for row in left for rule in _rules(row))),
        }
        if left:
            outputs.append(_write(folder / f"{name}.jsonl", left))
    for stale in set(folder.glob("*.jsonl")) - set(outputs):
        stale.unlink()
    prompts = [{"prompt": text} for texts in kept_out.values() for text in texts]
    outputs.append(_write(work.out / KEPT_OUT, prompts))
    return Made(outputs, {"sources": told, "kept_out": {name: len(texts) for name, texts in kept_out.items()}})


def _sources(work: Work) -> Iterator[tuple[str, Path]]:
    """Name and file of all that may teach; files that hold nothing are none."""
    labels = work.settings.labels
    made = (
        ("probes", "labels.jsonl", labels.probes),
        ("rows", "gate.jsonl", labels.rows),
        ("ledger", "ledger.jsonl", True),
    )
    for step, name, wanted in made:
        path = work.output(step, name)
        if wanted and path is not None and path.stat().st_size:
            yield step, path
    for given in (labels.feedback, labels.data):
        for path in find_files(given) if given else ():
            yield source_of(path), path


def _kept_out(work: Work) -> dict[str, list[str]]:
    """What is measured on -> its prompts."""
    found: dict[str, list[str]] = {
        "tests": [_asked(row.exchange.messages) for tests in tests_of(work.constitution) for row in tests.rows]
    }
    check = work.settings.check
    files = find_files(check.sets) if check.sets else []
    found["check sets"] = [_asked(row.exchange.messages) for path in files for row in read_set(path, check.ignore).rows]
    held = work.output("ledger", "held_out.jsonl")
    found["finds held out"] = [_prompt(held, n, row) for n, row in read_objects(held)] if held else []
    return found


def _near(work: Work, source: str, texts: Sequence[str], kept_out: Mapping[str, Sequence[str]]) -> list[str]:
    """Of each text, what it comes near; empty for nothing."""
    found = [""] * len(texts)
    if not texts:
        return found
    grams = Grams([*texts, *(text for others in kept_out.values() for text in others)])
    for name, others in kept_out.items():
        for place, near in enumerate(near_any(texts, others, grams)):
            found[place] = found[place] or (name if near else "")
    taken = Counter(name for name in found if name)
    if taken:
        counts = ", ".join(f"{name} {count:,}" for name, count in taken.items())
        work.told(
            f"{source}: {sum(taken.values()):,} of {len(texts):,} rows taken out, as near what is measured on: {counts}"
        )
    return found


def labelled(path: Path, number: int, row: Mapping[str, Any]) -> str:
    """The prompt of a labelled row; a fault is told where it stands, not where the row is written to.

    Raises:
        LabelError: it has no label, or no prompt.
    """
    if row.get("label") not in (HARMFUL, SAFE):
        what = f"{path}:{number}: the label `{row.get('label')}` is neither `{HARMFUL}` nor `{SAFE}`"
        raise LabelError(what, "put it right, or leave the row out")
    return _prompt(path, number, row)


def _prompt(path: Path, number: int, row: Mapping[str, Any]) -> str:
    return prompt_text(path, number, row.get("prompt"))


def _asked(messages: Sequence[Message]) -> str:
    return next((turn.content for turn in reversed(messages) if turn.role == "user"), messages[-1].content)


def _rules(row: Mapping[str, Any]) -> list[str]:
    named = str(row.get("rules") or "").split()
    return named or ([str(row["category"])] if row.get("category") else [])


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    return write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
