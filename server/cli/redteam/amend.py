"""`wardlaw redteam amend`: what is seen otherwise of a find."""

from __future__ import annotations

from pathlib import Path

import click

from guard.ledger.events import STATUSES
from server.cli.gate import _options as gate_options
from server.cli.redteam import _options


@click.command("amend", short_help="give a find another status, severity or reason")
@click.argument("find")
@click.option("--status", type=click.Choice(STATUSES), help="What became of it; `accepted`: it will stay as it is.")
@click.option("--severity", type=click.Choice(_options.SEVERITIES), help="How bad.")
@click.option("--rule", multiple=True, metavar="ID", help="The rules that it is about, in place of those it has.")
@click.option("--why", help="Why it is a break, or a false alarm.")
@click.option("--note", default="", help="Anything else; for `accepted`, why.")
@_options.by_option
@_options.ledger_option
@gate_options.rules_option
def command(
    find: str,
    status: str | None,
    severity: str | None,
    rule: tuple[str, ...],
    why: str | None,
    note: str,
    by: str | None,
    ledger: Path,
    rules: tuple[str, ...],
) -> None:
    """Say what is seen otherwise of FIND, an id or its beginning. What was written before stays in the ledger."""
    if status is None and severity is None and not rule and why is None and not note:
        raise click.UsageError("nothing is amended\n  hint: give --status, --severity, --rule, --why or --note")
    from guard.ledger.entering import amend
    from guard.ledger.events import Amended, now

    if rule:
        from rules.load import load

        _options.check_rules(rule, load(*rules).constitution, rules)
    _, entries = _options.opened(ledger)
    name = _options.whole_id(find, entries)
    told = {"status": status, "severity": severity, "rules": rule or None, "why": why, "note": note}
    before = amend(ledger, Amended.model_validate({"at": now(), "by": _options.me(by), "id": name, **told}))
    change = f"{before.status} -> {status}" if status and status != before.status else "amended"
    click.echo(f"{name}  {change}")
