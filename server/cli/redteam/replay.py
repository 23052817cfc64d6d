"""`wardlaw redteam replay`: every find through a gate, a guard or a model again."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from server.cli._sections import Sectioned
from server.cli.gate import _options as gate_options
from server.cli.redteam import _options

if TYPE_CHECKING:
    from guard.gate import Gate
    from guard.ledger.outcomes import Column, Outcome, Replay
    from guard.ledger.replay import Answer
    from guard.ledger.state import Entry
    from rules.schema import Constitution

_SECTIONS = {
    "Against what": ("rules", "model", "url", "guarded", "samples", "temperature", "max_tokens", "seed", "concurrency"),
    "How judged": (*gate_options.SECTION[1:], "own"),
    "Which finds": _options.FILTERS,
    "Output": ("form", "as_json", "markdown", "limit", "hold_out", "fail_on", "record", "by", "ledger", "quiet"),
}


@click.command("replay", cls=Sectioned, sections=_SECTIONS, short_help="run every find through a gate or model again")
@click.option(
    "-r",
    "--rules",
    multiple=True,
    default=("base",),
    show_default=True,
    metavar="PACK|FILE|REVISION:PATH",
    help="A pack, a file, or one as git has it: `HEAD~5:rules.yaml`. Several make columns, the last one is today.",
)
@click.option("--model", metavar="MODEL", help="Ask this model anew, as in `wardlaw generate`, and judge its answers.")
@click.option("--url", metavar="URL#NAME", help="The same with an OpenAI-compatible server, also a guarded one.")
@click.option("--guarded", is_flag=True, help="With --model or --url: with a guard of the rules round it, in process.")
@click.option("--samples", type=click.IntRange(1, 100), default=1, show_default=True, help="Answers a find.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.7, show_default=True, help="Of the model.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=512, show_default=True, help="Of an answer.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the first sample; each next one's is one more."
)
@click.option("--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="Finds asked at once.")
@click.option("--own", is_flag=True, help="Let only a find's own rules count: elsewise any rule that finds it does.")
@gate_options.model_options
@_options.filter_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", is_flag=True, help="Print Markdown, fit for a comment under a pull request.")
@click.option("-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Finds to list of each.")
@click.option(
    "--hold-out",
    callback=lambda context, option, text: None if text is None else gate_options.percentage(context, option, text),
    metavar="PERCENT",
    help="Tell of those apart that `export --hold-out` left out.",
)
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["regressed", "open", "failed"]),
    help="Exit with 1 where there are some; may be given several times.",
)
@click.option("--record", is_flag=True, help="Write the outcome into the ledger: what is fixed, and what came back.")
@_options.by_option
@_options.ledger_option
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    rules: tuple[str, ...],
    model: str | None,
    url: str | None,
    guarded: bool,
    samples: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    concurrency: int,
    own: bool,
    chosen: gate_options.Chosen,
    as_json: bool,
    markdown: bool,
    limit: int,
    hold_out: float | None,
    fail_on: tuple[str, ...],
    record: bool,
    by: str | None,
    ledger: Path,
    quiet: bool,
    **given: Any,
) -> int:
    """Run finds again, and say which are fixed, which still open, and which came back.

    Without --model or --url, each text is given to the gate as it stands. With one, the model is asked anew, and its
    answers are judged by the gate: where the gate passes the recorded answer as well, its word proves nothing, and the
    find counts as unsure; --judge helps.

    With --record, open finds that hold under the last rules are fixed from now on, and fixed ones that break are open:
    those recorded by text in a replay of a gate, those to be asked anew in a replay of a model.

    Exit codes: 0 done; 1 what --fail-on names has happened; 2 an error.
    """
    if model is not None and url is not None:
        raise click.UsageError("give one of --model, --url")
    if guarded and model is None and url is None:
        raise click.UsageError("--guarded goes with --model or --url\n  hint: a gate alone is replayed without it")
    if as_json and markdown:
        raise click.UsageError("give one of --json, --markdown")
    from guard.ledger.outcomes import Replay
    from server.cli.rules._versions import read_version

    _, _, entries = _options.meant(ledger, given)
    versions = [read_version(each) for each in rules]
    _tell_unknown(entries, versions[-1].constitution, rules[-1])
    asked = model if model is not None else f"openai:{url.removeprefix('openai:')}" if url is not None else None
    drawing = {"temperature": temperature, "max_tokens": max_tokens, "seed": seed}
    columns: list[Column] = []
    drawn: dict[str, list[Answer]] | None = None
    identity: str | None = None
    for version in versions:
        with ExitStack() as stack:
            gate = stack.enter_context(gate_options.build_gate(chosen, version.constitution))
            if asked is None:
                outcomes = _judged(entries, gate, own, quiet)
            else:
                if drawn is None or guarded:  # an unguarded model says the same, whichever rules judge it
                    drawn, identity = _drawn(
                        entries, asked, gate, drawing, samples, concurrency, quiet, guarded=guarded
                    )
                outcomes = _answers_judged(entries, drawn, gate, own)
            kind: Literal["gate", "model", "guard"] = "gate" if asked is None else "guard" if guarded else "model"
            columns.append(_column(kind, version.name, version.constitution, gate, (identity, samples), outcomes))
    replay = Replay(tuple(entries), tuple(columns), hold_out or 0.0)
    if record:
        _record(ledger, replay, _options.me(by))
    _show(replay, as_json, markdown, limit)
    changes = replay.changes()
    happened = {
        "regressed": bool(replay.regressed()),
        "open": bool(changes["open"] or changes["regressed"]),
        "failed": bool(changes["failed"]),
    }
    return int(any(happened[name] for name in fail_on))


def _tell_unknown(entries: list[Entry], constitution: Constitution, name: str) -> None:
    """Say which rules of finds are not in force: finds of them can only be found by others."""
    from rules.words import did_you_mean, quoted

    ids = {rule.id for rule in constitution}
    gone = sorted({rule for entry in entries for rule in entry.rules} - ids)
    if gone:
        more = f" and {len(gone) - 1} more rules of finds are" if len(gone) > 1 else " is"
        hint = did_you_mean(gone[0], ids, "the finds count as found where any other rule finds them")
        click.echo(f"note: {quoted(gone[0])}{more} not in `{name}`\n  hint: {hint}", err=True)


def _judged(entries: list[Entry], gate: Gate, own: bool, quiet: bool) -> dict[str, Outcome]:
    from guard.ledger.replay import judge
    from server.cli._bar import counting

    with counting("finds", len(entries), quiet=quiet) as advance:
        return judge(entries, gate, advance, own=own)


def _drawn(
    entries: list[Entry],
    name: str,
    gate: Gate,
    drawing: dict[str, Any],
    samples: int,
    concurrency: int,
    quiet: bool,
    *,
    guarded: bool,
) -> tuple[dict[str, list[Answer]], str]:
    from guard.guard import Guard
    from guard.ledger.replay import asks_guard, asks_model, draw
    from guard.models import open_model
    from guard.models.base import Sampling
    from server.cli._bar import counting

    async def run() -> tuple[dict[str, list[Answer]], str]:
        model = open_model(name, concurrency=concurrency)
        try:
            asks = asks_guard(Guard(gate, model=model)) if guarded else asks_model(model)
            with counting("finds asked", len(entries), quiet=quiet) as advance:
                sampling = Sampling(**drawing)
                drawn = await draw(entries, asks, advance, sampling=sampling, samples=samples, concurrency=concurrency)
            return drawn, model.identity
        finally:
            await model.close()

    return asyncio.run(run())


def _answers_judged(entries: list[Entry], drawn: dict[str, list[Answer]], gate: Gate, own: bool) -> dict[str, Outcome]:
    from constitution.checks import is_evasive
    from constitution.templates import TemplateSet
    from guard.ledger.replay import judge_answers

    templates = TemplateSet.read().by_language.values()
    return judge_answers(
        entries,
        drawn,
        gate,
        lambda text: any(is_evasive(text, each) is not None for each in templates),
        own=own,
    )


def _column(
    kind: Literal["gate", "model", "guard"],
    name: str,
    constitution: Constitution,
    gate: Gate,
    about: tuple[str | None, int],
    outcomes: dict[str, Outcome],
) -> Column:
    from guard.ledger.events import Target
    from guard.ledger.outcomes import Column
    from rules.digest import constitution_digest

    identity, samples = about
    target = Target(
        kind=kind,
        name=name,
        constitution=constitution_digest(constitution),
        gate=gate.identity,
        model=identity,
        samples=samples,
    )
    return Column(target, outcomes)


def _record(ledger: Path, replay: Replay, by: str) -> None:
    """Write an event a column."""
    from guard.ledger.events import Replayed, now
    from guard.ledger.file import append
    from guard.ledger.outcomes import STATES

    events = []
    for column in replay.columns:
        named = {
            state: tuple(name for name, outcome in column.outcomes.items() if outcome.state == state)
            for state in STATES
        }
        today = column is replay.today
        events.append(Replayed(at=now(), by=by, target=column.target, settles=today, **named))
    append(ledger, events)


def _show(replay: Replay, as_json: bool, markdown: bool, limit: int) -> None:
    from server.cli.redteam import _replay_told

    if as_json:
        from server.cli.gate._projection import dump

        click.echo(dump(_replay_told.as_dict(replay), indent=2))
    elif markdown:
        click.echo(_replay_told.as_markdown(replay, limit).rstrip("\n"))
    else:
        _replay_told.show(replay, limit)
