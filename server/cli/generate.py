"""Make training data: answer, critique, revise and justify each prompt by the rules."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError

if TYPE_CHECKING:
    from constitution.generate import Generation, Outcome, Settings

_ROLES = ("answerer", "critic", "reviser", "judge")


def _of_roles(_context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """`ROLE=NUMBER` pairs; a bare number counts for every role."""
    found: dict[str, float] = {}
    for value in values:
        role, equals, number = value.rpartition("=")
        if equals and role not in _ROLES:
            raise click.BadParameter(f"`{role}` is no role; the roles are {', '.join(_ROLES)}", param=option)
        try:
            found.update(dict.fromkeys((role,) if equals else _ROLES, float(number)))
        except ValueError:
            raise click.BadParameter(f"`{value}` is not ROLE=NUMBER", param=option) from None
    return found


@click.command("generate", short_help="make training data from rules and prompts")
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPTS...")
@click.option(
    "-r",
    "--rules",
    "rules",
    multiple=True,
    default=("base",),
    show_default=True,
    metavar="PACK|FILE",
    help="The rules: a pack's name or a YAML file; may be given several times.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    help="Output folder. A run that was stopped goes on where it was.",
)
@click.option(
    "-m",
    "--model",
    help="The model of every role that has none of its own, as "
    "`openai:http://127.0.0.1:8000/v1#name`, `gguf:FILE`, `hf:ID`, `embedded`.",
)
@click.option("--answerer", help="The model that answers the prompts.")
@click.option("--critic", help="The model that critiques; best another one than the answerer.")
@click.option("--reviser", help="The model that revises and writes the rationale.")
@click.option("--judge", help="A model that grades final answers; without it the gate and the checks decide.")
@click.option("--rounds", type=click.IntRange(0, 1000), help="Most rounds of critique and revision.  [default: 2]")
@click.option(
    "--choose",
    type=click.Choice(["evidence", "random", "turn"]),
    default="evidence",
    show_default=True,
    help="How the rule of a round is chosen: by the gate's evidence, drawn at random, or all in turn.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Revisions drawn a round; the best that passes is kept.",
)
@click.option("--benign", multiple=True, metavar="FILE", help="Harmless prompts to mix in.")
@click.option(
    "--benign-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.3,
    show_default=True,
    help="The harmless part of all prompts.",
)
@click.option("--column", help="Column of the prompt files that holds the prompt.")
@click.option("--template", help="Jinja template that makes a prompt of columns: 'Is this true? {{ claim }}'.")
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of your own critique, revision and rationale templates.",
)
@click.option(
    "--encoder",
    default="default",
    show_default=True,
    help="The gate's encoder: a sentence-transformers id or path, or `none` for patterns alone.",
)
@click.option("--temperature", multiple=True, callback=_of_roles, metavar="[ROLE=]N", help="Sampling temperature.")
@click.option("--top-p", multiple=True, callback=_of_roles, metavar="[ROLE=]N", help="Nucleus sampling.")
@click.option("--max-tokens", multiple=True, callback=_of_roles, metavar="[ROLE=]N", help="Most tokens of an answer.")
@click.option("--seed", type=int, default=0, show_default=True, help="All randomness comes from it.")
@click.option("-f", "--format", "formats", multiple=True, help="What to write; everything by default.")
@click.option("--parquet", is_flag=True, help="Write Parquet instead of JSON lines.")
@click.option(
    "--reasoning",
    type=click.Choice(["reasoning_content", "thinking", "think", "none"]),
    default="reasoning_content",
    show_default=True,
    help="Where the rationale stands in the files.",
)
@click.option(
    "--sft",
    type=click.Choice(["completion", "messages"]),
    default="completion",
    show_default=True,
    help="`prompt` and `completion`, or one list of messages.",
)
@click.option("--licence", default="other", show_default=True, help="Licence of the data, for its card.")
@click.option("--limit", type=click.IntRange(1), help="Most prompts to take.")
@click.option("--max-tokens-total", type=click.IntRange(1), help="Most tokens the folder may ever cost.")
@click.option("--concurrency", type=click.IntRange(1, 4096), help="Rows at work at once.  [default: 64, local 8]")
@click.option("--skip-bad", is_flag=True, help="Pass over lines that hold no prompt, and count them.")
@click.option("--mixed", is_flag=True, help="Go on in a folder whose rows were made by other rules or models.")
@click.option("--price-in", type=float, default=0.0, help="Money a million tokens in.")
@click.option("--price-out", type=float, default=0.0, help="Money a million tokens out.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(**given: Any) -> None:
    """Make training data from PROMPTS, by rules.

    PROMPTS are files (JSONL, CSV, Parquet, text; .gz too), `-`, or data sets as `hf:ID#split`. Each prompt is
    answered, critiqued under a rule, revised, justified and checked; what passes is written for the trainers, what
    does not is kept with its reason. Stop it when you like: the same command goes on where it was.

    Exit codes: 0 done, 1 some rows could not be finished, 2 an error, 3 the token budget is spent, 130 stopped.
    """
    from rules import load
    from server.cli._progress import Prices, View, shown

    prices = Prices(given.pop("price_in"), given.pop("price_out"))
    quiet = given.pop("quiet")
    constitution = load(*given.pop("rules")).constitution
    from constitution.generate import Generation

    settings = _settings(given)
    generation = Generation(settings, constitution)
    view = View(generation.tally, generation.meter, generation.total, prices)
    try:
        with shown(view, quiet=quiet):
            outcome = asyncio.run(_stoppable(generation))
    except (KeyboardInterrupt, asyncio.CancelledError):
        kept = generation.tally.finished + generation.tally.resumed
        click.echo(f"stopped: {kept} rows are kept in {settings.out}. {_GO_ON}", err=True)
        sys.exit(130)
    except WardlawError as error:
        kept = generation.tally.finished + generation.tally.resumed
        if kept or generation.meter.calls:
            error.hint = f"{error.hint}\n  {kept} rows are kept in {settings.out}. {_GO_ON}".strip()
        raise
    _close(generation, outcome, prices)


_GO_ON = "Run the same command to go on: no finished call is asked again."


def _settings(given: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from constitution.generate import Settings

    model = given.pop("model")
    own = {role: given.pop(role) for role in _ROLES}
    # The judge is a choice of its own: a model that grades its own answers by default would be no check.
    models = {role: name or (model if role != "judge" else None) for role, name in own.items()}
    missing = [role for role in _ROLES[:3] if not models[role]]
    if missing:
        raise click.UsageError(
            f"no model for {', '.join(missing)}: name one with --model, as `--model embedded` for a first look"
        )
    sampling: dict[str, dict[str, float]] = {}
    for what in ("temperature", "top_p", "max_tokens"):
        for role, number in given.pop(what).items():
            sampling.setdefault(role, {})[what] = number
    given["choice"] = given.pop("choose")
    given["encoder"] = None if given["encoder"] == "none" else given["encoder"]
    if given["templates"] is None:
        del given["templates"]
    try:
        return Settings(models={role: name for role, name in models.items() if name}, sampling=sampling, **given)
    except ValidationError as error:
        first = error.errors()[0]
        raise click.UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


async def _stoppable(generation: Generation) -> Outcome:
    """The run, ended cleanly by SIGTERM as it is by Ctrl-C."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await generation.run()


def _close(generation: Generation, outcome: Outcome, prices: Any) -> None:
    """Say what was made, and end with the right exit code."""
    from server.cli._summary import summary

    click.echo(summary(generation, outcome, prices))
    if outcome.spent is not None:
        click.echo(f"note: {outcome.spent}", err=True)
        sys.exit(3)
    if generation.tally.failed:
        click.echo(
            f"note: {generation.tally.failed} rows could not be finished and are not lost"
            f" (last: {generation.tally.last_failure}).\n  hint: run the same command again to try them once more",
            err=True,
        )
        sys.exit(1)
