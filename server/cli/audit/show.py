"""`wardlaw audit show`: one decision with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli.audit import _options

if TYPE_CHECKING:
    from rules.schema import Constitution
    from server.audit.feedback import Feedback
    from server.audit.query import Decisions, Found


@click.command("show", short_help="show one decision with its reasons")
@click.argument("decision", metavar="ID")
@_options.where_options
@click.option(
    "-r",
    "--rules",
    multiple=True,
    metavar="PACK|FILE|FOLDER",
    help="The rules it was made by: their titles and reasons are shown too.",
)
@click.option("--lang", default="en", show_default=True, help="Language of the rules' titles and reasons.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(decision: str, database: str, folder: Path, rules: tuple[str, ...], lang: str, as_json: bool) -> None:
    """Show one decision: what was done, which rules were found broken, where, and by which detector.

    ID may be the beginning of an id, where no other begins so.
    """
    from server.audit.feedback import FeedbackStore
    from server.audit.query import Decisions

    constitution = None
    if rules:
        from rules.load import load

        constitution = load(*rules).constitution
    with _options.opened(database, folder) as opened:
        found = one(Decisions(opened), decision)
        said = FeedbackStore(opened).of(found.id)
    if as_json:
        import orjson

        from server.audit.query import as_json as told

        everything = {**told(found), "feedback": said}
        click.echo(orjson.dumps(everything, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n".join(_lines(found, said, constitution, lang)))


def one(decisions: Decisions, decision: str) -> Found:
    """The decision of an id, or of the beginning of one.

    Raises:
        UnknownDecision: there is none, or several begin so.
    """
    from server.audit.query import UnknownDecision

    found = decisions.one(decision)
    if found is None:
        near = decisions.near(decision) if len(decision) >= 4 else []
        found = decisions.one(near[0]) if len(near) == 1 else None
        if found is None:
            raise UnknownDecision(decision, near)
    return found


def _lines(found: Found, said: list[Feedback], constitution: Constitution | None, lang: str) -> Iterator[str]:
    from datetime import datetime

    from server.cli._printable import printable

    when = datetime.fromtimestamp(found.at).astimezone().isoformat(" ", "milliseconds")
    yield click.style(f"{printable(found.id)}  {found.action}", bold=True)
    yield click.style(f"{when} · {found.api} · constitution {found.constitution}, digest {found.digest}", dim=True)
    facts = {
        "model": found.model,
        "key": found.key,
        "mode": found.mode if found.mode == "enforce" else f"{found.mode}: would {found.would}",
        "state": found.state,
        "status": str(found.status) + (f", {found.fault}" if found.fault else ""),
        "streamed": "yes" if found.streamed else "no",
        "took": _took(found),
        "rounds of revision": str(found.rounds or ""),
        "further draws": str(found.drawn or ""),
        "not mended": found.amend,
        "not shown to the model": ", ".join(found.withheld),
    }
    yield from (f"  {name}: {printable(value)}" for name, value in facts.items() if value)
    yield from _section("rules broken", _rules(found, constitution, lang))
    yield from _section("findings", [printable(_finding(each)) for each in found.findings])
    yield from _section("candidate", [printable(line) for line in beside(found)])
    yield from _section("coverage", [printable(line) for line in coverage(found)])
    yield from _section("stages", [f"{name}: {ms:.2f} ms" for name, ms in found.ms.items()])
    yield from _section("texts", [printable(line) for line in _texts(found.content)])
    yield from _section("feedback", [printable(_said(each)) for each in said])


def _section(heading: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield click.style(heading, fg="cyan")
        yield from (f"  {line}" for line in lines)


def _took(found: Found) -> str:
    first = "" if found.first_s is None else f", first text after {1000 * found.first_s:.0f} ms"
    return f"{1000 * found.seconds:.0f} ms, of which upstream {1000 * found.upstream_s:.0f} ms{first}"


def _rules(found: Found, constitution: Constitution | None, lang: str) -> list[str]:
    from rules.digest import constitution_digest

    if constitution is None:
        return list(found.rules)
    by_id = {rule.id: rule for rule in constitution}
    lines = []
    if found.rules and constitution_digest(constitution) != found.digest:
        lines.append("(the rules have changed since, or are others: this is what they say now)")
    for rule in found.rules:
        known = by_id.get(rule)
        lines.append(f"{rule}: {known.title.say(lang)}" if known else f"{rule}: not among these rules")
        if known:
            lines.append(f"  {known.why.say(lang)}")
    return lines


def _finding(finding: dict[str, Any]) -> str:
    start, end = finding["span"]
    kind = "probability" if finding["calibrated"] else "score"
    line = (
        f"{finding['rule']} in {finding['where']} ({finding['part']}), characters {start} to {end}, by"
        f" {finding['detector']}: {kind} {finding['score']:.3f}, threshold {finding['threshold']:.3f}"
    )
    line += "" if finding["view"] == "raw" else f", seen as {finding['view']}"
    line += "" if finding["enforced"] else ", only recorded"
    line += f": {finding['excerpt']}" if finding.get("excerpt") else ""
    return line + (f" ({finding['reason']})" if finding.get("reason") else "")


def beside(found: Found) -> Iterator[str]:
    """What the rules in force and the candidate say to the same texts."""
    beside = found.shadow
    if beside is None:
        return
    acted = beside["enforced"]
    for side, name in (("base", "in force"), ("candidate", "candidate")):
        verdict = _outcome(beside[side])
        yield f"{name} {beside[side]['digest']}: {verdict}{', which acted' if side == acted else ''}"
    if beside["degraded"]:
        yield "a detector failed: the two are not compared"
    elif not beside["flip"]:
        yield "they agree"
    else:
        yield f"the candidate judges otherwise: {beside['flip']}"
        for place in beside["places"]:
            was, now = _outcome(place["base"]), _outcome(place["candidate"])
            yield f"  {place['where']} ({place['part']}): in force {was}; candidate {now}"


def _outcome(told: dict[str, Any]) -> str:
    rules = ", ".join(f"{rule} {score:.3f}" for rule, score in told["rules"].items())
    return f"{told['action']} ({rules})" if rules else str(told["action"])


def coverage(found: Found) -> Iterator[str]:
    """What was looked for, what failed, and what could not be looked at: a line each."""
    told = found.coverage
    for detector, rules in told.get("scanned", {}).items():
        if rules:
            yield f"{detector} looked for {len(rules)} rule{'' if len(rules) == 1 else 's'}"
    for what, kind in (("failed", "degraded"), ("left something out", "partial")):
        for detector, why in told.get(kind, {}).items():
            yield f"{detector} {what}: {why}"
    for rule, why in told.get("not_scanned", {}).items():
        yield f"no detector looked for {rule}: {why}"
    for each in found.unscannable:
        yield f"cannot be scanned: {each['what']} in {each['where']}"


def _texts(content: dict[str, Any] | None) -> Iterator[str]:
    for each in [*content["prompt"], *content["answers"]] if content else []:
        kept = each["text"] if "text" in each else f"hash {each['hash']}, {each['characters']} characters"
        yield f"{each['where']}{' ' + each['role'] if 'role' in each else ''}: {kept}"


def _said(feedback: Feedback) -> str:
    parts = [feedback.label, feedback.part, feedback.rule, feedback.reviewer and f"by {feedback.reviewer}"]
    line = ", ".join(part for part in parts if part)
    return f"{line}: {feedback.comment}" if feedback.comment else line
