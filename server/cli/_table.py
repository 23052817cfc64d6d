"""A table on standard output: as wide as the terminal, and of a fixed width where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence


def print_table(columns: Mapping[str, str], rows: Iterable[Sequence[str]], *, width: int) -> None:
    """Print rows under their headings. Texts are shown as they stand: no markup, no emoji.

    Args:
        columns: heading -> `left` or `right`.
        rows: a cell a column.
        width: in characters, where standard output is no terminal.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, side in columns.items():
        table.add_column(name, justify="right" if side == "right" else "left")
    for row in rows:
        table.add_row(*row)
    shown = None if sys.stdout.isatty() else width
    Console(highlight=False, markup=False, emoji=False, width=shown).print(table)
