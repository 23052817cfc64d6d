"""Compare answers by the rules' choice principles: AI feedback with soft labels."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli._sections import Sectioned

if TYPE_CHECKING:
    from constitution.preference.run import Comparison, Preference
    from constitution.preference.settings import Settings

_SECTIONS = {
    "Input": ("rules", "of", "column", "limit", "skip_bad"),
    "Models": ("model", "judge", "answerer", "samples", "temperature", "top_p", "max_tokens"),
    "Comparison": ("principles", "cot", "cot_tokens", "clamp", "votes", "join", "min_margin", "templates", "seed"),
    "Output": ("out", "parquet", "licence", "agreement", "as_json"),
    "Run": ("max_tokens_total", "concurrency", "quiet"),
}
_GO_ON = "Run the same command to go on: no finished call is asked again."


@click.command("prefer", cls=Sectioned, sections=_SECTIONS, short_help="compare answers by the rules: soft labels")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
@click.option(
    "-r",
    "--rules",
    "rules",
    multiple=True,
    default=("assistant",),
    show_default=True,
    metavar="PACK|FILE",
    help="The rules whose `choice` questions are asked; may be given several times.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("preferences"),
    show_default=True,
    help="Output folder. A run that was stopped goes on where it was.",
)
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
    "--principles",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Rules drawn for each pair; their labels are averaged.",
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
    "--min-margin",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Leave out pairs whose probabilities lie nearer together.",
)
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of your own wording of the comparison.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="All randomness comes from it.")
@click.option("--parquet/--jsonl", default=False, show_default=True, help="Parquet files or JSON lines.")
@click.option("--licence", default="other", show_default=True, help="Licence of the data, for its card.")
@click.option("--agreement", is_flag=True, help="Print how far labels agree with the choices that SOURCES hold.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--limit", type=click.IntRange(1), help="Most prompts to take.")
@click.option("--skip-bad", is_flag=True, help="Pass over lines that cannot be read, and count them.")
@click.option("--max-tokens-total", type=click.IntRange(1), help="Most tokens that the folder may ever cost.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 4096),
    help="Prompts at work at once.  [default: 32; 4 where every model runs in this process]",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(**given: Any) -> None:
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

    quiet, as_json, agreement = given.pop("quiet"), given.pop("as_json"), given.pop("agreement")
    constitution = load(*given.pop("rules")).constitution
    preference = Preference(_settings(given), constitution)
    view = View(preference.tally, preference.meter, preference.total, Prices())
    try:
        with shown(view, quiet=quiet):
            comparison = asyncio.run(_stoppable(preference))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(f"stopped: {_kept(preference)} in {preference.settings.out}. {_GO_ON}", err=True)
        sys.exit(130)
    except WardlawError as error:
        if preference.meter.calls:
            error.hint = f"{error.hint}\n  {_kept(preference)} in {preference.settings.out}. {_GO_ON}".strip()
        raise
    _tell(preference, comparison, as_json=as_json, agreement=agreement)


def _settings(given: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from constitution.preference.settings import Settings

    model, judge, answerer = given.pop("model"), given.pop("judge"), given.pop("answerer")
    models = {"judge": judge or model}
    if given["samples"] is not None:
        models["answerer"] = answerer or model
    elif answerer:
        raise click.UsageError("--answerer without --samples: say how many answers it is to draw")
    missing = [role for role, name in models.items() if not name]
    if missing:
        raise click.UsageError(
            f"no model for {', '.join(missing)}: name one with --model, as `--model embedded` for a first look"
        )
    if given["templates"] is None:
        del given["templates"]
    try:
        return Settings(models=models, **given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"--clamp: {what}" if not place else f"{place}: {what}") from error


async def _stoppable(preference: Preference) -> Comparison:
    """The run, ended cleanly by Ctrl-C and SIGTERM."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def stop(sign: signal.Signals) -> None:
        click.echo("stopping ...", err=True)
        loop.remove_signal_handler(sign)  # a second one ends the process without ado
        if task is not None:
            task.cancel()

    if sys.platform != "win32":
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, stop, sign)
    return await preference.run()


def _kept(preference: Preference) -> str:
    from server.cli._summary import counted

    return f"{counted(preference.meter.calls, 'call')} of this run kept"


def _tell(preference: Preference, comparison: Comparison, *, as_json: bool, agreement: bool) -> None:
    """Say what came out, and end with the right exit code."""
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
    if comparison.spent is not None:
        click.echo(f"note: {comparison.spent}", err=True)
        sys.exit(3)
    if preference.tally.failed:
        click.echo(
            f"note: {preference.tally.failed} could not be finished (last: {preference.tally.last_failure}).\n"
            "  hint: run the same command again to try once more",
            err=True,
        )
        sys.exit(1)
