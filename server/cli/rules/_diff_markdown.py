"""A comparison of rules as Markdown, to be posted under a pull request.

What a user or a stranger wrote stands in `<code>` with all that Markdown, HTML and a forge could obey written as
character references: it can neither break the page nor name a person, an issue or a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guard.flips import Flip
from rules.diff import Change, Diff
from server.cli._printable import printable
from server.cli._summary import counted
from server.cli.rules._figures import REACHES, beside, headline, not_replayed, outcome, percent
from server.cli.rules._report import Replayed, Report

_TEXT = 200
_LENGTH = 60_000
"""Characters of a comment; the forges take 65,536."""
_SHARE = {"changes": 20_000, "flips": 25_000, "rules": 10_000}
_PLAIN = frozenset(" ,.?'-/;+=%")
_FEW = 12
"""Lines of a table from which on it is folded away."""


def as_markdown(report: Report) -> str:
    """The whole comment, within what a forge takes."""
    text = "\n".join(_lines(report)) + "\n"
    return text if len(text) <= _LENGTH else text[:_LENGTH].rpartition("\n")[0] + "\n\n... cut off\n"


def code(text: object, most: int = _TEXT) -> str:
    """Anybody's text on one line, as text and nothing else."""
    line = " ".join(printable(str(text)).split())
    line = line if len(line) <= most else line[: most - 3].rstrip() + "..."
    safe = "".join(char if char.isalnum() or char in _PLAIN else f"&#{ord(char)};" for char in line)
    # A name after `@` is broken up as well: references are turned back before a forge looks for names.
    safe = safe.replace("&#64;", "&#64;&#8203;").replace("www.", "www&#46;").replace("WWW.", "WWW&#46;")
    return f"<code>{safe}</code>"


def _words(text: str) -> str:
    """Our own words, in which somebody's text stands between backticks."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # no pair: none of it can be told from what somebody wrote
        return code(text, 2 * _TEXT)
    return "".join(code(piece) if place % 2 else _plain(piece) for place, piece in enumerate(pieces))


def _plain(text: str) -> str:
    text = text.replace("->", "\N{RIGHTWARDS ARROW}")
    safe = "".join(
        char if char.isalnum() or char in _PLAIN or char in ":()\N{RIGHTWARDS ARROW}" else f"&#{ord(char)};"
        for char in text
    )
    return safe.replace("&#64;", "&#64;&#8203;").replace("://", "&#58;//")


def _lines(report: Report) -> Iterator[str]:
    yield f"**{_plain(headline(report))}**"
    yield ""
    yield f"{code(report.old)} \N{RIGHTWARDS ARROW} {code(report.new)}"
    if report.first:
        yield f"\nThere are no rules at {code(report.old)}: all are new."
    if report.diff:
        yield ""
        yield from _changes(report.diff)
    if report.stale_heads:
        yield ""
        named = ", ".join(f"`{rule}`" for rule in report.stale_heads)
        yield f"Words or examples are others now than a trained head was taught by: {named}."
        yield "`wardlaw gate train` teaches them anew."
    if report.replayed is not None:
        yield ""
        yield from _replayed(report.replayed)
        if unchanged := beside(report):
            named = ", ".join(f"`{rule}`" for rule in unchanged)
            yield f"\nDid not change themselves, but are weighed together with those that did: {named}."
    if report.data is not None:
        yield ""
        yield from _data(report)


def _changes(diff: Diff) -> Iterator[str]:
    rows = [_row(f"`{rule.rule}`", rule.kind, change) for rule in diff.rules for change in rule.changes]
    rows += [_row("", "", change) for change in diff.others]
    head = "| rule | | change | can change | where |\n| --- | --- | --- | --- | --- |"
    summary = f"All {len(rows):,} changes" if len(rows) != 1 else "The change"
    yield from _folded(summary, head, rows, _SHARE["changes"])


def _row(rule: str, kind: str, change: Change) -> str:
    asked = ", what a judge says" if change.asked and change.effect != "verdict" else ""
    where = "" if change.where is None else code(change.where)
    return f"| {rule} | {kind} | {_words(change.what)} | {REACHES[change.effect]}{asked} | {where} |"


def _replayed(replayed: Replayed) -> Iterator[str]:
    tally = replayed.tally
    yield f"### On {code(replayed.source)}"
    yield ""
    if notes := list(not_replayed(replayed)):
        yield from (f"- {_words(what)}" + (f" ({_words(hint)})" if hint else "") for what, hint in notes)
        yield ""
    if tally.rows:
        yield "| action | before | now |\n| --- | --- | --- |"
        for action, (old, new) in tally.action_rates().items():
            yield f"| {action} | {percent(old)} | {percent(new)} |"
    if tally.by_rule:
        yield ""
        head = "| rule | stricter | milder | gained | lost |\n| --- | --: | --: | --- | --- |"
        rows = [
            f"| `{rule}` | {counts['stricter']:,} | {counts['milder']:,}"
            f" | {_rate(replayed, rule, 'gained')} | {_rate(replayed, rule, 'lost')} |"
            for rule, counts in tally.ranked()
        ]
        yield from _folded("By rule", head, rows, _SHARE["rules"])
    if replayed.worst:
        yield ""
        head = "| | part | text | before | now |\n| --- | --- | --- | --- | --- |"
        shown = "" if len(replayed.worst) == tally.flips else f" of {tally.flips:,}"
        summary = f"{counted(len(replayed.worst), 'text')}{shown} judged otherwise, worst first"
        yield from _folded(summary, head, [_flip(flip) for flip in replayed.worst], _SHARE["flips"], few=0)


def _rate(replayed: Replayed, rule: str, kind: str) -> str:
    count = replayed.tally.by_rule[rule][kind]
    return f"{count:,}, {percent(replayed.tally.rule_rate(rule, kind))}" if count else "0"


def _flip(flip: Flip) -> str:
    what = f"{flip.direction} {code(flip.id, 60)}"
    return f"| {what} | {flip.part} | {code(flip.text)} | {outcome(flip.old)} | {outcome(flip.new)} |"


def _data(report: Report) -> Iterator[str]:
    data = report.data
    if data is None:
        return
    yield f"### Training rows in {code(report.folder)}"
    yield ""
    rows = counted(data.rows, "row")
    yield f"{data.stale:,} of {rows} depend on changed rules, {data.accepted:,} of them accepted."
    if data.stale:
        yield ""
        yield "| rule | rows |\n| --- | --: |"
        yield from (f"| `{rule}` | {count:,} |" for rule, count in data.rules.most_common())
        yield ""
        calls = counted(data.calls, "model call")
        yield f"{code(f'wardlaw generate --update {report.folder}')} makes these anew: about {calls}. All others stay."


def _folded(summary: str, head: str, rows: Iterable[str], most: int, *, few: int = _FEW) -> Iterator[str]:
    """A table, folded away where it is long; what goes beyond `most` characters is counted."""
    every = list(rows)
    shown, used = [], 0
    for row in every:
        used += len(row) + 1
        if used > most:
            break
        shown.append(row)
    folded = len(every) > few
    if folded:
        yield f"<details><summary>{summary}</summary>\n"
    yield head
    yield from shown
    if len(shown) < len(every):
        yield f"\n... and {len(every) - len(shown):,} more"
    if folded:
        yield "\n</details>"
