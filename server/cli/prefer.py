"""Compare answers by the rules' choice principles: AI feedback with soft labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli._model_options import (
    budget_option,
    check_models,
    concurrency_option,
    json_option,
    out_option,
    quiet_option,
    rules_option,
    seed_option,
    templates_option,
    usage_error,
)
from server.cli._running import note_failed, note_spent, run
from server.cli._sections import Sectioned

if TYPE_CHECKING:
    from constitution.preference.run import Comparison, Preference
    from constitution.preference.settings import Settings

_SECTIONS = {
    "Input": ("rules", "of", "column", "limit", "skip_bad"),
    "Models": ("model", "judge", "answerer", "samples", "temperature", "top_p", "max_tokens"),
    "Comparison": (
        "form",
        "principles",
        "cot",
        "cot_tokens",
        "clamp",
        "votes",
        "join",
        "scale",
        "min_margin",
        "templates",
        "seed",
    ),
    "Output": ("out", "parquet", "licence", "agreement", "as_json"),
    "Run": ("max_tokens_total", "concurrency", "quiet"),
}


@click.command("prefer", cls=Sectioned, sections=_SECTIONS, short_help="compare answers by the rules: soft labels")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
@rules_option("assistant", "The rules whose `choice` questions are asked")
@out_option("preferences")
@click.option(
    "--of",
    type=click.Choice(["revision", "samples"]),
    default="revision",
    show_default=True,
    help="What of the rows of a `wardlaw generate` folder is compared: first answer and final one, or all drawn.",
)
@click.option("--column", help="Column of the files that holds the prompt.")
@click.option("-m", "--model", help="The model that compares, and that draws answers; see docs/models.md.")
@click.option("--judge", help="The model that compares.")
@click.option("--answerer", help="The model that draws answers.")
@click.option("--samples", type=click.IntRange(2, 16), help="Draw so many answers a prompt, and compare these.")
@click.option("--temperature", type=click.FloatRange(0, 5), default=1.0, show_default=True, help="Of drawn answers.")
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True, help="Of drawn answers."
)
@click.option("--max-tokens", type=click.IntRange(1), default=400, show_default=True, help="Of a drawn answer.")
@click.option(
    "--form",
    type=click.Choice(["pairwise", "pointwise"]),
    default="pairwise",
    show_default=True,
    help="Both answers in one question, in both orders; or each graded alone by the rule's text, without order.",
)
@click.option(
    "--principles",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Rules drawn for each pair (pointwise: each prompt); their labels are averaged.",
)
@click.option("--cot", is_flag=True, help="Let the model reason before it chooses; labels are then kept near a half.")
@click.option(
    "--cot-tokens", type=click.IntRange(16), default=300, show_default=True, help="Most tokens of the reasons."
)
@click.option(
    "--clamp",
    nargs=2,
    type=click.FloatRange(0, 1),
    metavar="LOW HIGH",
    help="Bounds of each principle's label.  [default: 0.4 0.6 with --cot, else none]",
)
@click.option(
    "--votes",
    type=click.IntRange(2, 256),
    default=8,
    show_default=True,
    help="Times an order is asked of a model that gives no log-probabilities.",
)
@click.option(
    "--join",
    type=click.Choice(["mean", "log-odds"]),
    default="mean",
    show_default=True,
    help="How the two orders become one label: the mean of the probabilities, or of their log-odds.",
)
@click.option(
    "--scale",
    type=click.FloatRange(0, 1000, min_open=True),
    default=1.0,
    show_default=True,
    help="Multiply the log-odds of each label: above 1 labels speak more surely. --agreement says what fits.",
)
@click.option(
    "--min-margin",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Leave out pairs whose probabilities lie nearer together.",
)
@templates_option("Folder of your own wording of the comparison.")
@seed_option()
@click.option("--parquet/--jsonl", default=False, show_default=True, help="Parquet files or JSON lines.")
@click.option("--licence", default="other", show_default=True, help="Licence of the data, for its card.")
@click.option("--agreement", is_flag=True, help="Print how far labels agree with the choices that SOURCES hold.")
@json_option("Print the figures as JSON.")
@click.option("--limit", type=click.IntRange(1), help="Most prompts to take.")
@click.option("--skip-bad", is_flag=True, help="Pass over lines that cannot be read, and count them.")
@budget_option("Most tokens that the folder may ever cost.")
@concurrency_option("Prompts at work at once.  [default: 32; 4 where every model runs in this process]")
@quiet_option()
def command(**given: Any) -> int:
    """Compare the answers in SOURCES, two by two, by questions drawn from the rules.

    SOURCES are files (JSONL and what `generate` reads) with `prompt` and `answers`, or `chosen` and `rejected`, in each
    line; folders that `wardlaw generate` wrote; or, with --samples, prompts alone. Each pair is shown in both orders;
    the label is the probability that an answer is the better. Written are files for DPO, for a reward model and for
    best-of-n. Stop it when you like: the same command goes on where it was.

    Exit codes: 0 done, 1 some prompts could not be finished, 2 an error, 3 the token budget is spent, 130 stopped.
    """
    from constitution.preference.run import Preference
    from rules import load
    from server.cli._progress import Prices, View, shown
    from server.cli._summary import counted

    quiet, as_json, agreement = given.pop("quiet"), given.pop("as_json"), given.pop("agreement")
    constitution = load(*given.pop("rules")).constitution
    preference = Preference(_settings(given), constitution)
    view = View(preference.tally, preference.meter, preference.total, Prices())
    comparison = run(
        preference.run(),
        shown(view, quiet=quiet),
        preference.settings.out,
        kept=lambda: f"{counted(preference.meter.calls, 'call')} of this run kept",
        worth=lambda: preference.meter.calls,
    )
    return _tell(preference, comparison, as_json=as_json, agreement=agreement)


def _settings(given: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from constitution.preference.settings import Settings

    model, judge, answerer = given.pop("model"), given.pop("judge"), given.pop("answerer")
    models = {"judge": judge or model}
    if given["samples"] is not None:
        models["answerer"] = answerer or model
    elif answerer:
        raise click.UsageError("--answerer without --samples: say how many answers it is to draw")
    check_models(models, tuple(models))
    if given["templates"] is None:
        del given["templates"]
    try:
        return Settings(models=models, **given)
    except ValidationError as error:
        raise usage_error(error, "--clamp") from error


def _tell(preference: Preference, comparison: Comparison, *, as_json: bool, agreement: bool) -> int:
    """Say what came out; the exit code."""
    from server.cli._comparison import summary, table
    from server.cli._json import as_text

    figures = comparison.figures
    if as_json:
        files = {item.name: {"path": str(item.path), "lines": item.lines} for item in comparison.files}
        spent = {"calls": preference.meter.calls, "reused": preference.meter.reused}
        click.echo(as_text({**figures.model_dump(mode="json"), "made": comparison.made, "files": files, "run": spent}))
    else:
        click.echo(summary(preference, comparison))
    if agreement and figures.agreement is None:
        raise WardlawError(
            "nothing to agree with: no line of the input says which answer is preferred",
            "give lines with `chosen` and `rejected`, or with `answers` and `best`",
        )
    if agreement and figures.agreement is not None and not as_json:
        table(figures.agreement)
    code = note_spent(comparison.spent)
    if not code and preference.tally.failed:
        return note_failed(str(preference.tally.failed), preference.tally.last_failure)
    return code
