"""From rows to files: every format, the data card and the report, all projections of the row store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from constitution.card import write_card
from constitution.formats import Options, Written, formats, write_dataset_info, write_formats
from constitution.run import read_constitution
from constitution.statistics import RunStatistics, gather
from constitution.store import RowStore
from constitution.templates import TemplateSet


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    files: tuple[Written, ...]
    statistics: RunStatistics
    card: Path
    report: Path


def export(
    folder: Path,
    store: RowStore,
    *,
    names: Sequence[str] = (),
    parquet: bool = False,
    options: Options | None = None,
    templates: TemplateSet | None = None,
    licence: str = "other",
) -> Exported:
    """Write the rows of `store` into `folder` as files; each is there whole or not at all.

    Args:
        folder: the output folder of a run.
        store: its rows.
        names: the formats; all of them where none is named.
        parquet: Parquet instead of JSON lines.
        options: of the formats; the rules in words and the templates are filled in here.
        templates: the loop's templates, for the `critic` format.
        licence: of the data, for the card.

    Raises:
        FormatError: an unknown format, or a file that cannot be written.
    """
    from constitution.report import write_report

    constitution = read_constitution(folder)
    options = (options or Options()).model_copy(update={"constitution": constitution, "templates": templates})
    written = write_formats(names or formats(), store.rows, folder, parquet=parquet, options=options)
    write_dataset_info(folder, written)
    statistics = gather(store.rows())
    card = write_card(folder, statistics, written, constitution=constitution, licence=licence, options=options)
    report = write_report(folder, store.rows, statistics, constitution=constitution)
    return Exported(written, statistics, card, report)
