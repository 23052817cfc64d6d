"""Make training data: answer, critique, revise and justify each prompt by the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli._engine import SECTION as ENGINE
from server.cli._engine import engine_options, gpus_option
from server.cli._model_options import (
    SAMPLING,
    budget_option,
    check_models,
    concurrency_option,
    encoder_of,
    encoder_option,
    out_option,
    price_options,
    prices_of,
    quiet_option,
    rules_option,
    sampling_of,
    sampling_options,
    seed_option,
    templates_option,
    usage_error,
)
from server.cli._outputs import CHOICES, chosen, output_options
from server.cli._running import note_failed, note_spent, run
from server.cli._sections import Sectioned

if TYPE_CHECKING:
    from constitution.generate import Generation, Outcome
    from constitution.settings import Settings
    from server.cli._progress import Prices

_SECTIONS = {
    "Input": ("rules", "column", "template", "benign", "benign_share", "limit", "skip_bad"),
    "Models": ("model", "answerer", "critic", "reviser", "judge", "encoder", *SAMPLING),
    "Loop": ("rounds", "choose", "samples", "min_helpful", "templates", "seed"),
    "Update": ("update",),
    "Output": ("out", "formats", *CHOICES, "mixed"),
    "Run": ("max_tokens_total", "price_in", "price_out", "concurrency", "quiet"),
    "Engine": (*ENGINE, "gpus"),
}

# Those of constitution/generate.py, which `--help` should not wait for; a test holds the two together.
_SAMPLING = {
    "temperature": "answerer=0.8, critic=0.2, reviser=0.7, judge=0",
    "top_p": "0.9, judge=1",
    "max_tokens": "answerer=400, critic=300, reviser=500, judge=200",
}
_ROLES = ("answerer", "critic", "reviser", "judge")


@click.command("generate", cls=Sectioned, sections=_SECTIONS, short_help="make training data from rules and prompts")
@click.argument("prompts", nargs=-1, metavar="PROMPTS...")
@rules_option()
@out_option("out")
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
    help="Most rounds of critique and revision.  [default: 2; 3 with `--choose nearest`; with `--choose turn` one for"
    " each rule]",
)
@click.option(
    "--choose",
    type=click.Choice(["evidence", "nearest", "random", "turn"]),
    default="evidence",
    show_default=True,
    help="How the rule of a round is chosen: by the gate's evidence; by it and then the nearest rules, for a good"
    " critic; drawn at random; or all in turn.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Revisions drawn a round; the best that passes is kept.",
)
@click.option(
    "--min-helpful",
    type=click.IntRange(1, 5),
    help="Reject final answers that the judge finds less helpful than this, of 5; needs --judge.",
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
@templates_option("Folder of your own critique, revision and rationale templates.")
@encoder_option("The gate's encoder", none=" for patterns alone")
@sampling_options(_ROLES, _SAMPLING)
@seed_option()
@output_options
@click.option("--limit", type=click.IntRange(1), help="Most prompts to take.")
@budget_option("Most tokens, in and out, that the folder may ever cost; what calls in flight may come to is set aside.")
@concurrency_option("Rows at work at once.  [default: 64; 8 where every model runs in this process]")
@click.option("--skip-bad", is_flag=True, help="Pass over lines that hold no prompt, and count them.")
@click.option("--mixed", is_flag=True, help="Go on in a folder whose rows were made by other rules or models.")
@price_options
@engine_options
@gpus_option
@quiet_option()
def command(**given: Any) -> int:
    """Make training data from PROMPTS, by rules.

    PROMPTS are files (JSONL, JSON, CSV, TSV, Parquet, text; .gz too), patterns as `prompts/*.jsonl`, `-`, or data sets
    as `hf:ID#split`. Each prompt is answered, critiqued under a rule, revised, justified and checked; what passes is
    written for the trainers, what does not is kept with its reason. Stop it when you like: the same command goes on
    where it was.

    With --update DIR, rows that depend on rules which were changed since are made anew, by the models and settings of
    DIR's own run; all others stay as they are. `wardlaw rules diff OLD NEW --data DIR` says beforehand how many.

    Exit codes: 0 done, 1 some rows could not be finished, 2 an error, 3 the token budget is spent, 130 stopped.
    """
    from rules import load
    from server.cli._progress import LOADING, STARTING, View, shown

    prices = prices_of(given)
    quiet = given.pop("quiet")
    folder: Path | None = given.pop("update")
    engine, address, workers, gpus = (given.pop(name) for name in ("engine", "address", "workers", "gpus"))
    if folder is not None and engine != "local":
        raise click.UsageError("--update works in this process: leave --engine out")
    if folder is not None:
        from server.cli._update import forecast, open_update

        generation: Generation = (update := open_update(folder, given))
        click.echo(forecast(folder, update.dependence))
        if not update.dependence.stale:
            return 0
    else:
        if not given["prompts"]:
            raise click.UsageError(
                "missing argument `PROMPTS...`\n  hint: name files of prompts, or a folder with --update;"
                " see `wardlaw generate --help`"
            )
        constitution = load(*given["rules"]).constitution
        from constitution.engines import Where, open_engine

        generation = open_engine(engine).generation(_settings(given), constitution, Where(address, workers, gpus))
    settings = generation.settings
    loading = LOADING if engine == "local" else STARTING
    view = View(generation.tally, generation.meter, generation.total, prices, lambda: generation.endpoints, loading)
    outcome = run(
        generation.run(),
        shown(view, quiet=quiet),
        settings.out,
        kept=lambda: _kept(_rows(generation)),
        worth=lambda: _rows(generation) or generation.meter.calls,
    )
    return _close(generation, outcome, prices)


def _rows(generation: Generation) -> int:
    return generation.tally.finished + generation.tally.resumed


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
    check_models(models, ROLES[:3])
    if given["min_helpful"] is not None and not models["judge"]:
        raise click.UsageError("--min-helpful without --judge\n  hint: name the model that grades, as --judge MODEL")
    sampling = sampling_of(given)
    given["choice"] = given.pop("choose")
    given["encoder"] = encoder_of(given["encoder"])
    if given["templates"] is None:
        del given["templates"]
    given.update(chosen(given))
    try:
        return Settings(models={role: name for role, name in models.items() if name}, sampling=sampling, **given)
    except ValidationError as error:
        raise usage_error(error) from error


def _check_benign(given: dict[str, Any]) -> None:
    source = click.get_current_context().get_parameter_source("benign_share")
    if source is click.core.ParameterSource.COMMANDLINE and not given["benign"]:
        raise click.UsageError("--benign-share without --benign: name a file of harmless prompts with --benign")


def _close(generation: Generation, outcome: Outcome, prices: Prices) -> int:
    """Say what was made; the exit code."""
    from server.cli._summary import counted, summary

    click.echo(summary(generation, outcome, prices))
    code = note_spent(outcome.spent)
    if not code and generation.tally.failed:
        return note_failed(counted(generation.tally.failed, "row"), generation.tally.last_failure)
    return code
