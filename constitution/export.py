"""From rows to files: every format, the data card and the report, all projections of the row store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from constitution import archive
from constitution.card import Card
from constitution.formats import Written, formats, with_earlier, write_dataset_info, write_formats
from constitution.output import keep_output, read_output
from constitution.rows import Rows
from constitution.statistics import RunStatistics, gather


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    files: tuple[Written, ...]
    statistics: RunStatistics
    card: Path
    report: Path


def export(
    folder: Path, store: Rows, *, names: Sequence[str] = (), given: Mapping[str, object] | None = None
) -> Exported:
    """Write the rows of `store` into `folder` as files; each is there whole or not at all.

    Args:
        folder: the output folder of a run.
        store: its rows.
        names: the formats; all of them where none is named. Where the files change from JSON lines to Parquet or back,
            those that lie there already come with them.
        given: what is chosen of `Output`; the rest is as it was chosen for `folder` before.

    Raises:
        FormatError: an unknown format, or a file that cannot be written.
        RunError: a file in which the folder says of itself is damaged, or a choice is none.
    """
    from constitution.report import write_report

    output = read_output(folder, given)
    constitutions = archive.read_constitutions(folder)
    words = {"constitutions": constitutions, "templates": archive.read_templates(folder)}
    options = output.options.model_copy(update=words)
    # datasets reads all files of a folder by one reader: those that lie there in the other kind are written anew too.
    kind = ".parquet" if output.parquet else ".jsonl"
    other = [item.name for item in with_earlier(folder, ()) if item.path.suffix != kind]
    chosen = dict.fromkeys((*names, *other)) if names else formats()
    written = write_formats(tuple(chosen), store.rows, folder, parquet=output.parquet, options=options)
    keep_output(folder, output)
    lying = with_earlier(folder, written)
    write_dataset_info(folder, lying)
    statistics = gather(store.rows())
    titles = archive.rule_titles(folder, constitutions)
    card = Card(statistics, lying, titles=titles, licence=output.licence, options=options).write(folder)
    report = write_report(folder, store.rows, statistics, titles=titles)
    return Exported(written, statistics, card, report)
