"""The data card: README.md with the YAML head by which `datasets.load_dataset` finds the files as they lie there."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from constitution.formats import Options, Written, open_format
from constitution.formats.files import write_text
from constitution.statistics import RunStatistics
from rules.schema import Constitution

_TEMPLATE = "card.md.jinja"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(
    folder: Path,
    statistics: RunStatistics,
    written: Sequence[Written],
    *,
    constitution: Constitution | None = None,
    title: str = "Harmlessness data made with Wardlaw",
    licence: str = "other",
    tasks: Sequence[str] = ("text-generation",),
    options: Options | None = None,
) -> Path:
    """Write README.md into `folder`.

    Args:
        folder: where the files of `written` lie.
        statistics: the figures of the run.
        written: the files; those without a line are named in the body and left out of the head.
        constitution: titles of the rules, where it is at hand.
        title: first line of the card.
        licence: licence of the data, as the Hugging Face Hub spells it. The texts come from models and from the
            prompts' sources, so only the one who made the set can say.
        tasks: task categories of the head.
        options: those the files were written with, so that the card can say where the reasoning stands.

    Raises:
        FormatError: the file cannot be written.
    """
    return write_text(
        folder / "README.md",
        render_card(
            statistics,
            written,
            constitution=constitution,
            title=title,
            licence=licence,
            tasks=tasks,
            options=options,
        ),
    )


def render_card(
    statistics: RunStatistics,
    written: Sequence[Written],
    *,
    constitution: Constitution | None = None,
    title: str = "Harmlessness data made with Wardlaw",
    licence: str = "other",
    tasks: Sequence[str] = ("text-generation",),
    options: Options | None = None,
) -> str:
    """The text of the card; arguments as `write_card`."""
    import jinja2
    import yaml

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Markdown: `cell` escapes what comes from the rows
    )
    environment.filters |= {"cell": _cell, "n": _number, "share": _share, "day": _day}
    head = yaml.safe_dump(_head(statistics, written, title, licence, tasks), sort_keys=False, allow_unicode=True)
    titles = {rule.id: rule.title.say("en") for rule in constitution} if constitution else {}
    ordered = _ordered(written)
    return environment.get_template(_TEMPLATE).render(
        head=head,
        title=title,
        s=statistics,
        titles=titles,
        files=[_file(item) for item in (*ordered, *(item for item in written if not item.lines))],
        unfit=sum(item.unfit for item in written),
        options=options,
        self_criticised=_self_criticised(statistics),
    )


def _head(
    statistics: RunStatistics, written: Sequence[Written], title: str, licence: str, tasks: Sequence[str]
) -> dict[str, Any]:
    ordered = _ordered(written)
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
        "pretty_name": title,
        "license": licence,
        "language": [tag for tag in statistics.languages if tag != "und"],
        "task_categories": list(tasks),
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


def _cell(text: object) -> str:
    """Text that cannot leave its table cell, nor be read as markup."""
    flat = " ".join(str(text).split())
    for sign, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("`", "&#96;")):
        flat = flat.replace(sign, code)
    return flat


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _day(when: float | None) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).strftime("%Y-%m-%d") if when is not None else "-"
