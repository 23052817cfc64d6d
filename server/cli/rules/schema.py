"""`wardlaw rules schema`: the JSON Schema of a rule file."""

from __future__ import annotations

import click

from server.cli._json import as_text


@click.command("schema", short_help="print the JSON Schema of a rule file")
def command() -> None:
    """Print the JSON Schema of a rule file, for editors."""
    from rules.json_schema import rule_file_schema

    click.echo(as_text(rule_file_schema()))
