"""Files of two answers of which people prefer one: the 438 comparisons of HHH, or the same in BIG-bench's form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constitution.preference.sources import PAIRS, ContestFile
from constitution.prompt import Prompt
from constitution.readers import bad_line

CATEGORIES = ("helpful", "honest", "harmless", "other")
_COLUMNS = ("category", "subset")


class ComparisonFile(ContestFile):
    """Contests of two answers, the better one first, and the category of each line that tells one.

    A line has `text_correct` and `text_incorrect`, `chosen` and `rejected`, or BIG-bench's `input` with
    `target_scores` (answer -> 1 or 0) or with `targets` (`choices` and `labels`).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.categories: dict[int, str] = {}
        """Line -> category."""

    def _prompt(self, line: int, item: Any) -> Prompt:
        fields: Mapping[str, Any] = item if isinstance(item, Mapping) else {}
        told = next((fields[name] for name in _COLUMNS if fields.get(name) is not None), None)
        if told is not None:
            if told not in CATEGORIES:
                raise bad_line(self.name, line, f"unknown category `{told}`", f"known are {', '.join(CATEGORIES)}")
            self.categories[line] = told
        if "input" in fields:
            fields = {"prompt": fields["input"], **self._scored(line, fields)}
        if not any(better in fields for better, _ in PAIRS):
            raise bad_line(self.name, line, "no two answers of which one is the better")
        return super()._prompt(line, fields)

    def _scored(self, line: int, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        scores, targets = fields.get("target_scores"), fields.get("targets")
        if isinstance(targets, Mapping) and not isinstance(scores, Mapping):
            choices, labels = targets.get("choices"), targets.get("labels")
            if isinstance(choices, list) and isinstance(labels, list) and len(choices) == len(labels):
                scores = dict(zip(choices, labels, strict=True))
        if not isinstance(scores, Mapping) or sorted(map(str, scores.values())) != ["0", "1"]:
            raise bad_line(self.name, line, "no two answers of which one is scored 1 and the other 0")
        better, worse = sorted(scores, key=lambda answer: -scores[answer])
        return {"chosen": better, "rejected": worse}
