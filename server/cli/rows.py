"""Page through the rows of a run, accepted and rejected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.cli._printable import printable

if TYPE_CHECKING:
    from constitution.row import Row
    from constitution.rows import Rows


@click.command("rows", short_help="page through a run's rows and rejects")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--status", type=click.Choice(["accepted", "rejected"]), help="Only these.")
@click.option("--rule", help="Only rows in which this rule came up.")
@click.option("--reason", help="Only rows rejected for this reason.")
@click.option("--id", "row_id", help="Only the row whose id begins so.")
@click.option("-n", "--limit", type=click.IntRange(1), help="Most rows to show.")
@click.option("--json", "as_json", is_flag=True, help="The whole rows, one JSON object a line.")
@click.option("--reasons", is_flag=True, help="Only count the rows by status and reason.")
def command(
    folder: Path,
    status: str | None,
    rule: str | None,
    reason: str | None,
    row_id: str | None,
    limit: int | None,
    as_json: bool,
    reasons: bool,
) -> None:
    """Page through the rows that `wardlaw generate` kept in FOLDER, also while it is at work.

    `gate 0.95` is the highest score, from 0 to 1, that the gate gave a text for any rule.

    Exit codes: 0 done, 1 no such row, 2 an error.
    """
    from constitution.rows import open_rows

    with closing(open_rows(folder)) as store:
        if reasons:
            _count(store, status, as_json=as_json)
            return
        rows = islice(store.rows(status=status, reason=reason, rule=rule, row=row_id), limit)
        first = next(rows, None)
        if first is None:
            _tell_none(store, folder, rule, reason)
            raise SystemExit(1)
        texts = (row.model_dump_json() + "\n" if as_json else _shown(row) for row in _again(first, rows))
        if as_json:
            for text in texts:
                click.echo(text, nl=False)
        else:
            click.echo_via_pager(texts)


def _count(store: Rows, status: str | None, *, as_json: bool) -> None:
    """How many rows there are, and why the rejected ones are."""
    counts, reasons = store.counts(), store.reasons()
    if as_json:
        found = {"accepted": counts.accepted, "rejected": counts.rejected, "reasons": reasons}
        left_out = {None: (), "accepted": ("rejected", "reasons"), "rejected": ("accepted",)}[status]
        found = {name: value for name, value in found.items() if name not in left_out}
        click.echo(json.dumps(found if status else {**found, "put_aside": counts.failed}))
        return
    if status != "rejected":
        click.echo(f"accepted {counts.accepted}")
    if status != "accepted":
        click.echo(f"rejected {counts.rejected}")
        for why, count in reasons.items():
            click.echo(f"  {why} {count}")
    if counts.failed and status is None:
        click.echo(f"put aside {counts.failed}")
        for failed, source, error in store.failures()[:20]:
            click.echo(f"  {failed} {source.file}:{source.line}: {printable(error)}")


def _tell_none(store: Rows, folder: Path, rule: str | None, reason: str | None) -> None:
    """Say that no row was found, and what could have been asked for."""
    from rules.words import did_you_mean, listed

    hint = "ask for less: every option narrows the choice"
    rules, reasons = store.rules(), store.reasons()
    if rule is not None and rule not in rules:
        near = did_you_mean(rule, rules)
        hint = f"{near} the rules there are {listed(rules)}" if rules and "did you" in near else near
    elif reason is not None and reason not in reasons:
        hint = f"the reasons of rejection there are {listed(reasons) or 'none'}"
    click.echo(f"{click.style('error:', fg='red', bold=True)} no such row in `{folder}`\n  hint: {hint}", err=True)


def _again(first: Row, rest: Iterable[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _shown(row: Row) -> str:
    """One row for a terminal."""
    bold = {"bold": True}
    head = f"{row.id}  {printable(row.source.file)}:{row.source.line}"
    colour = "green" if row.status == "accepted" else "red"
    lines = [click.style(head, **bold) + "  " + click.style(row.status, fg=colour)]
    if row.rejection:
        why = f"  {row.rejection.stage}: {row.rejection.reason}: {printable(row.rejection.detail)}"
        lines.append(click.style(why, fg="red"))
    lines += [_part(said.role, said.content) for said in row.prompt]
    if row.answer is not None:
        lines.append(_part("first answer", row.answer, row.score_answer))
    for number, round_ in enumerate(row.rounds, 1):
        lines.append(_part(f"round {number}, {round_.rule}", f"{round_.critique.verdict}: {round_.critique.problem}"))
        lines += [f'      "{printable(quote)}"' for quote in round_.critique.quotes]
        if round_.revision is not None:
            lines.append(_part("revision", round_.revision, round_.score_after))
    if row.rationale:
        lines.append(_part("rationale", row.rationale))
    tokens = row.tokens
    lines.append(click.style(f"  {len(row.calls)} calls, {tokens.prompt} tokens in, {tokens.completion} out", dim=True))
    return "\n".join(lines) + "\n\n"


def _part(name: str, text: str, score: float | None = None) -> str:
    # Exactly 0 is what stands where no detector gave a score.
    label = f"{name}, gate {score:.2f}" if score else name
    body = "\n".join(f"    {line}" for line in printable(text).splitlines() or [""])
    return f"  {click.style(label, fg='cyan')}\n{body}"
