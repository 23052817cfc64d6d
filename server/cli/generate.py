"""Make training data: answer, critique, revise and justify each prompt by the rules."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli._outputs import CHOICES, chosen, output_options
from server.cli._sections import Sectioned

if TYPE_CHECKING:
    from constitution.generate import Generation, Outcome
    from constitution.settings import Settings

_SECTIONS = {
    "Input": ("rules", "column", "template", "benign", "benign_share", "limit", "skip_bad"),
    "Models": ("model", "answerer", "critic", "reviser", "judge", "encoder", "temperature", "top_p", "max_tokens"),
    "Loop": ("rounds", "choose", "samples", "templates", "seed"),
    "Update": ("update",),
    "Output": ("out", "formats", *CHOICES, "mixed"),
    "Run": ("max_tokens_total", "price_in", "price_out", "concurrency", "quiet"),
}

_RANGES: dict[str, click.FloatRange | click.IntRange] = {
    "temperature": click.FloatRange(0, 5),
    "top_p": click.FloatRange(0, 1, min_open=True),
    "max_tokens": click.IntRange(1, 1_000_000),
}


def _of_roles(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """`ROLE=NUMBER` pairs; a bare number counts for every role."""
    from constitution.row import ROLES

    found: dict[str, float] = {}
    for value in values:
        role, equals, number = value.rpartition("=")
        if equals and role not in ROLES:
            raise click.BadParameter(f"`{role}` is no role; the roles are {', '.join(ROLES)}", param=option)
        try:
            finite = math.isfinite(float(number))
        except ValueError:
            finite = False
        if not finite:
            what = f"`{value}` is neither a number nor ROLE=NUMBER, as `0.5` or `critic=0.5`"
            if option.name == "max_tokens":
                what = f"`{value}` is neither a whole number nor ROLE=NUMBER, as `400` or `critic=400`"
            raise click.BadParameter(what, param=option)
        checked = _RANGES[option.name or ""](number, option, context)
        found.update(dict.fromkeys((role,) if equals else ROLES, checked))
    return found


def _of_each_role(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, multiple=True, callback=_of_roles, metavar="[ROLE=]N", help=text)


# Those of constitution/generate.py, which `--help` should not wait for; a test holds the two together.
_TEMPERATURES = "answerer=0.8, critic=0.2, reviser=0.7, judge=0"
_TOP_PS = "0.9, judge=1"
_MAX_TOKENS = "answerer=400, critic=300, reviser=500, judge=200"


@click.command("generate", cls=Sectioned, sections=_SECTIONS, short_help="make training data from rules and prompts")
@click.argument("prompts", nargs=-1, metavar="PROMPTS...")
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
    "--update",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="In place of PROMPTS: make those rows of DIR anew that depend on rules which were changed since.",
)
@click.option(
    "-m",
    "--model",
    help="The model of every role that has none of its own, as "
    "`openai:http://127.0.0.1:8000/v1#name`, `gguf:FILE`, `hf:ID`, `embedded`, or `scripted:FILE` (replies from a"
    " file); see docs/models.md.",
)
@click.option("--answerer", help="The model that answers the prompts.")
@click.option("--critic", help="The model that critiques; best another one than the answerer.")
@click.option("--reviser", help="The model that revises and writes the rationale.")
@click.option("--judge", help="A model that grades final answers; without it the gate and the checks decide.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    help="Most rounds of critique and revision.  [default: 2; with `--choose turn` one for each rule]",
)
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
@click.option("--benign", multiple=True, metavar="FILE", help="Harmless prompts to mix in; may be given several times.")
@click.option(
    "--benign-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.3,
    show_default=True,
    help="The harmless part of all prompts, where --benign names some.",
)
@click.option("--column", help="Column of the prompt files that holds the prompt; not for --benign.")
@click.option(
    "--template", help="Jinja template that makes a prompt of columns: 'Is this true? {{ claim }}'; not for --benign."
)
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of your own critique, revision and rationale templates.",
)
@click.option(
    "--encoder",
    default="default",
    show_default=True,
    help="The gate's encoder: `default` (all-MiniLM-L6-v2), a sentence-transformers id or path, or `none` for patterns"
    " alone.",
)
@_of_each_role("--temperature", f"Sampling temperature, from 0 to 5.  [default: {_TEMPERATURES}]")
@_of_each_role("--top-p", f"Nucleus sampling, above 0 and to 1.  [default: {_TOP_PS}]")
@_of_each_role("--max-tokens", f"Most tokens of an answer.  [default: {_MAX_TOKENS}]")
@click.option("--seed", type=int, default=0, show_default=True, help="All randomness comes from it.")
@output_options
@click.option("--limit", type=click.IntRange(1), help="Most prompts to take.")
@click.option(
    "--max-tokens-total",
    type=click.IntRange(1),
    help="Most tokens, in and out, that the folder may ever cost; what calls in flight may come to is set aside.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 4096),
    help="Rows at work at once.  [default: 64; 8 where every model runs in this process]",
)
@click.option("--skip-bad", is_flag=True, help="Pass over lines that hold no prompt, and count them.")
@click.option("--mixed", is_flag=True, help="Go on in a folder whose rows were made by other rules or models.")
@click.option("--price-in", type=click.FloatRange(0), default=0.0, help="Price of a million tokens in, any currency.")
@click.option("--price-out", type=click.FloatRange(0), default=0.0, help="Price of a million tokens out, in the same.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(**given: Any) -> None:
    """Make training data from PROMPTS, by rules.

    PROMPTS are files (JSONL, JSON, CSV, TSV, Parquet, text; .gz too), `-`, or data sets as `hf:ID#split`. Each prompt
    is answered, critiqued under a rule, revised, justified and checked; what passes is written for the trainers, what
    does not is kept with its reason. Stop it when you like: the same command goes on where it was.

    With --update DIR, rows that depend on rules which were changed since are made anew, by the models and settings of
    DIR's own run; all others stay as they are. `wardlaw rules diff OLD NEW --data DIR` says beforehand how many.

    Exit codes: 0 done, 1 some rows could not be finished, 2 an error, 3 the token budget is spent, 130 stopped.
    """
    from rules import load
    from server.cli._progress import Prices, View, shown

    prices = Prices(given.pop("price_in"), given.pop("price_out"))
    quiet = given.pop("quiet")
    folder: Path | None = given.pop("update")
    if folder is not None:
        from server.cli._update import forecast, open_update

        generation: Generation = (update := open_update(folder, given))
        click.echo(forecast(folder, update.dependence))
        if not update.dependence.stale:
            return
    else:
        if not given["prompts"]:
            raise click.UsageError(
                "missing argument `PROMPTS...`\n  hint: name files of prompts, or a folder with --update;"
                " see `wardlaw generate --help`"
            )
        constitution = load(*given["rules"]).constitution
        from constitution.generate import Generation

        generation = Generation(_settings(given), constitution)
    settings = generation.settings
    view = View(generation.tally, generation.meter, generation.total, prices)
    try:
        with shown(view, quiet=quiet):
            outcome = asyncio.run(_stoppable(generation))
    except (KeyboardInterrupt, asyncio.CancelledError):
        kept = generation.tally.finished + generation.tally.resumed
        click.echo(f"stopped: {_kept(kept)} in {settings.out}. {_GO_ON}", err=True)
        sys.exit(130)
    except WardlawError as error:
        kept = generation.tally.finished + generation.tally.resumed
        if kept or generation.meter.calls:
            error.hint = f"{error.hint}\n  {_kept(kept)} in {settings.out}. {_GO_ON}".strip()
        raise
    _close(generation, outcome, prices)


_GO_ON = "Run the same command to go on: no finished call is asked again."


def _kept(count: int) -> str:
    from server.cli._summary import counted

    return f"{counted(count, 'row')} {'is' if count == 1 else 'are'} kept"


def _settings(given: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from constitution.row import ROLES
    from constitution.settings import Settings

    _check_benign(given)
    model = given.pop("model")
    own = {role: given.pop(role) for role in ROLES}
    # The judge is a choice of its own: a model that grades its own answers by default would be no check.
    models = {role: name or (model if role != "judge" else None) for role, name in own.items()}
    missing = [role for role in ROLES[:3] if not models[role]]
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
    given.update(chosen(given))
    try:
        return Settings(models={role: name for role, name in models.items() if name}, sampling=sampling, **given)
    except ValidationError as error:
        first = error.errors()[0]
        raise click.UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _check_benign(given: dict[str, Any]) -> None:
    source = click.get_current_context().get_parameter_source("benign_share")
    if source is click.core.ParameterSource.COMMANDLINE and not given["benign"]:
        raise click.UsageError("--benign-share without --benign: name a file of harmless prompts with --benign")


async def _stoppable(generation: Generation) -> Outcome:
    """The run, ended cleanly by Ctrl-C and SIGTERM; said at once, since a model that is just loading is waited for."""
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
    return await generation.run()


def _close(generation: Generation, outcome: Outcome, prices: Any) -> None:
    """Say what was made, and end with the right exit code."""
    from server.cli._summary import counted, summary

    click.echo(summary(generation, outcome, prices))
    if outcome.spent is not None:
        click.echo(f"note: {outcome.spent}", err=True)
        sys.exit(3)
    if generation.tally.failed:
        click.echo(
            f"note: {counted(generation.tally.failed, 'row')} could not be finished"
            f" (last: {generation.tally.last_failure}).\n  hint: run the same command again to try once more",
            err=True,
        )
        sys.exit(1)
