"""A run's right to add rows to a folder, and how it is written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from constitution import archive
from constitution.run import Determined, RunError, read_runs, write_runs
from constitution.templates import TemplateSet
from rules.schema import Constitution


class Claim:
    """What a run adds its rows by. It is written down with the first of them: a run that made none leaves no trace,
    and one that failed at its first call does not bind the folder to its models."""

    def __init__(
        self,
        folder: Path,
        run: Determined,
        constitution: Constitution,
        templates: TemplateSet,
        *,
        has_rows: bool,
        also: Callable[[], object] = lambda: None,
    ) -> None:
        self._run = run
        self._also = also
        self._folder = folder
        self._constitution = constitution
        self._templates = templates
        self._has_rows = has_rows
        self._recorded = False

    @property
    def run(self) -> Determined:
        """What determines the rows."""
        return self._run

    def record(self) -> None:
        """Write down what determines the run, before its first row is kept; later calls do nothing.

        Raises:
            FormatError: the folder cannot be written.
        """
        if self._recorded:
            return
        archive.keep(self._folder, self._run.constitution, self._constitution, self._templates)
        # Runs that stand there while no row does were killed or failed before they made one.
        before = read_runs(self._folder) if self._has_rows else ()
        if self._run not in before:
            write_runs(self._folder, (*before, self._run))
        self._also()
        self._recorded = True


def claim(
    folder: Path,
    run: Determined,
    constitution: Constitution,
    templates: TemplateSet,
    *,
    has_rows: bool,
    mixed: bool,
    also: Callable[[], object] = lambda: None,
) -> Claim:
    """The right to add rows to `folder`: it has none, or some made by the very same, or mixing was asked for.

    Args:
        folder: the output folder, locked.
        run: what determines this run.
        constitution: its rules in words, kept beside the rows.
        templates: its templates in words, likewise.
        has_rows: whether the folder holds a row.
        mixed: go on even where all rows were made otherwise; each row says by what it was made.
        also: what else is to be written down with the first row.

    Raises:
        RunError: the folder's rows were made otherwise; says how.
    """
    runs = read_runs(folder) if has_rows else ()
    if runs and run not in runs and not mixed:
        # Of several runs, the one that is most like this: what differs from it is what to look at.
        differences = min((before.differences(run) for before in reversed(runs)), key=len)
        shown = "\n".join(f"    {line}" for line in differences)
        raise RunError(
            f"`{folder}` holds rows that were made otherwise:\n{shown}",
            "use another --out folder, or --mixed to add to this one all the same",
        )
    return Claim(folder, run, constitution, templates, has_rows=has_rows, also=also)
