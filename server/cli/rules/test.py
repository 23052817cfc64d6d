"""`wardlaw rules test`: every rule's own examples and tests through the gate, and the contracts held against them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.cli._sections import Sectioned
from server.cli.gate import _options

if TYPE_CHECKING:
    from guard.trials.advice import Resemble
    from guard.trials.trial import Trial
    from rules.loaded import Loaded

_SECTIONS = {
    "What to test": ("only", "obfuscated"),
    "Gate": _options.SECTION[1:],
    "Output": ("only_failing", "verbose", "as_json", "junit", "strict", "quiet"),
}


@click.command("test", cls=Sectioned, sections=_SECTIONS, short_help="try rules on their own examples and tests")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--rule", "only", metavar="ID", multiple=True, help="Only this rule; may be given several times.")
@click.option("--obfuscated", is_flag=True, help="Try what is found in disguise too: leet, base64, homoglyphs ...")
@_options.model_options
@click.option("--only-failing", is_flag=True, help="Show only rules with a failing test or a broken contract.")
@click.option("-v", "--verbose", is_flag=True, help="List every miss and every false alarm, with place and score.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every text.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML, a test case a text.")
@click.option("--strict", is_flag=True, help="Fail on every test that fails, not on broken contracts alone.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    paths: tuple[str, ...],
    only: tuple[str, ...],
    obfuscated: bool,
    chosen: _options.Chosen,
    only_failing: bool,
    verbose: bool,
    as_json: bool,
    junit: Path | None,
    strict: bool,
    quiet: bool,
) -> int:
    """Try the rules of PATH, or of the pack `base`, on their own examples and tests.

    Shows by rule how many of the texts that break it are found and by which stage, how many near misses are flagged,
    and whether its contract is kept; where not, which example to add. `examples` teach and `tests` do not, so recall
    that is measured on tests alone is what counts.

    Exit codes: 0 all contracts are kept (with --strict, and every test passes); 1 not so; 2 wrong input. A rule without
    a contract fails nothing unless --strict is given.
    """
    from guard.trials.contract import breaches
    from rules.load import load
    from server.cli.rules._ids import named_rule

    paths = paths or ("base",)
    loaded = load(*paths)
    for rule_id in only:
        named_rule(loaded, rule_id, paths)
    trial = _tried(loaded, chosen, only, obfuscated, quiet)
    wanted = only or None
    broken = breaches(loaded.constitution, trial.by_rule, only=wanted)
    if broken:  # only now is it worth loading an encoder to say which neighbour has no near miss
        broken = breaches(loaded.constitution, trial.by_rule, only=wanted, resemble=_resemble(chosen))
    if junit is not None:
        from server.cli.rules._junit import write

        write(junit, loaded, trial, broken, strict=strict)
    poorly = _read_poorly(loaded, chosen, only)
    fails = bool(broken) or (strict and bool(trial.failing("tests")))
    if as_json:
        from server.cli._json import as_text
        from server.cli.rules._trial_json import as_dict

        click.echo(as_text(as_dict(loaded, trial, broken, ok=not fails, only=only, poorly=poorly)))
    else:
        from server.cli.rules._trial_page import show

        show(
            loaded,
            trial,
            broken,
            poorly=poorly,
            only=only,
            only_failing=only_failing,
            verbose=verbose,
            strict=strict,
        )
    return int(fails)


def _tried(loaded: Loaded, chosen: _options.Chosen, only: tuple[str, ...], obfuscated: bool, quiet: bool) -> Trial:
    from guard.trials.disguises import DISGUISES
    from guard.trials.trial import try_rules
    from server.cli._bar import counting

    with _options.build_gate(chosen, loaded.constitution) as gate, counting("texts", quiet=quiet) as looked:
        return try_rules(gate, only=only or None, disguises=DISGUISES if obfuscated else None, on_looked=looked)


def _read_poorly(loaded: Loaded, chosen: _options.Chosen, only: tuple[str, ...]) -> tuple[str, ...]:
    """The rules whose texts are mostly in a script that the gate's encoder reads poorly."""
    from guard.encoders.source import is_default
    from guard.trials.advice import reads_poorly

    if chosen.no_meaning or not is_default(chosen.encoder):
        return ()
    return tuple(rule.id for rule in loaded.constitution if (not only or rule.id in only) and reads_poorly(rule))


def _resemble(chosen: _options.Chosen) -> Resemble | None:
    """How near misses are held against neighbours: by meaning, where the gate has an encoder."""
    if chosen.no_meaning or chosen.encoder == "none":
        return None
    from guard.encoders import open_encoder
    from guard.trials.advice import by_meaning

    return by_meaning(open_encoder(chosen.encoder))
