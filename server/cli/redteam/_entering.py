"""Finds put into the ledger, and what is said of it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli._printable import printable
from server.cli._summary import counted

if TYPE_CHECKING:
    from guard.ledger.entering import Outcome
    from guard.ledger.find import Find

_TOLD = 5


def enter(ledger: Path, finds: Sequence[Find], *, as_json: bool) -> Outcome:
    """Put finds into the ledger, and say what became of them.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    from guard.ledger.entering import enter as entering

    new = not ledger.exists()
    outcome = entering(ledger, finds)
    if outcome.note:
        click.echo(f"note: {outcome.note}", err=True)
    if as_json:
        from server.cli.gate._projection import dump

        click.echo(dump(_as_dict(outcome), indent=2))
    else:
        _tell(ledger, outcome)
    if new and outcome.entered and not _merges(ledger):
        what = f"note: on branches that both enter finds, git will report a conflict in `{ledger.name}`"
        click.echo(f"{what}\n  hint: put `{ledger.name} merge=union` into .gitattributes, and it joins them", err=True)
    return outcome


def _tell(ledger: Path, outcome: Outcome) -> None:
    for find in outcome.entered[:_TOLD]:
        about = f" ({', '.join(find.rules)})" if find.rules else ""
        click.echo(f"{find.id}  {find.kind}, {find.severity}{about}: {short(find)}")
    for find in outcome.reopened:
        click.echo(f"{find.id}  fixed before, found again: open now: {short(find)}")
    for find, entry in outcome.known[:_TOLD]:
        since = f"{entry.find.found:%Y-%m-%d} by {printable(entry.find.by)}"
        click.echo(f"{find.id}  known, passed over: found {since}, {entry.status}: {short(find)}")
    new, known = len(outcome.entered) + len(outcome.reopened), len(outcome.known)
    if new + known + outcome.twice > 1:
        twice = f", {outcome.twice:,} given twice" if outcome.twice else ""
        click.echo(f"{counted(new, 'find')} entered into {ledger}, {known:,} known and passed over{twice}")


def short(find: Find, most: int = 80) -> str:
    """The text under judgement, on one line."""
    text = " ".join(printable(find.text).split())
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "entered": [find.id for find in outcome.entered],
        "reopened": [find.id for find in outcome.reopened],
        "known": [find.id for find, _ in outcome.known],
        "twice": outcome.twice,
    }


def _merges(ledger: Path) -> bool:
    """Whether git joins both sides' lines, or does not keep the file at all."""
    try:
        found = subprocess.run(  # noqa: S603  # no shell
            ["git", "check-attr", "merge", "--", ledger.name],  # noqa: S607  # the user's own git
            cwd=ledger.parent,
            capture_output=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return found.returncode != 0 or found.stdout.rstrip().endswith(b": union")
