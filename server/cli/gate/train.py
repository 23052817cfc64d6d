"""`wardlaw gate train`: teach the gate's heads from the rules' examples, the twin bank and labelled files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli._sections import Sectioned
from server.cli.gate import _options, _out

if TYPE_CHECKING:
    from guard.trained.heads import Heads
    from guard.training.recipe import Recipe

_SECTIONS = {
    "Data": ("rules", "data", "check", "recipe_file", "bank"),
    "Teaching": ("encoder", "heads_only", "onto", "passes", "rate", "rank", "seed", "threads"),
    "Thresholds": ("budget", "unsure"),
    "Output": ("out", "quiet"),
}
_SIDES = {"asked": "prompts", "answered": "answers"}
_NONE = "-"


@click.command("train", cls=Sectioned, sections=_SECTIONS, short_help="teach the gate's heads")
@_options.rules_option
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="Labelled JSON lines: `prompt`, perhaps `response`, `label` (harmful or safe), perhaps `category`.",
)
@click.option(
    "--check",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="What you will measure on: nothing near one of its prompts is taught.",
)
@click.option(
    "--recipe",
    "recipe_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML with each source's weight, limits and categories.  [default: all of --data, each row alike]",
)
@click.option("--bank/--no-bank", default=True, show_default=True, help="Teach the project's own twin bank too.")
@click.option(
    "--encoder",
    default="default",
    show_default=True,
    metavar="ID|PATH",
    help="A sentence-transformers model; `default` is all-MiniLM-L6-v2.",
)
@click.option("--heads-only", is_flag=True, help="Leave the encoder as it is: faster, and less exact.")
@click.option(
    "--onto",
    metavar="FOLDER|shipped",
    help="Teach only the rules that these heads do not know, on their vectors, and put the new heads beside them.",
)
@click.option(
    "--passes",
    type=click.FloatRange(min=0, min_open=True),
    help="Passes over the rows when the encoder is tuned.  [default: the recipe's, or 3]",
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Learning rate of the encoder.  [default: 0.0001]"
)
@click.option("--rank", type=click.IntRange(min=1), help="Rank that the encoder's changes are kept by.  [default: 16]")
@click.option("--seed", type=int, default=7, show_default=True, help="Of all drawing.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use.  [default: all]")
@_options.budget_option
@_options.unsure_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the heads go: a folder that is not there yet.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    rules: tuple[str, ...],
    data: tuple[Path, ...],
    check: tuple[Path, ...],
    recipe_file: Path | None,
    bank: bool,
    encoder: str,
    heads_only: bool,
    onto: str | None,
    passes: float | None,
    rate: float | None,
    rank: int | None,
    seed: int,
    threads: int | None,
    budget: float,
    unsure: float,
    out: Path,
    quiet: bool,
) -> None:
    """Teach heads for the rules, and write them to a folder with a card of data, seeds, figures and promises.

    They learn from the rules' examples, from the twin bank and from --data, also what `wardlaw generate --format gate`
    writes; the rules' tests are never taught. Tuning the encoder on 20,000 rows takes about half an hour on two cores.
    Thresholds are set so that at most the budget of such harmless texts as were held out is flagged, with 95%
    confidence. Use the heads with `--heads OUT`.
    """
    tuning = {"passes": passes, "rate": rate, "rank": rank}
    for name, value in tuning.items():
        for option, given in (("--heads-only", heads_only), ("--onto", onto)):
            if given and value is not None:
                raise click.UsageError(
                    f"`--{name}` is of tuning the encoder, and {option} leaves it as it is\n  hint: take one of them"
                )
    _out.check_free(out)
    from guard.encoders.source import find
    from guard.training.recipe import Recipe
    from rules.load import load

    constitution = load(*rules).constitution
    recipe = Recipe.load(recipe_file) if recipe_file else Recipe(only_named=False)
    notes = _notes(data, check, recipe)
    find(encoder)  # a wrong name is told before the rows are gathered, which takes minutes
    from guard.training.onto import train_onto
    from guard.training.settings import Training
    from guard.training.train import train
    from guard.training.tune import Tuning

    beside = None if onto is None else _beside(onto)
    chosen: dict[str, Any] = {name: value for name, value in tuning.items() if value is not None}
    how = replace(Tuning(seed=seed, threads=threads, passes=recipe.prompts), **chosen)
    what = Training(
        constitution,
        data,
        check,
        recipe,
        bank=bank,
        encoder=encoder,
        tuned=not heads_only,
        how=how,
        budget=budget,
        unsure=unsure,
    )
    with _out.beside(out) as partial:
        with _telling(quiet=quiet) as told:
            for note in notes:
                told(note)
            heads = train(what, partial, told) if beside is None else train_onto(what, beside, partial, told)
        if out.is_dir():
            out.rmdir()  # empty, as was seen
        partial.rename(out)
    made = heads if beside is None else heads.also[-1]
    _show(made)
    click.echo("\n".join(_next(made, rules, encoder, check, out)))


def _beside(given: str) -> Heads:
    """The heads to put new ones beside."""
    from guard.trained.heads import SHIPPED, Heads

    return Heads.load(SHIPPED / "base" if given == "shipped" else Path(given))


def _notes(data: Sequence[Path], check: Sequence[Path], recipe: Recipe) -> list[str]:
    """What the recipe and the files do not share, which would otherwise go unseen.

    Raises:
        LabelError: a file is not there.
    """
    from guard.training.rows import source_of
    from guard.training.sets import find_files

    sources = {source_of(path) for path in find_files(data)} if data else set()
    if check:
        find_files(check)
    left = sorted(name for name in sources if recipe.source(name) is None)
    lacking = sorted(set(recipe.sources) - sources)
    return [
        *([f"not in the recipe, so not taught: {', '.join(left)}"] if left else []),
        *([f"in the recipe, but no file of --data has the name: {', '.join(lacking)}"] if lacking else []),
    ]


@contextmanager
def _telling(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Lines of progress on standard error, each with the minutes since the start; on a terminal the steps in place."""
    began = time.monotonic()

    def stamped(line: str) -> str:
        return f"{(time.monotonic() - began) / 60:5.1f} min  {line}"

    if quiet:
        yield lambda line: None
    elif sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        with console.status("gathering rows") as status:

            def shown(line: str) -> None:
                if not line.startswith("step "):
                    console.print(stamped(line))
                status.update(line)

            yield shown
    else:
        yield lambda line: click.echo(stamped(line), err=True)


def _show(heads: Heads) -> None:
    """The card's figures, a column a side."""
    from rich.console import Console
    from rich.table import Table

    from server.cli.gate._tables import PLAIN_WIDTH

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("")
    for side in heads.sides:
        table.add_column(_SIDES[side], justify="right", no_wrap=True)
    columns = [_figures(heads, side) for side in heads.sides]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def _figures(heads: Heads, side: str) -> dict[str, str]:
    held_out, promise, static = (_part(heads, name, side) for name in ("held_out", "promises", "static"))
    return {
        "held-out rows of twins": _count(held_out, "rows"),
        "AUC on them": _plain(held_out, "auc"),
        "harmful twin ranked above its harmless one": _percent(held_out, "harmful twin ranked above harmless"),
        "right rule first": _percent(held_out, "right rule first"),
        "threshold": f"{heads.sides[side].threshold:.4f}",
        "harmless rows it was set by": _count(promise, "rows"),
        "of these flagged": _count(promise, "observed"),
        "promised with 95% confidence: at most": _percent(promise, "bound"),
        "cleared by the static tier": _percent(static, "share of benign rows cleared"),
    }


def _part(heads: Heads, name: str, side: str) -> dict[str, Any]:
    found = heads.card.get(name)
    part = found.get(side) if isinstance(found, dict) else None
    return part if isinstance(part, dict) else {}


def _count(figures: dict[str, Any], name: str) -> str:
    return f"{figures[name]:,}" if name in figures else _NONE


def _plain(figures: dict[str, Any], name: str) -> str:
    return f"{figures[name]:.3f}" if name in figures else _NONE


def _percent(figures: dict[str, Any], name: str) -> str:
    return f"{100 * figures[name]:.2f}%" if name in figures else _NONE


def _next(heads: Heads, rules: Sequence[str], encoder: str, check: Sequence[Path], out: Path) -> Iterator[str]:
    """Where the heads are, what they do not promise, and what to try."""
    options = "".join(f" -r {name}" for name in rules if rules != ("base",))
    options += "" if encoder == "default" else f" --encoder {encoder}"
    for side in heads.sides:
        if not _part(heads, "promises", side):
            yield (
                f"{_SIDES[side]}: nothing is promised, as no harmless rows were left to set the threshold by;"
                f" set it with wardlaw gate calibrate --benign FILE{options} --heads {out} -o FOLDER"
            )
    for side, name in _SIDES.items():
        if side not in heads.sides:
            yield f"{name}: no heads, as there were no rows of both labels; rules are judged by their examples"
    measured = "".join(f" {path}" for path in check)
    yield f"{out}: measure it with wardlaw gate eval{measured}{options} --heads {out}"
