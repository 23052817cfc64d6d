"""`wardlaw probe make`: new red-team prompts and harmless near misses from a handful that people wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli._model_options import out_option
from server.cli._running import note_spent
from server.cli._sections import Sectioned
from server.cli._table import print_table
from server.cli.probe import _options

if TYPE_CHECKING:
    from constitution.probing.making import Made, Making

_SECTIONS = {
    "What to make": ("rules", "only", "count", "kind", "seeds", "languages", "multi_turn", "disguises"),
    "Models": ("model", "judge", "encoder", "temperature", "language"),
    "Filters": ("rouge", "cosine", "rounds", "patience", "a_round", "seed"),
    "Run": _options.RUN,
}
_WIDTH = 170


@click.command("make", cls=Sectioned, sections=_SECTIONS, short_help="make red-team prompts and near misses of rules")
@click.option("-m", "--model", required=True, metavar="MODEL", help="The model that writes, as in `wardlaw generate`.")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="Probes of each rule and kind.",
)
@click.option(
    "--kind",
    type=click.Choice(["both", "break", "keep"]),
    default="both",
    show_default=True,
    help="`break`: prompts meant to draw out a broken rule; `keep`: harmless near misses.",
)
@click.option(
    "--lang",
    "languages",
    multiple=True,
    default=("en",),
    show_default=True,
    metavar="TAG",
    help="Language to write in; of several, rounds take each in turn.",
)
@click.option(
    "--multi-turn",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Share of the rounds that ask for conversations.",
)
@click.option(
    "--disguises", type=click.IntRange(0, 19), default=1, show_default=True, help="Disguised views of each probe."
)
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.9, show_default=True, help="Of the model.")
@click.option(
    "--rouge",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.7,
    show_default=True,
    help="ROUGE-L with an earlier text from which a text is a repeat.",
)
@click.option(
    "--cosine",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    help="Cosine to an earlier text from which it is one.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    help="Most rounds a rule and kind; by default 40, or eight times what would do if every text were kept.",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Rounds in a row without a new probe after which a rule and kind is given up.",
)
@click.option("--a-round", type=click.IntRange(1, 20), default=5, show_default=True, help="Texts asked for in a round.")
@_options.common_options
@out_option("probes", "; a larger --count adds to what is there")
def command(**given: Any) -> int:
    """Make new prompts that test rules, from the few that people wrote under `examples` and in --seeds.

    Each round shows the model a few written and a few generated ones. What is new (ROUGE-L, cosine), unlike any test,
    and on target (gate, topic, judge) is kept with its lineage, until there are as many of each rule and kind as were
    asked for, or the reason is told why not. Without a judge, only breaks that the gate finds are kept.

    Exit codes: 0 done, 1 some rules have fewer than were asked for, 2 an error, 3 the budget is spent, 130 stopped.
    """
    from constitution.probing.making import Making
    from constitution.probing.probe import KINDS, Kind
    from constitution.probing.recipe import Recipe
    from constitution.probing.settings import Wanted
    from rules.text import is_language

    for tag in given["languages"]:
        if not is_language(tag):
            raise click.BadParameter(f"`{tag}` is no language tag\n  hint: as `en`, `zh`", param_hint="--lang")
    rules = given.pop("rules")
    constitution = _options.constitution_of(rules)
    as_json, quiet, anew = given.pop("as_json"), given.pop("quiet"), given.pop("anew")
    common = _options.common_of(given)
    kind = given.pop("kind")
    kinds: tuple[Kind, ...] = KINDS if kind == "both" else (kind,)
    wanted = Wanted(kinds, given.pop("disguises"))
    given["languages"] = tuple(dict.fromkeys(given["languages"]))
    making = Making(common, wanted, Recipe(**given), constitution)
    made = _options.run(making.run(anew=anew), making.meter, lambda: _progress(making), common.out, quiet=quiet)
    _tell(made, making, rules, as_json=as_json)
    return note_spent(made.spent) or int(bool(made.short))


def _progress(making: Making) -> str:
    if making.meter.loading:
        return "loading models ..."
    probes = sum(len(side.probes) for side in making.sides)
    wanted = sum(side.wanted for side in making.sides if side.end in ("", "reached"))
    texts = sum(side.texts for side in making.sides)
    meter = making.meter
    return f"{probes:,} of {wanted:,} probes from {texts:,} texts; {meter.calls:,} calls, {meter.in_flight} in flight"


def _tell(made: Made, making: Making, rules: tuple[str, ...], *, as_json: bool) -> None:
    from constitution.probing.figures import making_figures
    from server.cli._summary import counted

    figures = making_figures(made, making.meter)
    if as_json:
        from server.cli._json import as_text

        click.echo(as_text({**figures, "files": [str(path) for path in made.files]}))
        return
    _table(figures["sides"])
    for side in figures["sides"]:
        if side["end"] != "reached":
            click.echo(f"{side['rule']} ({side['kind']}): {side['probes']} of {side['wanted']}: {side['why']}")
    usage = making.meter.usage
    click.echo(
        f"{counted(figures['probes'], 'probe')} and {counted(figures['disguised'], 'disguised view')} in"
        f" {making.common.out}; {counted(making.meter.calls, 'call')}, {making.meter.reused:,} taken from before;"
        f" {usage.prompt:,} tokens in, {usage.completion:,} out"
    )
    click.echo(f"look at {made.files[-1]}")
    if figures["probes"]:
        command = _options.into_ledger(making.common.out, rules)
        click.echo(f"keep those that the gate is wrong about in the red-team ledger: {command}")


def _table(sides: list[dict[str, Any]]) -> None:
    from constitution.probing.output import counts, percent

    right = ("probes", "ROUGE-L", "cosine")
    names = ("rule", "kind", "probes", "ended by", "yield", "ROUGE-L", "cosine", "rejected")
    cells = []
    for side in sides:
        rouge, cosine = side["mean_nearest_rouge"], side["mean_nearest_cosine"]
        cells.append(
            [
                side["rule"],
                side["kind"],
                f"{side['probes']}/{side['wanted']}",
                side["end"],
                percent(side["yield"]),
                "-" if rouge is None else f"{rouge:.2f}",
                "-" if cosine is None else f"{cosine:.2f}",
                counts(side["rejected"]),
            ]
        )
    print_table({name: "right" if name in right else "left" for name in names}, cells, width=_WIDTH)
