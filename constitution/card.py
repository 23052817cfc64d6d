"""The data card: README.md with the YAML head by which `datasets.load_dataset` finds the files as they lie there."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constitution.formats import Options, Written, open_format
from constitution.formats.files import write_text
from constitution.markdown import rendered
from constitution.statistics import RunStatistics

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, slots=True)
class Card:
    """What the card is made of."""

    statistics: RunStatistics
    """The figures of the run."""
    files: Sequence[Written]
    """The files that lie in the folder; those without a line are named in the body and left out of the head."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Rule id -> its title, where the rules are at hand."""
    title: str = "Harmlessness data made with Wardlaw"
    """First line of the card."""
    licence: str = "other"
    """Licence of the data, as the Hugging Face Hub spells it. The texts come from models and from the prompts'
    sources, so only the one who made the set can say."""
    tasks: Sequence[str] = ("text-generation",)
    """Task categories of the head."""
    options: Options | None = None
    """Those the files were written with, so that the card can say where the reasoning stands."""

    def write(self, folder: Path) -> Path:
        """Write README.md into `folder`, where the files lie.

        Raises:
            FormatError: the file cannot be written.
        """
        return write_text(folder / "README.md", self.text())

    def text(self) -> str:
        """The text of the card."""
        import yaml

        empty = [item for item in self.files if not item.lines]
        return rendered(
            _TEMPLATE,
            {"n": _number, "share": _share, "day": _day},
            head=yaml.safe_dump(_head(self), sort_keys=False, allow_unicode=True),
            title=self.title,
            s=self.statistics,
            titles=self.titles,
            files=[_file(item) for item in (*_ordered(self.files), *empty)],
            unfit=sum(item.unfit for item in self.files),
            earlier=[item.path.name for item in self.files if item.earlier],
            options=self.options,
            self_criticised=_self_criticised(self.statistics),
        )


def _head(card: Card) -> dict[str, Any]:
    ordered = _ordered(card.files)
    configs: list[dict[str, Any]] = []
    for item in ordered:
        config: dict[str, Any] = {"config_name": item.name, "data_files": item.path.name}
        configs.append(config if configs else {**config, "default": True})
    infos: list[dict[str, Any]] = []
    for item in ordered:
        features = getattr(open_format(item.name), "FEATURES", None)
        # Parquet carries its own types; beside JSON lines they save a reader from guessing.
        if features is not None and item.path.suffix == ".jsonl":
            infos.append({"config_name": item.name, "features": features})
    head: dict[str, Any] = {
        "pretty_name": card.title,
        "license": card.licence,
        "language": [tag for tag in card.statistics.languages if tag != "und"],
        "task_categories": list(card.tasks),
        "size_categories": [_size(ordered[0].lines if ordered else 0)],
        "tags": ["wardlaw", "constitutional-ai", "harmlessness", "safety", "synthetic", "preference"],
        "configs": configs,
        "dataset_info": infos,
    }
    return {key: value for key, value in head.items() if value}


def _ordered(written: Sequence[Written]) -> list[Written]:
    """The files that hold something, the default first: a reader stops at an empty one."""
    return sorted((item for item in written if item.lines), key=lambda item: item.name != "sft")


def _size(lines: int) -> str:
    for below, name in _SIZES:
        if lines < below:
            return name
    return "n>1M"


def _file(item: Written) -> dict[str, Any]:
    format_ = open_format(item.name)
    kind = "parquet" if item.path.suffix == ".parquet" else "json"
    how = format_.HOW.replace("$FILE", item.path.name).replace("$TYPE", kind)
    return {"name": item.name, "file": item.path.name, "lines": item.lines, "about": format_.ABOUT, "how": how}


def _self_criticised(statistics: RunStatistics) -> bool:
    """Whether one model judged answers of its own."""
    answerers = set(statistics.models.get("answerer", {}))
    return bool(answerers & set(statistics.models.get("critic", {})))


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _day(when: float | None) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).strftime("%Y-%m-%d") if when is not None else "-"
