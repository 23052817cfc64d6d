"""`wardlaw redteam add`: one find into the ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guard.ledger.find import HOWS, KINDS, SOURCES
from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli.audit import _options as audit_options
from server.cli.gate import _options as gate_options
from server.cli.redteam import _options, _trying

if TYPE_CHECKING:
    from guard.ledger.find import Find, Kind
    from rules.schema import Constitution

_SECTIONS = {
    "What was found": ("prompt", "response", "messages", "part"),
    "About it": ("kind", "rule", "why", "severity", "status", "model", "found", "source", "by", "how", "steps"),
    "Whether it is so still": _trying.OPTIONS,
    "Where": ("ledger", "rules", "config", "database", "database_file", "folder"),
    "Output": ("as_json",),
}


@click.command("add", cls=Sectioned, sections=_SECTIONS, short_help="enter one find into the ledger")
@click.argument("decision", required=False)
@click.option("--prompt", metavar="TEXT", help="What was asked.")
@click.option("--response", metavar="TEXT", help="The answer, where that is what breaks a rule, or was stopped.")
@click.option(
    "--messages", type=click.Path(path_type=Path), metavar="FILE", help="The conversation: a JSON list of messages."
)
@click.option("--part", type=click.Choice(["prompt", "response"]), help="With DECISION: which text is meant.")
@click.option("--kind", type=click.Choice(KINDS), help="`break`: it passed; `false-alarm`: it is harmless.")
@click.option("--rule", multiple=True, metavar="ID", help="A rule that it is about; may be given several times.")
@click.option("--why", help="Why it is a break, or a false alarm.")
@click.option("--severity", type=click.Choice(_options.SEVERITIES), help="How bad.  [default: as its rules say]")
@click.option("--status", type=click.Choice(["open", "accepted"]), default="open", show_default=True)
@click.option("--model", metavar="NAME", help="Whose answer it is, or who was asked.")
@click.option("--found", metavar="TIME", help="When: `2h`, `7d` ago, or as `2026-05-01`.  [default: now]")
@click.option("--source", type=click.Choice(SOURCES), help="What kind of thing found it.  [default: person]")
@_options.by_option
@click.option(
    "--how", type=click.Choice(HOWS), help="Reproduced by judging the `text`, or if you `ask` the model anew."
)
@click.option("--steps", metavar="TEXT", help="What else one needs to reproduce it.")
@_trying.try_options
@_options.ledger_option
@gate_options.rules_option
@audit_options.where_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    decision: str | None,
    prompt: str | None,
    response: str | None,
    messages: Path | None,
    part: str | None,
    kind: Kind | None,
    rule: tuple[str, ...],
    why: str | None,
    severity: str | None,
    found: str | None,
    by: str | None,
    ledger: Path,
    rules: tuple[str, ...],
    database: str,
    folder: Path,
    tries: bool,
    chosen: gate_options.Chosen,
    as_json: bool,
    **given: Any,
) -> int:
    """Enter one find: a text that broke a rule and passed, or a harmless one that was stopped.

    It is given by options, or is a DECISION of the audit (`d_...`) whose texts were kept. With neither, at a terminal,
    you are asked. A find that the ledger has already is told and passed over; one that was fixed is open again.

    Exit codes: 0 done; 1 with --try, the gate sees it as it is: nothing is entered; 2 an error.
    """
    from rules.load import load
    from server.cli.redteam._entering import enter

    constitution = load(*rules).constitution
    _options.check_rules(rule, constitution, rules)
    if sum(each is not None for each in (decision, prompt, messages)) > 1:
        raise click.UsageError("give one of DECISION, --prompt, --messages")
    if decision is None and prompt is None and messages is None:
        prompt, response, kind, rule, why = _asked(response, kind, rule, why, constitution, rules)
    fields = {name: value for name, value in given.items() if value is not None}
    if found is not None:
        fields["found"] = _options.moment(found, "--found")
    if severity is not None:
        fields["severity"] = severity
    fields["by"] = _options.me(by)
    fields["why"] = why or ""
    if decision is not None:
        if response is not None:
            raise click.UsageError("the answer of DECISION is in the audit\n  hint: --part says that it is meant")
        made = _of_decision(decision, kind, part, rule, constitution, (database, folder), fields)
    else:
        if part is not None:
            raise click.UsageError("--part goes with DECISION")
        made = _of_texts(prompt, messages, response, kind, rule, constitution, fields)
    if tries and not _trying.tried([made], constitution, chosen, as_json=as_json):
        return 1
    enter(ledger, [made], as_json=as_json)
    return 0


def _of_texts(
    prompt: str | None,
    messages: Path | None,
    response: str | None,
    kind: Kind | None,
    rule: tuple[str, ...],
    constitution: Constitution,
    fields: dict[str, Any],
) -> Find:
    from guard.exchange import Message
    from guard.ledger.events import now
    from guard.ledger.find import make_find
    from server.cli.gate.check import conversation

    if kind is None:
        raise click.UsageError("what kind of find is it?\n  hint: --kind break (it passed) or --kind false-alarm")
    if prompt is not None and not prompt.strip():
        raise WardlawError("`--prompt` is empty", "give what was asked")
    turns = [Message("user", prompt)] if prompt is not None else conversation(messages) if messages else []
    usual = {"source": "person", "found": now(), "severity": _options.worst(rule, constitution)}
    return make_find(kind, turns, response, rules=rule, **{**usual, **fields})


def _of_decision(
    decision: str,
    kind: Kind | None,
    part: str | None,
    rule: tuple[str, ...],
    constitution: Constitution,
    where: tuple[str, Path],
    fields: dict[str, Any],
) -> Find:
    from server.audit.query import Decisions, UnknownDecision
    from server.cli.redteam._audit import find_of_decision

    with audit_options.opened(*where) as database:
        decisions = Decisions(database)
        found = decisions.one(decision)
        if found is None:
            near = decisions.near(decision)
            raise UnknownDecision(decision, near)
    if rule:
        fields["rules"] = rule
    fields.setdefault("severity", _options.worst(rule or found.rules, constitution))
    return find_of_decision(found, kind, part, None, lambda named: _options.worst(named, constitution), fields)


def _asked(
    response: str | None,
    kind: Kind | None,
    rule: tuple[str, ...],
    why: str | None,
    constitution: Constitution,
    rules: tuple[str, ...],
) -> tuple[str, str | None, Kind, tuple[str, ...], str]:
    """What a person at a terminal says."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is nothing to enter\n  hint: give DECISION, --prompt or --messages")
    prompt = click.prompt("What was asked", err=True)
    if response is None:
        response = click.prompt("The answer, if that is meant", default="", show_default=False, err=True) or None
    said: Kind = kind if kind is not None else click.prompt("Kind", type=click.Choice(KINDS), default="break", err=True)
    while not rule:
        given = tuple(click.prompt("Rules (ids)", default="", show_default=False, err=True).replace(",", " ").split())
        if not given:
            break
        try:
            _options.check_rules(given, constitution, rules)
        except WardlawError as error:
            click.echo(str(error), err=True)
        else:
            rule = given
    why = why or click.prompt("Why", default="", show_default=False, err=True)
    return prompt, response, said, rule, why
