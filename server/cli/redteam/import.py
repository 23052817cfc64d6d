# ruff: noqa: N999  # the command's name is a word of Python: the folder reads it by its name
"""`wardlaw redteam import`: many finds into the ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guard.ledger.find import KINDS, SOURCES
from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli._summary import counted
from server.cli.audit import _options as audit_options
from server.cli.gate import _options as gate_options
from server.cli.redteam import _options, _trying

if TYPE_CHECKING:
    from guard.ledger.find import Find, Kind

_OF_PROBES = ("probes.jsonl", "finds.jsonl")
"""What `wardlaw probe make` and `wardlaw probe attack` leave in their folders."""

_SECTIONS = {
    "What was found": ("feedback", "since", "until", "skip_bad"),
    "About all that do not say it": ("kind", "model", "found", "source", "by"),
    "Whether they are so still": _trying.OPTIONS,
    "Where": ("ledger", "rules", "config", "database", "database_file", "folder"),
    "Output": ("as_json",),
}


@click.command("import", cls=Sectioned, sections=_SECTIONS, short_help="enter many finds: from files, or from feedback")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--feedback", is_flag=True, help="Take what people said in the audit was missed, or wrongly blocked.")
@click.option("--since", metavar="TIME", help="With --feedback, said from then on: `2h`, `7d`, or as `2026-05-01`.")
@click.option("--until", metavar="TIME", help="Said before then.")
@click.option("--skip-bad", is_flag=True, help="Pass over bad lines and count them.")
@click.option("--kind", type=click.Choice(KINDS), help="Of rows that do not say it.")
@click.option("--model", metavar="NAME", help="Whose answers they are.")
@click.option("--found", metavar="TIME", help="When.  [default: now]")
@click.option("--source", type=click.Choice(SOURCES), help="What kind of thing found them.")
@_options.by_option
@_trying.try_options
@_options.ledger_option
@gate_options.rules_option
@audit_options.where_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    files: tuple[str, ...],
    feedback: bool,
    since: str | None,
    until: str | None,
    skip_bad: bool,
    kind: Kind | None,
    model: str | None,
    found: str | None,
    source: str | None,
    by: str | None,
    ledger: Path,
    rules: tuple[str, ...],
    database: str,
    folder: Path,
    tries: bool,
    chosen: gate_options.Chosen,
    as_json: bool,
) -> None:
    """Enter the finds of FILEs: JSON lines, CSV or Parquet with `prompt` (text or messages), perhaps `response`, `kind`
    or `label`, and perhaps `rules`, `why`, `severity`, `by`, `model`, `found`.

    A folder stands for what `wardlaw probe` wrote into it: of its probes, those become finds of which the gate said
    what is not so, and of its attempts those that broke the model. All of a file is read before
    the first is entered; what the ledger has already is told and passed over.
    """
    if not files and not feedback:
        raise click.UsageError("there is nothing to enter\n  hint: name files, or give --feedback")
    if (since or until) and not feedback:
        raise click.UsageError("--since and --until go with --feedback")
    from rules.load import load
    from server.cli.redteam._entering import enter

    constitution = load(*rules).constitution
    bad: list[str] = []
    unfit: Counter[str] = Counter()
    finds: list[Find] = []
    who: dict[str, Any] = {"by": by, "model": model, "source": source, "kind": kind, "found": found}
    for name in _named(files):
        finds += _of_file(name, constitution, who, bad, unfit, skip_bad=skip_bad)
    if feedback:
        finds += _of_feedback(database, folder, constitution, (since, until), by, unfit)
    if not finds and not unfit:
        raise WardlawError(
            "there are no finds" + (f" but {counted(len(bad), 'bad row')}" if bad else ""), "look at them"
        )
    if tries and finds:
        finds = _trying.tried(finds, constitution, chosen, as_json=as_json)
    enter(ledger, finds, as_json=as_json)
    for why, count in unfit.most_common():
        click.echo(f"{count:,} left out: {why}", err=as_json)
    if bad:
        click.echo(f"{counted(len(bad), 'bad line')} passed over, as {bad[0]}", err=as_json)


def _named(files: tuple[str, ...]) -> list[str]:
    """The files, with those of a folder of `wardlaw probe` in its place."""
    names: list[str] = []
    for name in files:
        if not Path(name).is_dir():
            names.append(name)
            continue
        there = [str(Path(name) / each) for each in _OF_PROBES if (Path(name) / each).is_file()]
        if not there:
            hint = f"name a folder that `wardlaw probe` wrote ({' or '.join(_OF_PROBES)}), or a file"
            raise WardlawError(f"no finds in the folder `{name}`", hint)
        names += there
    return names


def _of_file(
    name: str, constitution: Any, who: dict[str, Any], bad: list[str], unfit: Counter[str], *, skip_bad: bool
) -> list[Find]:
    from guard.ledger.events import now
    from server.cli.redteam._rows import Rows

    found = now() if who["found"] is None else _options.moment(who["found"], "--found")
    usual = {"by": _options.me(who["by"]), "model": who["model"], "source": who["source"], "found": found}
    rows = Rows(
        name,
        kind=who["kind"],
        known=[rule.id for rule in constitution],
        severity=lambda named: _options.worst(named, constitution),
        usual=usual,
        skip_bad=skip_bad,
        named=who["by"] is not None,
    )
    finds = list(rows)
    bad += rows.bad
    unfit.update(rows.unfit)
    return finds


def _of_feedback(
    database: str,
    folder: Path,
    constitution: Any,
    when: tuple[str | None, str | None],
    by: str | None,
    unfit: Counter[str],
) -> list[Find]:
    from server.audit.feedback import FeedbackStore
    from server.audit.query import Decisions
    from server.cli.redteam._audit import finds_of_feedback

    after, before = (
        None if text is None else audit_options.moment(text, option)
        for text, option in zip(when, ("--since", "--until"), strict=True)
    )
    with audit_options.opened(database, folder) as opened:
        said = FeedbackStore(opened).all(after, before)
        severity = lambda named: _options.worst(named, constitution)  # noqa: E731
        return list(finds_of_feedback(said, Decisions(opened), unfit, severity, by))
