"""`wardlaw rules promote`: put a candidate in the place of the rules in force, after all that is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli.audit import _options as audit_options
from server.cli.gate import _options as gate_options

if TYPE_CHECKING:
    from guard.trials.change import Change
    from rules.loaded import Loaded
    from server.cli.rules._promotion import Promotion, Tests
    from server.cli.rules._swap import Pair
    from server.settings import ServerSettings

_SECTIONS = {
    "What": ("over", "beside"),
    "What it may do": ("max_stricter", "max_milder", "max_flips", "tests"),
    "Traffic": ("since", "limit", *audit_options.SECTIONS["Where"]),
    "Server": ("server", "key"),
    "Gate, for the tests": gate_options.SECTION[1:],
    "Output": ("yes", "as_json"),
}


def _share(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    return None if text is None else gate_options.percentage(context, option, text)


@click.command(
    "promote", cls=Sectioned, sections=_SECTIONS, short_help="put a candidate in the place of rules in force"
)
@click.argument("candidate")
@click.option("--over", required=True, metavar="RULES", help="The rule file that it takes the place of.")
@click.option(
    "--with",
    "beside",
    multiple=True,
    metavar="PACK|FILE",
    help="What the server loads before either file, as `-c base -c rules.yaml` does.",
)
@click.option("--max-stricter", callback=_share, metavar="PERCENT", help="At most so much may be judged stricter.")
@click.option("--max-milder", callback=_share, metavar="PERCENT", help="At most so much may be judged milder.")
@click.option("--max-flips", callback=_share, metavar="PERCENT", help="At most so much may be judged otherwise at all.")
@click.option(
    "--tests",
    type=click.Choice(["off", "report", "no_worse", "strict"]),
    default="no_worse",
    show_default=True,
    help="What the rules' own tests decide, as `reload.tests` of the server; contracts are held unless it is `off`.",
)
@click.option("--since", default="7d", show_default=True, metavar="TIME", help="Traffic from then on: `2h`, `7d`.")
@click.option("-n", "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="Flips to list.")
@audit_options.where_options
@click.option("--server", metavar="URL", help="Ask this server to reload, as http://127.0.0.1:8080.")
@click.option(
    "--key", envvar="WARDLAW_ADMIN_KEY", metavar="KEY", help="Its key with the scope `admin`, where it has any."
)
@gate_options.model_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object; nobody is asked, and without --yes nothing is replaced.",
)
def command(
    candidate: str,
    over: str,
    beside: tuple[str, ...],
    max_stricter: float | None,
    max_milder: float | None,
    max_flips: float | None,
    tests: Tests,
    since: str,
    limit: int,
    database: str,
    folder: Path,
    server: str | None,
    key: str | None,
    chosen: gate_options.Chosen,
    yes: bool,
    as_json: bool,
) -> int:
    """Put CANDIDATE in the place of the rules in force.

    Shows what changed in words, what this very candidate said to the traffic beside the rules in force (`wardlaw serve
    --shadow`), and how it fares with its own tests and contracts. Then it asks, and swaps the files in one step: the
    old rules stay beside the new ones under a name with their digest. A server that watches the file reloads by itself.

    A bound as `--max-stricter 1%` is held against the upper end of the range that holds the true share with 95%
    confidence, so that little traffic proves little. With --config, the gate that runs the tests is the server's.

    Exit codes: 0 promoted, or, with --json alone, nothing speaks against it; 1 not: a contract, a test or a bound
    speaks against it, the answer was no, or the server did not take it; 2 wrong input.
    """
    from rules.diff import diff
    from server.cli.rules._promotion import Promotion
    from server.cli.rules._swap import read_pair, staged, swap

    moment = audit_options.moment(since, "--since")
    pair = read_pair(candidate, over)
    new, old = _loaded(*beside, candidate), _loaded(*beside, over)
    _refuse_extending(new, pair, candidate, over)
    given = {"stricter": max_stricter, "milder": max_milder, "flips": max_flips}
    with staged(pair) as path:
        found = diff(old, new)
        if _digest(*beside, str(path)) != found.new:
            what = f"`{candidate}` comes to other rules in the folder of `{over}`"
            raise WardlawError(what, "what it extends there is another file: bring the two together")
        promotion = Promotion(candidate, over, found, None, tests=tests)
        promotion.bounds = {name: bound for name, bound in given.items() if bound is not None}
        _look_at_traffic(promotion, database, folder, moment, limit)
        if tests != "off":
            promotion.change = _tried(new, old, chosen)
        _tell(promotion, as_json)
        may = not any(promotion.refusals())
        agreed = may and (yes or (not as_json and _agrees(promotion)))
        if agreed:
            kept = swap(pair, path, found.old, lambda: _digest(*beside, over) == found.new)
            promotion.kept = str(kept)
    taken = agreed and _reload(promotion, server, key, as_json)
    if as_json:
        from server.cli._json import as_text

        click.echo(as_text(promotion.as_dict()))
    return 0 if taken or (as_json and may and not agreed) else 1


def _loaded(*sources: str) -> Loaded:
    from server.building import load_checked

    return load_checked(sources)


def _digest(*sources: str) -> str:
    from rules.digest import constitution_digest

    try:
        return constitution_digest(_loaded(*sources).constitution)
    except WardlawError as error:
        what = f"the candidate does not load in the place of the rules: {error.what}"
        raise WardlawError(what, error.hint or "what it extends has to lie there too") from None


def _refuse_extending(new: Loaded, pair: Pair, candidate: str, over: str) -> None:
    if pair.rules in {path.resolve() for path in new.files}:
        hint = f"write into `{candidate}` what it takes from there, or extend what both build on"
        raise WardlawError(f"`{candidate}` extends `{over}`, in whose place it would stand", hint)


def _look_at_traffic(promotion: Promotion, database: str, folder: Path, since: float, limit: int) -> None:
    from server.audit.errors import AuditError
    from server.audit.query import Decisions
    from server.audit.shadows import Shadows
    from server.cli.audit._texts import kept_at

    named = audit_options.is_named(database)
    try:
        with audit_options.opened(database, folder) as opened:
            shadows = Shadows(opened)
            before, after = promotion.diff.old, promotion.diff.new
            promotion.traffic = shadows.count(before, after, since, limit)
            decisions = Decisions(opened)
            promotion.texts = {
                each.decision: kept_at(decisions.one(each.decision), (place.where for place in each.places))
                for each in promotion.traffic.worst
            }
            beside = shadows.bases(after, since)
            promotion.elsewhere = {digest: count for digest, count in beside.items() if digest != before}
    except AuditError as error:
        if named:
            raise
        promotion.no_traffic = error.what


def _tried(new: Loaded, old: Loaded, chosen: gate_options.Chosen) -> Change:
    from guard.trials.change import compare

    settings = audit_options.named_settings()
    if settings is not None and chosen == gate_options.Chosen():
        chosen = _as_served(settings)
    with (
        gate_options.build_gate(chosen, new.constitution) as gate,
        gate_options.build_gate(chosen, old.constitution) as now,
    ):
        return compare(gate, now)


def _as_served(settings: ServerSettings) -> gate_options.Chosen:
    """The gate as the server has it."""
    gate = settings.gate
    return gate_options.Chosen(
        encoder=gate.encoder,
        heads=gate.heads,
        no_meaning=not gate.meaning,
        judge=gate.judge or None,
        judge_mode=gate.judge_mode,
        guard_model=gate.guard_model or None,
    )


def _tell(promotion: Promotion, as_json: bool) -> None:
    from server.cli.rules._promotion_text import page

    if not as_json:
        click.echo(page(promotion))


def _agrees(promotion: Promotion) -> bool:
    click.echo(err=True)
    asked = (
        f"put {promotion.candidate} ({promotion.diff.new}) in the place of {promotion.rules} ({promotion.diff.old})?"
    )
    agreed = click.confirm(asked, err=True)
    if not agreed:
        click.echo(f"nothing was changed: {promotion.rules} is {promotion.diff.old} as before")
    return agreed


def _reload(promotion: Promotion, server: str | None, key: str | None, as_json: bool) -> bool:
    """Let a server take the new rules, where one is named; whether it did."""
    said: list[str] = [f"promoted: {promotion.rules} is {promotion.diff.new} now; before: {promotion.kept}"]
    taken = True
    if server is None:
        said.append("a server that watches the file reloads by itself; others by SIGHUP or `POST /admin/reload`")
    else:
        from server.cli.rules._promotion_text import reloaded
        from server.cli.rules._reloading import ask_to_reload

        promotion.server = told = ask_to_reload(server, key)
        digests = {each.get("digest") for each in told.get("constitutions", {}).values()}
        taken = promotion.diff.new in digests
        said += reloaded(told)
        if not taken:
            said.append(f"the new rules are not in force there; to go back: cp {promotion.kept} {promotion.rules}")
    if not as_json:
        click.echo("\n".join(said))
    return taken
