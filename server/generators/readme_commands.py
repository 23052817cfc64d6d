"""README.md: the table of commands between its two markers."""

from __future__ import annotations

from pathlib import Path

import click

from server.generators.cli_page import contexts

TARGET = "README.md"
_BEGIN, _END = "<!-- commands -->", "<!-- /commands -->"


def render(root: Path) -> str | None:
    """The README with its table made anew; None where it has no markers."""
    path = root / TARGET
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        return None
    return f"{before}{_BEGIN}\n{_table()}\n{_END}{after}"


def _table() -> str:
    rows = []
    for context in contexts():
        if not isinstance(context.command, click.Group):
            said = context.command.get_short_help_str(limit=200).rstrip(".")
            rows.append(f"| `{context.command_path}` | {said[:1].lower() + said[1:]} |")
    return "\n".join(["| command | does |", "| --- | --- |", *rows])
