"""`wardlaw redteam check`: whether the lines of a ledger are as they were written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from rules.errors import WardlawError
from rules.words import quoted
from server.cli._printable import printable
from server.cli._summary import counted
from server.cli.redteam import _options


@click.command("check", short_help="see that the ledger is as it was written")
@_options.ledger_option
@click.option("--against", metavar="REVISION", help="Every line that git has at this revision must still be there.")
@click.option("--mend", is_flag=True, help="Take out git's conflict markers, and put a half line at the end aside.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(ledger: Path, against: str | None, mend: bool, as_json: bool) -> int:
    """See that every line of the ledger is as it was written, and name each that is not.

    A line that was taken out leaves no trace in the file: --against compares with git, in CI with the branch that is
    merged into.

    Exit codes: 0 all is well; 1 lines have faults; 2 an error.
    """
    from guard.ledger.file import content_of, read_ledger
    from guard.ledger.file import mend as mending

    done = mending(ledger) if mend else []
    content = read_ledger(ledger)
    faults = list(content.faults)
    if against is not None:
        from guard.ledger.errors import Fault

        there = {each.sum for each in content.written}
        gone = [each for each in content_of(ledger, _at(against, ledger)).written if each.sum not in there]
        hint = "the ledger only grows: put it back, and say what is otherwise by `wardlaw redteam amend ID`"
        faults += [
            Fault(0, "gone", f"line {each.line} at {quoted(against)} is not there any more", hint) for each in gone
        ]
    if as_json:
        from server.cli.gate._projection import dump

        told = [{"line": each.line, "kind": each.kind, "what": each.what, "hint": each.hint} for each in faults]
        whole = {"lines": len(content.written), "faults": told, "torn": bool(content.torn), "mended": done}
        click.echo(dump(whole, indent=2))
        return int(bool(faults))
    for what in done:
        click.echo(f"{ledger}: {what}")
    for fault in faults:
        where = f"{ledger}:{fault.line}" if fault.line else str(ledger)
        click.echo(f"{where}: {printable(fault.what)}\n  hint: {fault.hint}")
    if content.torn:
        click.echo(f"{ledger}: ends in a half line that a killed process left\n  hint: --mend puts it aside")
    if not faults:
        click.echo(f"{ledger}: {counted(len(content.written), 'line')}, each as it was written")
    return int(bool(faults))


def _at(revision: str, ledger: Path) -> bytes:
    """The ledger at a revision; nothing where git has none there yet."""
    if _git(ledger, "rev-parse", "--git-dir").returncode:
        hint = "`git init`, and commit the ledger; without git nothing knows what it held before"
        raise WardlawError(f"`{ledger}` is in no git repository", hint)
    if _git(ledger, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").returncode:
        hint = "`git log --oneline` shows what there is; in CI, fetch the whole history (`fetch-depth: 0`)"
        raise WardlawError(f"no revision {quoted(revision)} of `{ledger}`", hint)
    found = _git(ledger, "cat-file", "blob", f"{revision}:./{ledger.name}")
    return b"" if found.returncode else found.stdout


def _git(ledger: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603  # no shell
            ["git", *arguments],  # noqa: S607  # the user's own git
            cwd=ledger.parent,
            capture_output=True,
            check=False,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WardlawError(f"git cannot be asked: {error}", "see that `git status` works here") from None
