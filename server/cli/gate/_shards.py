"""Many files judged into a folder of shards, here or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guard.bulk.folder import ASIDE, SHARDS, BulkError
from guard.bulk.run import Engine, Outcome, judge_files
from rules.schema import Constitution
from rules.words import did_you_mean
from server.cli._bar import counting
from server.cli._summary import counted
from server.cli.gate import _options
from server.cli.gate._bulk import Bulk, as_json, summary
from server.cli.gate._projection import dump

if TYPE_CHECKING:
    from guard.gate import Gate

_ENGINES = ("local", "ray")
_FILE_ENDINGS = (".jsonl", ".ndjson", ".json", ".gz")


def wanted(names: Sequence[str], out: Path | None, engine: str) -> bool:
    """Whether a folder of shards is meant, and not one file of verdicts.

    Raises:
        BulkError: it is, but no folder is named, or standard input is to be read.
    """
    if engine not in _ENGINES:
        raise BulkError(f"unknown engine `{engine}`", did_you_mean(engine, _ENGINES))
    name = names[0]
    alone = len(names) == 1 and (name == "-" or (Path(name).is_file() and not name.endswith(".parquet")))
    folder = out is not None and out.is_dir()
    if alone and not folder and engine == "local":
        return False
    if len(names) == 1 and not Path(name).exists() and not any(mark in name for mark in "*?[") and engine == "local":
        return False  # the reader of one file says that there is none
    if "-" in names:
        raise BulkError("standard input cannot be judged into a folder of shards", "write it to a file")
    if out is None:
        raise BulkError("many files are judged into a folder, and none is named", "give --out FOLDER")
    if out.name.endswith(_FILE_ENDINGS) and not folder:
        raise BulkError(f"many files are judged into a folder, and `{out}` names a file", "give --out FOLDER")
    return True


def judge_many(
    names: Sequence[str],
    out: Path,
    chosen: _options.Chosen,
    *,
    engine: Engine,
    thorough: bool,
    hazards: str | None,
    lines: bool,
    skip_bad: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Judge files into a folder and say what came of it; the exit code.

    Raises:
        BulkError: it cannot be done, or lines were put aside that were not to be.
    """
    from rules.hazards import known_system
    from rules.load import load

    constitution = load(*chosen.rules).constitution
    if hazards is not None:
        known_system(hazards, constitution)
    with (
        _options.build_gate(chosen, constitution, thorough=thorough) as gate,
        counting("rows", quiet=quiet) as advance,
    ):
        outcome = judge_files(
            names,
            out,
            gate,
            partial(_build, chosen, constitution, thorough),
            engine=engine,
            thorough=thorough,
            hazards=hazards,
            lines=lines,
            advance=advance,
        )
    click.echo(dump(_as_json(outcome)) if json else "\n".join(_summary(outcome, out, skip_bad)))
    tally = outcome.tally
    if outcome.unread:
        raise BulkError(
            f"{counted(len(outcome.unread), 'file')} could not be read to the end: {outcome.unread[0]}",
            "mend it and run again: what is judged is kept",
        )
    if tally.aside and not skip_bad:
        raise BulkError(
            f"{tally.first_aside[0]}{_more(tally.aside)}",
            f"all other lines are judged; the lines are in `{out / ASIDE}`: mend them and run again, or take the "
            "verdicts without them with --skip-bad",
        )
    if not tally.rows:
        raise BulkError("there were no lines to judge", 'write {"id": "...", "prompt": "..."}, one object a line')
    return int(tally.actions.total() > tally.actions["allow"] or tally.found > 0)


def _build(chosen: _options.Chosen, constitution: Constitution, thorough: bool, threads: int | None) -> Gate:
    """The gate, in a process of the cluster."""
    return _options.build_gate(chosen, constitution, thorough=thorough, threads=threads)


def _summary(outcome: Outcome, out: Path, skip_bad: bool) -> Iterator[str]:
    yield from summary(_bulk(outcome))
    tally = outcome.tally
    if tally.aside and skip_bad:
        yield f"{counted(tally.aside, 'line')} put aside, in {out / ASIDE}, as {tally.first_aside[0]}"
    repeats = outcome.repeats
    if repeats.same:
        yield f"{counted(repeats.same, 'line')} repeat{'s' * (repeats.same == 1)} an earlier one, id and all"
    if repeats.other:
        yield (
            f"{counted(repeats.other, 'line')} {'has' if repeats.other == 1 else 'have'} the id of a line that says "
            f"something else, as {repeats.shown[0]}: join by file and line"
        )
    if outcome.kept:
        yield f"{outcome.kept:,} of {counted(outcome.units, 'shard')} from an earlier run"
    if outcome.dropped:
        yield f"{counted(outcome.dropped, 'shard')} of lines that are no longer there taken out"
    if outcome.others:
        yield f"{counted(outcome.others, 'shard')} of other files left as they are"
    yield f"look at {out / SHARDS}: one row a line, in Parquet"


def _as_json(outcome: Outcome) -> dict[str, Any]:
    repeats = outcome.repeats
    return {
        **as_json(_bulk(outcome)),
        "bad": outcome.tally.first_aside,
        "aside": outcome.tally.aside,
        "unread": outcome.unread,
        "files": outcome.files,
        "shards": {
            "all": outcome.units,
            "kept": outcome.kept,
            "dropped": outcome.dropped,
            "of_other_files": outcome.others,
        },
        "repeats": {"same": repeats.same, "other": repeats.other, "shown": list(repeats.shown)},
    }


def _bulk(outcome: Outcome) -> Bulk:
    tally = outcome.tally
    return Bulk(rows=tally.rows, found=tally.found, degraded=tally.degraded, actions=tally.actions, rules=tally.rules)


def _more(count: int) -> str:
    return f" (and {counted(count - 1, 'more line')} that cannot be judged)" if count > 1 else ""
