"""`wardlaw redteam report`: what was found, by whom, how long it stood open, and what replays came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from server.cli.redteam import _options


@click.command("report", short_help="what red teaming found, and what came of it")
@_options.filter_options
@_options.ledger_option
@click.option("-n", "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Lines a table at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a page, with pictures."
)
def command(ledger: Path, limit: int, as_json: bool, markdown: bool, html: Path | None, **given: Any) -> None:
    """Report the finds of the ledger: by rule, severity, source, finder, model and month; time to fix; what came back;
    the longest open ones; and the recorded replays in order, so that the effect of red teaming over time is seen.
    """
    if sum((as_json, markdown, html is not None)) > 1:
        raise click.UsageError("give one of --json, --markdown, --html")
    from guard.ledger.events import now
    from guard.ledger.summary import summarise
    from server.cli.redteam import _report_told

    content, _, entries = _options.meant(ledger, given)
    summary = summarise(entries, content.events, now(), most=limit)
    if as_json:
        from server.cli.gate._projection import dump

        click.echo(dump(_report_told.as_dict(summary), indent=2))
    elif html is not None:
        from constitution.formats.files import write_text
        from server.cli.redteam._report_html import as_html

        click.echo(str(write_text(html, as_html(summary, limit))))
    elif markdown:
        click.echo(_report_told.as_markdown(summary, limit).rstrip("\n"))
    else:
        _report_told.show(summary, limit)
