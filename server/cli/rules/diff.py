"""`wardlaw rules diff`: what changed between two versions of the rules, in words and in effect."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli.audit import _options as audit_options
from server.cli.gate import _options as gate_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constitution.dependents import Dependence
    from rules.schema import Constitution
    from server.cli.rules._report import Replayed, Report
    from server.cli.rules._traffic import Passed, Row

_AUDIT = "audit"
_SECTIONS = {
    "In effect": ("on", "data", "limit", "skip_bad"),
    "Output": ("form", "fail_on", "new_ok", "quiet"),
    "Gate": gate_options.SECTION[1:],
    "With `--on audit`: where": audit_options.SECTIONS["Where"],
    "With `--on audit`: which": audit_options.SECTIONS["Which"],
}


@click.command("diff", cls=Sectioned, sections=_SECTIONS, short_help="say what changed between two versions of rules")
@click.argument("old")
@click.argument("new")
@click.option(
    "--on",
    metavar="FILE|audit",
    help="Replay these texts through both: JSON lines, CSV or Parquet (`-` is stdin), or what the server's audit kept.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Say which training rows of this folder depend on changed rules.",
)
@click.option("-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Flips to list.")
@click.option("--skip-bad", is_flag=True, help="With --on, pass over bad lines and count them.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="`markdown` is fit for a comment under a pull request.",
)
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["changes", "flips", "stricter", "milder"]),
    help="Exit with 1 where there are some; may be given several times.",
)
@click.option(
    "--new-ok", is_flag=True, help="OLD may have no rules, as on a branch that they are not on yet: then all are new."
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@gate_options.model_options
@audit_options.where_options
@audit_options.filter_options
def command(
    old: str,
    new: str,
    on: str | None,
    data: Path | None,
    limit: int,
    skip_bad: bool,
    form: str,
    fail_on: tuple[Any, ...],
    new_ok: bool,
    quiet: bool,
    chosen: gate_options.Chosen,
    database: str,
    folder: Path,
    **given: Any,
) -> int:
    """Say what changed from OLD to NEW: rule files, folders, packs, or git revisions of them.

    A revision is written as git does, `HEAD~1:rules.yaml`: paths count from the top of the repository, those that begin
    with `./` from here. Behind each change stands what it can change: verdicts of the gate, rows of training data, or
    neither.

    With --on, texts are judged by both, and those judged otherwise are listed, worst first, with rates and the ranges
    that hold the true ones with 95% confidence.

    Exit codes: 0 done, also where something changed; 1 what --fail-on names has happened; 2 an error.
    """
    from rules.diff import diff
    from server.cli.rules._report import Report
    from server.cli.rules._versions import read_earlier, read_version

    if on != _AUDIT:
        _refuse_filters(given)
    if any(each != "changes" for each in fail_on) and on is None:
        raise click.UsageError("`--fail-on` names flips, and nothing is replayed\n  hint: name texts with --on")
    after = read_version(new)
    before = read_earlier(old, after) if new_ok else read_version(old)
    found = diff(before, after)
    replayed = None
    if on is not None:
        audit = (database, folder, given)
        replayed = _replay((before.constitution, after.constitution), on, audit, chosen, limit, skip_bad, quiet)
    report = Report(
        old,
        new,
        found,
        _taught_otherwise(before.constitution, after.constitution, chosen),
        replayed,
        None if data is None else _depending(data, after.constitution),
        "" if data is None else str(data),
        first=before.loaded is None,
    )
    click.echo(_told(report, form))
    return int(report.fails(fail_on))


def _told(report: Report, form: str) -> str:
    if form == "json":
        from server.cli.gate._projection import dump

        return dump(report.as_dict(), indent=2)
    if form == "markdown":
        from server.cli.rules._diff_markdown import as_markdown

        return as_markdown(report).rstrip("\n")
    from server.cli.rules._diff_text import as_text

    return as_text(report)


def _refuse_filters(given: dict[str, Any]) -> None:
    named = [name for name in audit_options.FILTERS if given.get(name)]
    if named:
        raise click.UsageError(f"`--{named[0]}` chooses decisions of the audit\n  hint: it goes with `--on audit`")


def _taught_otherwise(old: Constitution, new: Constitution, chosen: gate_options.Chosen) -> tuple[str, ...]:
    """Changed rules that a trained head judges, by other words than they have now; rules without a head are none."""
    known = {rule.id: rule for rule in old}
    meant = [rule for rule in new if rule.id in known and rule.detect and rule.detect.meaning]
    if not meant or chosen.heads == "none":
        return ()
    from guard.trained.heads import Heads, shipped
    from guard.trained.teaching import teaching_digest

    changed = [rule.id for rule in meant if teaching_digest(rule) != teaching_digest(known[rule.id])]
    if not changed:
        return ()

    heads = shipped(new) if chosen.heads == "shipped" else Heads.load(Path(chosen.heads))
    stale = set(heads.stale(new)) if heads else set()
    return tuple(rule for rule in changed if rule in stale)


def _replay(
    rules: tuple[Constitution, Constitution],
    on: str,
    audit: tuple[str, Path, dict[str, Any]],
    chosen: gate_options.Chosen,
    limit: int,
    skip_bad: bool,
    quiet: bool,
) -> Replayed:
    from guard.replay import Replay
    from server.cli._bar import counting
    from server.cli.rules._report import Replayed, Worst, counted_in
    from server.cli.rules._traffic import Passed, read_traffic

    passed, worst = Passed(), Worst(limit)
    # Once through beforehand: a bad line is told of before hours of judging, not after.
    total = None if on in (_AUDIT, "-") else sum(1 for _ in read_traffic(on, Passed(), skip_bad=skip_bad))
    with ExitStack() as stack:
        texts = _texts(on, audit, passed, skip_bad, stack)
        first = next(texts, None)  # that there is nothing is told of before any model is loaded
        if first is None:
            raise _nothing(on, passed)
        old, new = (stack.enter_context(gate_options.build_gate(chosen, each)) for each in rules)
        replay = Replay(old, new)
        advance = stack.enter_context(counting("texts", total, quiet=quiet))
        counted_in(replay.judge(_again(first, texts), advance), replay.tally, worst)
    return Replayed(on, replay.tally, worst.ranked(), passed)


def _texts(
    on: str, audit: tuple[str, Path, dict[str, Any]], passed: Passed, skip_bad: bool, stack: ExitStack
) -> Iterator[Row]:
    from server.cli.rules._traffic import read_decisions, read_traffic

    if on != _AUDIT:
        return read_traffic(on, passed, skip_bad=skip_bad)
    from server.audit.query import Decisions

    database, folder, given = audit
    filters = audit_options.filters(given)
    opened = stack.enter_context(audit_options.opened(database, folder))
    return read_decisions(Decisions(opened).all(filters), passed)


def _again(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _nothing(on: str, passed: Passed) -> WardlawError:
    """Why there is nothing to replay. It is an error: no flips of nothing would pass for a good sign."""
    from server.cli.rules._figures import KEEP_CONTENT

    if passed.unfit:
        why, count = passed.unfit.most_common(1)[0]
        return WardlawError(f"none of {passed.decisions:,} decisions can be replayed: of {count:,} {why}", KEEP_CONTENT)
    if passed.bad:
        return WardlawError(f"`{on}` has no rows but {passed.bad:,} bad ones, as {passed.first}", "mend them")
    if on == _AUDIT:
        return WardlawError("no decision is like that", "ask for less: every option narrows the choice")
    return WardlawError(f"`{on}` has no rows", 'write {"prompt": "..."}, one object a line')


def _depending(folder: Path, constitution: Constitution) -> Dependence:
    from constitution.dependents import depending
    from constitution.rows import open_rows

    with closing(open_rows(folder)) as store:
        return depending(folder, store, constitution)
