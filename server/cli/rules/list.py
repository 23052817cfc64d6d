"""`wardlaw rules list`: the packs that ship, or the rules of packs and files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError

if TYPE_CHECKING:
    from rules.schema import Rule

_WIDTH = 170
_PACK = ("pack", "title", "rules", "is for")
_RULE = ("rule", "title", "severity", "leads to", "looked for by", "mode")


@click.command("list", short_help="list the packs that ship, or the rules of packs and files")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--lang", default="en", show_default=True, help="Language of the titles, as `zh`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(paths: tuple[str, ...], lang: str, as_json: bool) -> None:
    """List the rules of PATH, each a pack or a file; without PATH the packs that ship."""
    from rules.text import is_language
    from rules.words import quoted

    if not is_language(lang):
        raise WardlawError(f"unknown language tag {quoted(lang)}", "write it as `en`, `zh` or `zh-TW`")
    told = _rules(paths, lang) if paths else _packs(lang)
    if as_json:
        import orjson

        for each in told:
            click.echo(orjson.dumps(each).decode())
    elif paths:
        _table(_RULE, ((r["id"], r["title"], r["severity"], _leads_to(r), _by(r), r["mode"]) for r in told))
    else:
        _table(_PACK, ((p["name"], p["title"], f"{p['rules']:,}", p["for"]) for p in told))


def _packs(lang: str) -> list[dict[str, Any]]:
    from rules.files import packs
    from rules.load import load
    from server.pages.pack import purpose

    found = {name: load(name).constitution for name in packs()}
    return [
        {"name": name, "title": pack.title.say(lang), "rules": len(pack), "for": purpose(name)}
        for name, pack in found.items()
    ]


def _rules(paths: Sequence[str], lang: str) -> list[dict[str, Any]]:
    from rules.load import load

    return [_told(rule, lang) for rule in load(*paths).constitution]


def _told(rule: Rule, lang: str) -> dict[str, Any]:
    detect = rule.detect
    return {
        "id": rule.id,
        "title": rule.title.say(lang),
        "severity": str(rule.severity),
        "actions": {str(part): str(rule.action(part)) for part in rule.watches} if detect else {},
        "patterns": len(detect.patterns) if detect else 0,
        "hidden": list(map(str, detect.hidden)) if detect else [],
        "meaning": detect is not None and detect.meaning is not None,
        "judge": str(detect.judge.when) if detect else None,
        "mode": rule.mode,
    }


def _leads_to(told: dict[str, Any]) -> str:
    """The actions; those that parts have in common are told once."""
    parts: dict[str, list[str]] = {}
    for part, action in told["actions"].items():
        parts.setdefault(action, []).append(part)
    return "; ".join(f"{action} ({', '.join(of)})" for action, of in parts.items())


def _by(told: dict[str, Any]) -> str:
    """The stages that look for a rule."""
    from server.cli._summary import counted

    if told["judge"] is None:
        return "nothing"
    stages = [
        counted(told["patterns"], "pattern") if told["patterns"] else "",
        "hidden characters" if told["hidden"] else "",
        "meaning" if told["meaning"] else "",
        f"judge ({told['judge']})" if told["judge"] != "never" else "",
    ]
    return ", ".join(filter(None, stages)) or "nothing"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from server.cli._printable import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if name == "rules" else "left", no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    width = None if sys.stdout.isatty() else _WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
