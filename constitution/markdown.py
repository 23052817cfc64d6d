"""Markdown pages from templates: data cards, and what a run of probes came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def rendered(template: Path, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """The text of a template of our own; a name that is not there is an error.

    Args:
        template: its file.
        filters: its filters, beside `cell`, through which everything goes that a person or a model wrote.
        values: what it is filled with.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Markdown: `cell` escapes what comes from rows, rules and models
    )
    environment.filters |= {"cell": cell, **filters}
    return environment.get_template(template.name).render(**values)


def cell(text: object) -> str:
    """Text that cannot leave its table cell, nor be read as markup."""
    flat = " ".join(str(text).split())
    for sign, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("`", "&#96;")):
        flat = flat.replace(sign, code)
    return flat
