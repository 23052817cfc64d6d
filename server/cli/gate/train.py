"""`wardlaw gate train`: teach heads from the rules' examples, labelled files and the project's bank."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli._sections import Sectioned
from server.cli.gate import _options

_SECTIONS = {
    "Data": ("rules", "check", "recipe", "bank"),
    "Teaching": ("encoder", "tuned", "passes", "seed", "threads"),
    "Thresholds": ("budget", "unsure"),
    "Output": ("out", "quiet"),
}


@click.command("train", cls=Sectioned, sections=_SECTIONS, short_help="teach the gate's heads")
@click.argument("data", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]...")
@click.option(
    "-r",
    "--rules",
    multiple=True,
    default=("base",),
    show_default=True,
    metavar="PACK|FILE",
    help="The rules: a pack's name or a YAML file; may be given several times.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE|FOLDER",
    help="What will be measured on: nothing near its prompts is taught. May be given several times.",
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file that says how much each labelled file counts.  [default: all alike]",
)
@click.option(
    "--bank/--no-bank", default=True, show_default=True, help="Teach the twin pairs that ship with Wardlaw too."
)
@click.option(
    "--encoder", default="default", show_default=True, metavar="ID|PATH", help="A sentence-transformers model."
)
@click.option(
    "--tune/--frozen", "tuned", default=True, show_default=True, help="Teach the encoder too, or the heads alone."
)
@click.option("--passes", type=click.FloatRange(0, 1000, min_open=True), help="How often --tune shows the data.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of every draw.")
@click.option("--threads", type=click.IntRange(1), help="Cores to use.  [default: all]")
@click.option(
    "--budget",
    callback=_options.percentage,
    default="1%",
    show_default=True,
    metavar="PERCENT",
    help="The largest share of harmless texts that the whole gate may flag.",
)
@click.option(
    "--unsure",
    callback=_options.percentage,
    default="5%",
    show_default=True,
    metavar="PERCENT",
    help="Share of harmless texts that a judge may be asked about.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the heads go: a folder that is not there yet.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    data: tuple[Path, ...],
    rules: tuple[str, ...],
    check: tuple[Path, ...],
    recipe: Path | None,
    bank: bool,
    encoder: str,
    tuned: bool,
    passes: float | None,
    seed: int,
    threads: int | None,
    budget: float,
    unsure: float,
    out: Path,
    quiet: bool,
) -> None:
    """Teach heads from the rules' examples, labelled files and what ships with Wardlaw.

    A labelled file holds JSON lines, also .gz, with `prompt`, perhaps `response`, `label` (harmful or safe) and perhaps
    `category`, as `wardlaw generate --format gate` writes them. The folder gets the heads and a card that says what
    they were taught on and what they promise.
    """
    _options.check_free(out)
    from guard.training.recipe import Recipe
    from guard.training.train import Training, train
    from guard.training.tune import Tuning
    from rules.load import load

    how = Tuning(seed=seed, threads=threads) if passes is None else Tuning(seed=seed, threads=threads, passes=passes)
    what = Training(
        load(*rules).constitution,
        data=data,
        check=check,
        recipe=Recipe(only_named=False) if recipe is None else Recipe.load(recipe),
        bank=bank,
        encoder=encoder,
        tuned=tuned,
        how=how,
        budget=budget,
        unsure=unsure,
    )
    train(what, out, (lambda line: None) if quiet else (lambda line: click.echo(line, err=True)))
    click.echo(f"{out}: use it with --heads {out}")
