"""Measure a model by the criteria of the field: one table and one report, each figure with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli._model_options import (
    applied,
    budget_option,
    concurrency_option,
    encoder_of,
    encoder_option,
    json_option,
    out_option,
    quiet_option,
    rules_option,
    seed_option,
    usage_error,
)
from server.cli._sections import Sectioned

if TYPE_CHECKING:
    from constitution.evaluating.evaluation import Evaluated, Evaluation
    from constitution.evaluating.settings import Settings

_SECTIONS = {
    "What is measured": ("criteria", "rules", "prompts", "data", "limit", "list_them"),
    "Models": ("judge", "questions", "encoder", "system", "temperature", "top_p", "max_tokens", "samples", "seed"),
    "Output": ("out", "compare", "fail_on", "parquet", "as_json", "anew"),
    "Run": ("max_tokens_total", "concurrency", "quiet"),
}
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def _names(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names given several times, or joined by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


@click.command("evaluate", cls=Sectioned, sections=_SECTIONS, short_help="measure a model: safety, bias, honesty, help")
@click.argument("model", required=False, metavar="MODEL")
@click.option(
    "--criteria",
    multiple=True,
    default=("all",),
    show_default=True,
    callback=_names,
    metavar="NAME[,NAME]",
    help="What to measure; `--list` shows what there is.",
)
@click.option("--list", "list_them", is_flag=True, help="Print the criteria with what each needs, and end.")
@rules_option()
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="More prompts for the rules: `probes.jsonl`, `redteam export --format prompts`, or JSONL of `rule`, `prompt`.",
)
@click.option("--data", type=_FOLDER, metavar="DIR", help="Labelled sets, as `xstest.jsonl.gz`; see docs/evaluate.md.")
@click.option("--limit", type=click.IntRange(1), help="Most items a criterion.  [default: all]")
@click.option("--judge", metavar="MODEL", help="A model that judges answers; best not the one that is measured.")
@click.option(
    "--questions",
    type=_FOLDER,
    metavar="DIR",
    help="What the judge is asked; a copy of constitution/evaluating/questions, edited.  [default: those that ship]",
)
@encoder_option("Of the gate", none=", which leaves meaning out")
@click.option("--system", default="", metavar="TEXT", help="System message of every question.")
@click.option("--temperature", type=click.FloatRange(0, 5), default=0.0, show_default=True, help="Of answers.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, help="Of answers.")
@click.option("--max-tokens", type=click.IntRange(1), default=400, show_default=True, help="Of an answer.")
@click.option(
    "--samples",
    type=click.IntRange(2, 64),
    default=4,
    show_default=True,
    help="Answers a prompt where a criterion draws several.",
)
@seed_option()
@out_option("evaluation")
@click.option(
    "--compare", type=_FOLDER, metavar="DIR", help="The --out of an earlier evaluation, to stand beside this."
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="NAME[.FIGURE]=VALUE",
    help="Exit with 1 where a criterion's figure (the first one, or the one named) is worse, as `over-refusal=10%`.",
)
@click.option("--parquet", is_flag=True, help="The items as Parquet.  [default: JSON lines]")
@click.option("--anew", is_flag=True, help="Write the report of a folder anew that was made otherwise.")
@json_option("Print the report as JSON.")
@quiet_option()
def command(model: str | None, list_them: bool, **given: Any) -> int:
    """Ask MODEL, judge what it answers, and say how it does by each criterion.

    MODEL is any model of docs/models.md, or the address of an endpoint, as `http://127.0.0.1:8080/v1#name`: a guard's
    own too, whose withheld answers are told from refusals. What the gate judges needs no more; --judge adds what only
    a model can judge, each with the judge's own reliability, and what could not be run is told with its reason.
    Stop it when you like: the same command goes on where it was.

    Exit codes: 0 done, 1 a bound of --fail-on is broken, or items or a criterion named could not be finished, 2 an
    error, 3 the token budget is spent, 130 stopped.
    """
    if list_them:
        from server.cli._evaluation_told import list_criteria

        list_criteria(as_json=given["as_json"])
        return 0
    if model is None:
        raise click.UsageError("no model: name one, as `wardlaw evaluate embedded --limit 3` for a first look")
    from constitution.evaluating.evaluation import Evaluation
    from rules.load import load
    from server.cli._evaluation import bounds_of, broken_bounds, progress_line, shown
    from server.cli._evaluation_told import tell
    from server.cli._running import note_failed, note_spent, run

    quiet, as_json, fail_on = given.pop("quiet"), given.pop("as_json"), given.pop("fail_on")
    constitution = load(*given.pop("rules")).constitution
    evaluation = Evaluation(_settings(model, given), constitution)
    bounds = bounds_of(fail_on, evaluation.criteria)
    evaluated = run(
        evaluation.run(),
        shown(lambda: progress_line(evaluation), quiet=quiet),
        evaluation.settings.out,
        kept=lambda: f"{evaluation.meter.calls:,} calls of this run are kept",
        worth=lambda: evaluation.meter.calls,
    )
    tell(evaluation, evaluated, as_json=as_json)
    if code := note_spent(evaluated.spent):
        return code
    broken = broken_bounds(bounds, evaluated.report)
    for what in broken:
        click.echo(f"fail: {what}", err=True)
    if evaluation.progress.failed:
        return note_failed(_items(evaluation.progress.failed), evaluation.progress.last_failure)
    return int(bool(broken) or _named_and_not_run(evaluation, evaluated))


command = applied(
    command,
    (
        budget_option(),
        concurrency_option("Items at work at once.  [default: 16; 4 where every model runs in this process]"),
    ),
)


def _settings(model: str, given: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from constitution.evaluating.settings import Settings

    given["encoder"] = encoder_of(given["encoder"])
    try:
        return Settings(model=model, **given)
    except ValidationError as error:
        raise usage_error(error) from error


def _items(count: int) -> str:
    from server.cli._summary import counted

    return counted(count, "item")


def _named_and_not_run(evaluation: Evaluation, evaluated: Evaluated) -> bool:
    """Whether a criterion that was asked for by its name was not measured; of `all`, what cannot be is only told."""
    return "all" not in evaluation.settings.criteria and bool(evaluated.report.not_run)
