"""A whole run: files in, a folder of shards out, whatever judges them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from guard.bulk import local, on_ray, repeats, shard
from guard.bulk.files import find
from guard.bulk.folder import ASIDE, SHARDS, WORK, BulkError, Determined, settle, shards_of
from guard.bulk.tally import Tally
from guard.bulk.unit import size_for
from guard.bulk.work import Done, Plan
from guard.gate import Gate
from guard.held import held
from guard.whole_file import write


@dataclass(frozen=True, slots=True)
class Engine:
    """On what units are judged."""

    ray: bool = False
    """Whether by a Ray cluster; else in this process."""
    address: str | None = None
    """Of a cluster; None begins one on this machine."""
    workers: int | None = None
    gpus: float = 0.0
    """GPUs of a worker."""


@dataclass(slots=True)
class Outcome:
    """What came of a run, with what earlier runs of its folder had done."""

    tally: Tally = field(default_factory=Tally)
    units: int = 0
    kept: int = 0
    """Units whose shard was there."""
    files: int = 0
    unread: list[str] = field(default_factory=list)
    """Files that could not be read to their end, with the reason."""
    dropped: int = 0
    """Shards of lines that no longer stand in these files."""
    others: int = 0
    """Shards of files that this run was not given; they stay."""
    repeats: repeats.Repeats = field(default_factory=repeats.Repeats)


def judge_files(
    names: Sequence[str],
    out: Path,
    gate: Gate,
    build: Callable[[int | None], Gate],
    *,
    engine: Engine,
    thorough: bool = False,
    hazards: str | None = None,
    lines: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Judge every line of files into a folder, going on where an earlier run of it ended.

    Args:
        names: files, patterns, folders.
        out: the folder.
        gate: what judges, here or, as `build` makes it, elsewhere.
        build: makes the gate in a process of a cluster, which it is sent to.
        engine: on what it runs.
        thorough: whether the gate is.
        hazards: a hazard system in whose codes rows also say what was found.
        lines: write each shard as JSON lines too.
        advance: is told how many more lines are done.

    Raises:
        LabelError: there is nothing to judge.
        BulkError: the folder is in use, holds verdicts made otherwise, or cannot be written.
        ClusterError: no cluster can be had.
    """
    inside = out.resolve()
    files = [name for name in find(names) if not Path(name).resolve().is_relative_to(inside)]
    if not files:
        raise BulkError(f"all that is to be judged lies in `{out}` itself", "give another --out folder")
    with held(out, BulkError):
        wanted = Determined(
            constitution=gate.digest,
            gate=gate.identity,
            thorough=thorough,
            hazards=hazards,
            unit=size_for(sum(Path(name).stat().st_size for name in files)),
        )
        determined = settle(out, wanted)
        plan = Plan(out, build, gate.identity, hazards, lines)
        outcome = Outcome(files=len(files))
        claimed: set[str] = set()
        for done in _dones(plan, files, determined.unit, gate, engine):
            if done.error:
                outcome.unread.append(done.error)
                continue
            claimed.add(done.name)
            outcome.units += 1
            outcome.kept += done.kept
            outcome.tally.add(done.tally)
            advance(done.tally.rows + done.tally.aside)
        _close(out, outcome, claimed, files)
    return outcome


def _dones(plan: Plan, files: Sequence[str], about: int, gate: Gate, engine: Engine) -> Iterator[Done]:
    if engine.ray:
        address, workers = engine.address, engine.workers
        return on_ray.dones(plan, files, about, address=address, workers=workers, gpus=engine.gpus)
    return local.dones(plan, files, about, gate)


def _close(out: Path, outcome: Outcome, claimed: set[str], files: Sequence[str]) -> None:
    """What is left when every unit has its shard: none of lines that are gone, aside.jsonl, the repeated ids.

    Raises:
        BulkError: the folder cannot be written.
    """
    import pyarrow as pa

    try:
        mine, given = [], set(files)
        for path in shards_of(out):
            if path.stem in claimed:
                mine.append(path)
            elif shard.tally_of(path)[0] in given and not outcome.unread:
                # The file was changed since: what the line said is not what stands there now.
                path.unlink()
                path.with_suffix(".jsonl.gz").unlink(missing_ok=True)
                outcome.dropped += 1
            else:
                outcome.others += 1
        aside = out / ASIDE
        if outcome.tally.aside:
            rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in shard.asides(mine))
            write(aside, rows.encode(), 0o644)
        else:
            aside.unlink(missing_ok=True)
        outcome.repeats = repeats.find(mine, outcome.tally.rows)
        # What killed workers left behind.
        for left in (*(out / WORK).iterdir(), *(out / SHARDS).glob("*.tmp")):
            with suppress(OSError):
                left.unlink()
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise BulkError(f"`{out / SHARDS}` cannot be gone through: {error}", "run again to go on") from error
