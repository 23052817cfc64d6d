"""`wardlaw rules explain`: all that is technical about a rule, and why a text or a decision was judged so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from rules.words import listed, quoted
from server.cli._sections import Sectioned
from server.cli.audit import _options as _audit
from server.cli.gate import _options

if TYPE_CHECKING:
    from guard.exchange import Exchange
    from rules.loaded import Loaded
    from server.audit.query import Found

_DECISION = "d_"

_SECTIONS = {
    "What to explain": ("text", "prompt", "response", "jsonl_row", "about"),
    "Where decisions are kept": _audit.SECTIONS["Where"],
    "Gate": _options.SECTION[1:],
    "Output": ("lang", "as_json"),
}


@click.command("explain", cls=Sectioned, sections=_SECTIONS, short_help="explain a rule, or why a text was judged so")
@click.argument("named", metavar="[ID] [PATH]...", nargs=-1)
@click.option("--text", help="Explain the verdict on this text, as a prompt; `-` is standard input.")
@click.option("--prompt", help="The same as --text, or with --response the prompt that it answers.")
@click.option("--response", help="Explain the verdict on this answer.")
@click.option("--jsonl-row", metavar="FILE:N", help="Explain the verdict on line N of a file, counted from 1.")
@click.option("--rule", "about", metavar="ID", multiple=True, help="A rule to explain, whether or not it was found.")
@_audit.where_options
@_options.model_options
@click.option("--lang", default="en", show_default=True, help="Language of titles and of what rules say, as `zh`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    named: tuple[str, ...],
    text: str | None,
    prompt: str | None,
    response: str | None,
    jsonl_row: str | None,
    about: tuple[str, ...],
    database: str,
    folder: Path,
    chosen: _options.Chosen,
    lang: str,
    as_json: bool,
) -> None:
    """Explain a rule or a text's verdict by the rules of PATH, or of the pack `base`; or a decision of the audit.

    With the id of a rule: where each of its fields comes from, who looks for it and from which score, and what else
    there is to know. With a text: why it is judged so, stage by stage, and what would have had to be otherwise; with
    both, the same with that rule looked at closely. With the id of a decision (`d_...`): what the audit kept of it;
    with PATH, or with --config by the rules that the server's settings name, also which pattern hit, and where its
    texts were kept, why they are judged so.
    """
    from rules.load import load
    from rules.text import is_language

    if not is_language(lang):
        raise WardlawError(f"unknown language tag {quoted(lang)}", "write it as `en`, `zh` or `zh-TW`")
    exchange = _exchange(text, prompt, response, jsonl_row)
    decision, about, paths = _meant(named, about, has_text=exchange is not None)
    found = None if decision is None else _found(decision, database, folder)
    told: tuple[dict[str, Any], str]
    if found is not None:
        from server.cli.rules._explain_decision import explained, explained_as_kept

        paths = paths or _audit.rules_of(found.constitution)
        if paths:
            loaded = load(*paths)
            about = tuple(_known(loaded, rule, paths) for rule in about)
            told = explained(found, loaded, about, chosen, lang)
        elif about:
            hint = "name their files after the decision, or the server's settings with `--config`"
            raise WardlawError(f"no rules are named, to look among for {listed(about)}", hint)
        else:
            told = explained_as_kept(found)
        _print(told, as_json)
        return
    paths = paths or ("base",)
    loaded = load(*paths)
    about = tuple(_known(loaded, rule, paths) for rule in about)
    _print(
        _rules(loaded, about, chosen, lang) if exchange is None else _text(exchange, loaded, about, chosen, lang),
        as_json,
    )


def _print(told: tuple[dict[str, Any], str], as_json: bool) -> None:
    if as_json:
        from server.cli.gate._projection import dump

        click.echo(dump(told[0], indent=2))
    else:
        click.echo(told[1])


def _meant(
    named: tuple[str, ...], about: tuple[str, ...], *, has_text: bool
) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """The decision, the rules and the paths that the arguments name.

    Raises:
        UsageError: there is nothing to explain, or too much.
    """
    if named and named[0].startswith(_DECISION) and not _is_path(named[0]):
        if has_text:
            raise click.UsageError("a decision and a text were given\n  hint: give one of the two")
        return named[0], about, named[1:]
    if named and not (_is_path(named[0]) and (has_text or about)):
        about, named = (named[0], *about), named[1:]
    if not about and not has_text:
        raise click.UsageError("there is nothing to explain\n  hint: name a rule, a decision `d_...`, or give --text")
    return None, tuple(dict.fromkeys(about)), named


def _is_path(name: str) -> bool:
    from rules.files import packs

    return name in packs() or os.path.lexists(name)  # Path would raise on a name that is too long


def _known(loaded: Loaded, rule_id: str, paths: tuple[str, ...]) -> str:
    from server.cli.rules._ids import named_rule

    try:
        return named_rule(loaded, rule_id, paths).id
    except WardlawError as error:
        if not _is_path(rule_id):
            raise
        hint = f"name a rule before it: `wardlaw rules explain RULE_ID {rule_id}`"
        hint += f"; `wardlaw rules list {rule_id}` lists them"
        raise WardlawError(f"no rule {quoted(rule_id)} in {listed(paths)}", hint) from error


def _exchange(text: str | None, prompt: str | None, response: str | None, row: str | None) -> Exchange | None:
    """What is to be judged; None where nothing is.

    Raises:
        UsageError: more than one thing is given.
        WardlawError: a text is empty, or a row cannot be read.
    """
    given = {"--text": text, "--prompt": prompt, "--jsonl-row": row}
    there = [name for name, value in given.items() if value is not None]
    if len(there) > 1 or (row is not None and response is not None):
        named = " and ".join(f"`{name}`" for name in [*there, *(["--response"] if response is not None else [])])
        raise click.UsageError(f"{named} were given\n  hint: give one text: --text, --prompt, or a row of a file")
    from guard.exchange import Exchange, Message

    if row is not None:
        return _row(row)
    asked = _stdin() if text == "-" else prompt if text is None else text
    for name, value in (("--text" if text is not None else "--prompt", asked), ("--response", response)):
        if value is not None and not value.strip():
            raise WardlawError(f"`{name}` is empty", "give the text that was judged; `--text -` reads standard input")
    if asked is None and response is None:
        return None
    return Exchange((Message("assistant", response or ""),)) if asked is None else Exchange.of(asked, response)


def _stdin() -> str:
    import sys

    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WardlawError("standard input is not UTF-8 text", "the gate judges text: convert it with iconv") from error


def _row(given: str) -> Exchange:
    from guard.training.sets import as_line, read_raw

    name, _, line = given.rpartition(":")
    if not name or not line.isdigit():
        raise WardlawError(f"`--jsonl-row` is no line of a file: {quoted(given)}", "write it as `rows.jsonl:17`")
    last = 0
    for number, fields in read_raw(Path(name)):
        last = number
        if number == int(line):
            if isinstance(fields, Exception):
                raise fields
            exchange = as_line(Path(name), number, fields).exchange
            if not exchange.text.strip():
                raise WardlawError(f"{name}:{number}: the text is empty", "name a row with a text")
            return exchange
    raise WardlawError(f"`{name}` has no row at line {line}", f"its last row is at line {last}; blank lines are none")


def _rules(loaded: Loaded, about: tuple[str, ...], chosen: _options.Chosen, lang: str) -> tuple[dict[str, Any], str]:
    from server.cli.rules._explain_rule import as_dict, facts_of, page

    with _options.build_gate(chosen, loaded.constitution) as gate:
        facts = [facts_of(gate, loaded, loaded.constitution.rule(rule)) for rule in about]
    told = [as_dict(each, lang) for each in facts]
    return (told[0] if len(told) == 1 else {"rules": told}), "\n\n".join(page(each, lang) for each in facts)


def _text(
    exchange: Exchange, loaded: Loaded, about: tuple[str, ...], chosen: _options.Chosen, lang: str
) -> tuple[dict[str, Any], str]:
    from guard.explaining.explanation import explain
    from server.cli.rules._explain_json import as_dict
    from server.cli.rules._explain_text import page

    with _options.build_gate(chosen, loaded.constitution) as gate:
        why = explain(gate, exchange, about)
    return as_dict(why, loaded, lang), page(why, loaded, lang)


def _found(decision: str, database: str, folder: Path) -> Found:
    from server.audit.query import Decisions
    from server.cli.audit.show import one

    with _audit.opened(database, folder) as opened:
        return one(Decisions(opened), decision)
