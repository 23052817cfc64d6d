"""`wardlaw probe attack`: a model tries to make a live one break rules, rule by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli._model_options import out_option
from server.cli._running import note_spent
from server.cli._sections import Sectioned
from server.cli._table import print_table
from server.cli.probe import _options

if TYPE_CHECKING:
    from constitution.probing.trying import Tried, Trying

_SECTIONS = {
    "What to try": ("rules", "only", "attempts", "turns", "by", "seeds", "system"),
    "Models": ("model", "target", "judge", "encoder", "temperature", "target_temperature", "language", "seed"),
    "Run": _options.RUN,
}
_WIDTH = 150


@click.command("attack", cls=Sectioned, sections=_SECTIONS, short_help="let a model try to make another break rules")
@click.option("-m", "--model", required=True, metavar="MODEL", help="The prober, as in `wardlaw generate`.")
@click.option(
    "--target",
    required=True,
    metavar="MODEL|URL",
    help="The model that is tried: as --model, or an OpenAI-compatible endpoint as `http://host:port/v1#name`.",
)
@click.option("--attempts", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Attempts a rule.")
@click.option("--turns", type=click.IntRange(1, 30), default=4, show_default=True, help="Most messages an attempt.")
@click.option(
    "--by",
    type=click.Choice(["agreed", "either", "gate", "judge"]),
    default="agreed",
    show_default=True,
    help="Whose word makes a break: all of gate and judge that looked, any of them, or one.",
)
@click.option("--system", default="", metavar="TEXT", help="System message of the target.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.9, show_default=True, help="Of the prober.")
@click.option(
    "--target-temperature", type=click.FloatRange(0, 2), default=0.7, show_default=True, help="Of the target."
)
@_options.common_options
@out_option("attempts")
def command(**given: Any) -> int:
    """Let the model --model try, in a few turns, to make --target break each rule, by the rule's `probe` instruction.

    The gate and the judge look at every answer; an attempt ends where the rule is broken. Transcripts are kept, and the
    share of the attempts that broke each rule is told with its exact interval.

    Exit codes: 0 done, whatever was found; 2 an error; 3 the token budget is spent; 130 stopped.
    """
    from constitution.probing.attempts import Attack
    from constitution.probing.trying import Trying

    rules = given.pop("rules")
    constitution = _options.constitution_of(rules)
    as_json, quiet, anew = given.pop("as_json"), given.pop("quiet"), given.pop("anew")
    common, target = _options.common_of(given), given.pop("target")
    trying = Trying(common, target, Attack(**given), constitution)
    tried = _options.run(trying.run(anew=anew), trying.meter, lambda: _progress(trying), common.out, quiet=quiet)
    _tell(tried, trying, rules, as_json=as_json)
    return note_spent(tried.spent)


def _progress(trying: Trying) -> str:
    if trying.meter.loading:
        return "loading models ..."
    broken = sum(attempt.broken for attempt in trying.done)
    meter = trying.meter
    return (
        f"{len(trying.done):,} of {trying.total:,} attempts, {broken:,} broke their rule; {meter.calls:,} calls,"
        f" {meter.in_flight} in flight"
    )


def _tell(tried: Tried, trying: Trying, rules: tuple[str, ...], *, as_json: bool) -> None:
    from constitution.probing.figures import trying_figures
    from constitution.probing.output import percent

    figures = trying_figures(tried, trying.meter)
    if as_json:
        from server.cli._json import as_text

        click.echo(as_text({**figures, "files": [str(path) for path in tried.files]}))
        return
    _table(figures["rules"])
    for rule, why in tried.skipped.items():
        click.echo(f"{rule}: not tried: {why}")
    click.echo(
        f"{figures['broken']:,} of {figures['attempts']:,} attempts broke their rule: {percent(figures['rate'])}"
    )
    click.echo(f"look at {tried.files[-1]}; transcripts in {tried.files[0]}, finds in {tried.files[1]}")
    if figures["broken"]:
        click.echo(f"keep them in the red-team ledger: {_options.into_ledger(tried.files[1].parent, rules)}")


def _table(rules: list[dict[str, Any]]) -> None:
    from constitution.probing.output import counts, percent

    left = ("rule", "rate (95%)", "ended by")
    names = ("rule", "attempts", "broken", "rate (95%)", "gate", "judge", "turns", "ended by")
    cells = []
    for rule in rules:
        turns = rule["turns_to_break"]
        cells.append(
            [
                rule["rule"],
                str(rule["attempts"]),
                str(rule["broken"]),
                percent(rule["rate"]),
                "-" if rule["by_gate"] is None else str(rule["by_gate"]),
                "-" if rule["by_judge"] is None else str(rule["by_judge"]),
                "-" if turns is None else f"{turns:.1f}",
                counts(rule["ends"]),
            ]
        )
    print_table({name: "left" if name in left else "right" for name in names}, cells, width=_WIDTH)
