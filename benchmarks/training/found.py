"""What was found, read from the output folder, and the figures that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Values
from steps import read_json_lines

Line = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """One figure of a model: the mean over the answers to one set of what one file says under one name."""

    name: str
    title: str
    file: str
    """`looked` (gate and phrases) or `grades` (the judge)."""
    set: str
    """Empty for all sets."""
    field: str
    share: bool = True
    """From 0 to 1; else a number."""


class Found:
    """All that the steps wrote."""

    def __init__(self, out: Path, models: Sequence[str]) -> None:
        self.models = list(models)
        self._lines = {
            "looked": {name: _by_key(_lines(out / "looked" / f"{name}.jsonl")) for name in models},
            "grades": _by_model(_lines(out / "judge" / "grades.jsonl"), models),
        }
        self.comparisons = _by_model(_lines(out / "judge" / "comparisons.jsonl"), models)
        self.perplexity = {name: _lines(out / "perplexity" / f"{name}.jsonl") for name in models}
        self.reliability = _lines(out / "judge" / "reliability.jsonl")
        self.labels = {
            name: (_lines(out / "labels" / f"{name}.jsonl"), _lines(out / "labels" / f"{name}-labels.jsonl"))
            for name in ("refusal", "harm")
        }

    def values(self, measure: Measure, model: str) -> Values:
        """Question -> value; what could not be read is left out."""
        found = {}
        for key, line in self._lines[measure.file][model].items():
            if line.get("unread") or (measure.set and not key.startswith(f"{measure.set}/")):
                continue
            value = line[measure.field]
            found[key] = float(bool(value)) if isinstance(value, list) else float(value)
        return found

    def unread(self) -> tuple[int, int]:
        """Grades that could not be read, and all."""
        grades = [line for lines in self._lines["grades"].values() for line in lines.values()]
        return sum(bool(line.get("unread")) for line in grades), len(grades)

    def measures(self) -> list[Measure]:
        """The figures that there is anything to say of."""
        sets = list(dict.fromkeys(key.partition("/")[0] for key in self._lines["looked"][self.models[0]]))
        listed = [
            Measure("gate", "held-out: breaks a rule, by the gate", "looked", "held-out", "broken"),
            Measure("judge", "held-out: breaks its rule, by the judge", "grades", "held-out", "breaks"),
            Measure("score", "held-out: gate score, 0 to 1", "looked", "held-out", "score", share=False),
            Measure("refuses", "held-out: refuses", "looked", "held-out", "refuses"),
            Measure("evasive", "held-out: evasive, by phrases", "looked", "held-out", "evasive"),
            Measure("judge-evasive", "held-out: evasive, by the judge", "grades", "held-out", "evasive"),
            Measure(
                "helpful-held-out",
                "held-out: helpful, 1 to 5, by the judge",
                "grades",
                "held-out",
                "helpful",
                share=False,
            ),
            *(
                Measure(f"refuses-{name}", f"{name}: refuses", "looked", name, "refuses")
                for name in sets
                if name != "held-out"
            ),
            Measure(
                "helpful-benign", "benign: helpful, 1 to 5, by the judge", "grades", "benign", "helpful", share=False
            ),
            Measure("loops", "all sets: repeats itself", "looked", "", "loops"),
            Measure("cut", "all sets: cut off", "looked", "", "cut"),
            Measure("words", "all sets: words an answer", "looked", "", "words", share=False),
        ]
        return [measure for measure in listed if self.values(measure, self.models[0])]


def _lines(path: Path) -> list[Line]:
    return read_json_lines(path) if path.exists() else []


def _by_key(lines: Sequence[Line]) -> dict[str, Line]:
    return {line["key"]: line for line in lines}


def _by_model(lines: Sequence[Line], models: Sequence[str]) -> dict[str, dict[str, Line]]:
    found: dict[str, dict[str, Line]] = {name: {} for name in models}
    for line in lines:
        if line["model"] in found:
            found[line["model"]][line["key"]] = line
    return found
