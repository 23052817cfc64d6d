"""What the commands on the ledger share: which ledger, who says so, and which finds are meant."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guard.ledger.errors import LedgerError
from guard.ledger.events import STATUSES
from guard.ledger.find import KINDS, SOURCES
from rules.actions import Severity
from rules.errors import WardlawError
from rules.words import did_you_mean, quoted

if TYPE_CHECKING:
    from guard.ledger.file import Content
    from guard.ledger.state import Entry, Filters
    from rules.schema import Constitution

DEFAULT = "redteam.jsonl"
FILTERS = ("finds", "status", "kind", "rule", "severity", "source", "found_by", "since", "until")
"""The parameters that `filter_options` adds."""

SEVERITIES = [each.value for each in Severity]


def ledger_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that names the ledger."""
    return click.option(
        "--ledger",
        type=click.Path(path_type=Path, dir_okay=False),
        default=DEFAULT,
        envvar="WARDLAW_LEDGER",
        show_default=True,
        metavar="FILE",
        help="The ledger, a file that git keeps.",
    )(command)


def by_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that says who it is that says so."""
    return click.option("--by", metavar="NAME", help="Who or what says so.  [default: your user name]")(command)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which finds are meant."""
    options = (
        click.option("--find", "finds", multiple=True, metavar="ID", help="This find; its beginning is enough."),
        click.option("--status", multiple=True, type=click.Choice(STATUSES), help="What became of it."),
        click.option("--kind", type=click.Choice(KINDS), help="Breaks, or false alarms."),
        click.option("--rule", multiple=True, metavar="ID", help="A rule that it is about."),
        click.option("--severity", multiple=True, type=click.Choice(SEVERITIES), help="How bad."),
        click.option("--source", multiple=True, type=click.Choice(SOURCES), help="What kind of thing found it."),
        click.option("--found-by", metavar="NAME", help="Who or what found it."),
        click.option("--since", metavar="TIME", help="Found from then on: `2h`, `7d`, or as `2026-05-01`."),
        click.option("--until", metavar="TIME", help="Found before then."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def filters(given: dict[str, Any], entries: dict[str, Entry]) -> Filters:
    """The filters among a command's parameters, which are taken out.

    Raises:
        WardlawError: a time cannot be read; no find has the id, or the rule.
    """
    from guard.ledger.state import Filters

    asked = {name: given.pop(name) for name in FILTERS}
    known = {rule for entry in entries.values() for rule in entry.rules}
    for rule in asked["rule"]:
        if rule not in known:
            raise WardlawError(f"no find is about the rule {quoted(rule)}", did_you_mean(rule, sorted(known)))
    return Filters(
        ids=tuple(whole_id(name, entries) for name in asked["finds"]),
        status=asked["status"],
        kind=asked["kind"],
        rules=asked["rule"],
        severity=asked["severity"],
        source=asked["source"],
        by=asked["found_by"],
        since=None if asked["since"] is None else moment(asked["since"], "--since"),
        until=None if asked["until"] is None else moment(asked["until"], "--until"),
    )


def whole_id(given: str, entries: dict[str, Entry]) -> str:
    """The id that a person began.

    Raises:
        WardlawError: there is none, or more than one.
    """
    if given in entries:
        return given
    full = given if given.startswith("rt_") else f"rt_{given}"
    found = [name for name in entries if name.startswith(full)]
    if len(found) == 1:
        return found[0]
    if found:
        raise WardlawError(f"{len(found)} finds begin with {quoted(given)}", f"as {', '.join(found[:3])}")
    raise WardlawError(f"no find {quoted(given)}", did_you_mean(given, entries, "`wardlaw redteam list` shows them"))


def moment(text: str, option: str) -> datetime:
    """A time that a person gave.

    Raises:
        WardlawError: it is none.
    """
    from server.cli.audit._options import moment as seconds

    return datetime.fromtimestamp(seconds(text, option), UTC)


def opened(ledger: Path) -> tuple[Content, dict[str, Entry]]:
    """The ledger, read; that a half line stands at its end is told.

    Raises:
        LedgerError: there is none, or lines are not as they were written.
    """
    from guard.ledger.file import read_ledger
    from guard.ledger.state import fold

    content = read_ledger(ledger)
    entries = fold(content.events)
    if content.torn:
        what = f"note: `{ledger}` ends in a half line that a killed process left; it counts for nothing"
        click.echo(
            f"{what}\n  hint: `wardlaw redteam check --mend` puts it aside, and so does the next `add`", err=True
        )
    return content, entries


def meant(ledger: Path, given: dict[str, Any]) -> tuple[Content, dict[str, Entry], list[Entry]]:
    """The ledger, and the finds that the filters choose.

    Raises:
        LedgerError: the ledger cannot be used, or none is like that.
    """
    from guard.ledger.state import chosen

    content, entries = opened(ledger)
    found = chosen(entries.values(), filters(given, entries))
    if not found:
        what = "no find is like that" if entries else f"`{ledger}` has no finds"
        raise LedgerError(what, "ask for less: every option narrows the choice" if entries else "add one")
    return content, entries, found


def me(by: str | None) -> str:
    """Who says so."""
    if by is not None:
        if not by.strip():
            raise WardlawError("`--by` is empty", "give a name")
        return by.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise WardlawError("your user has no name here", "give one with --by") from None


def check_rules(given: Sequence[str], constitution: Constitution, named: Sequence[str]) -> None:
    """See that rules are there.

    Raises:
        WardlawError: one is not.
    """
    ids = [rule.id for rule in constitution]
    for rule in given:
        if rule not in ids:
            where = ", ".join(f"`{each}`" for each in named)
            hint = did_you_mean(rule, ids, "name the rules that have it with -r")
            raise WardlawError(f"no rule {quoted(rule)} in {where}", hint)


def worst(given: Sequence[str], constitution: Constitution) -> Severity:
    """How bad a find of these rules is, by the rules' own word; medium where none is named."""
    order = list(Severity)
    found = [rule.severity for rule in constitution if rule.id in given]
    return min(found, key=order.index, default=Severity.MEDIUM)
