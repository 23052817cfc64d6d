"""Many exchanges judged from a file into a file."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from guard.gate import BATCH_LIMIT, Gate
from guard.training.rows import LabelError
from guard.training.sets import Line, as_line, read_raw
from rules.errors import WardlawError
from server.cli._bar import counting
from server.cli._summary import counted
from server.cli.gate._projection import as_dict, dump, in_system


@dataclass(slots=True)
class Bulk:
    """What came of a file."""

    rows: int = 0
    found: int = 0
    """Rows with a finding."""
    degraded: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    """Lines passed over, as `file:line: what`."""


class Exchanges:
    """The lines of a file, or of standard input (`-`), as exchanges; can be gone through again."""

    def __init__(self, name: str, *, skip_bad: bool) -> None:
        """Read all lines once, so that a bad one is told before anything is judged.

        Raises:
            LabelError: a line is bad and bad ones are not passed over, or there is none.
        """
        self.path = Path("<stdin>" if name == "-" else name)
        # Standard input cannot be read twice.
        self._kept = list(read_raw(self.path, sys.stdin.buffer)) if name == "-" else None
        self._skip_bad = skip_bad
        self.bad: list[str] = []
        self.total = 0
        for each in self._all():
            if isinstance(each, LabelError):
                self.bad.append(each.what)
            else:
                self.total += 1
        if not self.total:
            what = f"`{self.path}` has no rows" + (f" but {len(self.bad)} bad ones" if self.bad else "")
            raise LabelError(what, 'write {"id": "...", "prompt": "..."}, one object a line')

    def __iter__(self) -> Iterator[Line]:
        return (each for each in self._all() if isinstance(each, Line))

    def _all(self) -> Iterator[Line | LabelError]:
        for number, found in read_raw(self.path) if self._kept is None else self._kept:
            try:
                if isinstance(found, LabelError):
                    raise found
                yield as_line(self.path, number, found)
            except LabelError as error:
                if not self._skip_bad:
                    raise LabelError(error.what, f"{error.hint}; or pass over bad lines with --skip-bad") from error
                yield error


def judge_file(gate: Gate, lines: Exchanges, out: Path | None, *, quiet: bool, hazards: str | None = None) -> Bulk:
    """Judge every line and write its verdict: `id`, `line` and `verdict`, one object a line, in the same order.

    Args:
        gate: what judges.
        lines: what is judged.
        out: where to write, packed where the name ends in .gz; put in its place when it is whole. None is standard
            output.
        quiet: show no progress.
        hazards: a hazard system in whose codes each row also says, under `hazards`, what was found.

    Raises:
        WardlawError: it cannot be written.
    """
    bulk = Bulk(bad=lines.bad)
    with _opened(out) as file, counting("rows", lines.total, quiet=quiet) as advance:
        for batch in _batches(lines):
            for line, verdict in zip(batch, gate.judge_many([each.exchange for each in batch]), strict=True):
                bulk.rows += 1
                bulk.found += bool(verdict.findings)
                bulk.degraded += bool(verdict.coverage.degraded)
                bulk.actions[str(verdict.action)] += 1
                bulk.rules.update(verdict.broken)
                row = {"id": line.fields.get("id"), "line": line.number, "verdict": as_dict(verdict)}
                if hazards is not None:
                    row["hazards"] = in_system(verdict, gate.constitution, hazards)
                file.write((dump(row) + "\n").encode())
            advance(len(batch))
    return bulk


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    waiting = iter(lines)
    while batch := list(islice(waiting, BATCH_LIMIT)):
        yield batch


@contextlib.contextmanager
def _opened(out: Path | None) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The file that becomes `out` when the block ends well."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as raw:
            if out.suffix == ".gz":
                # No time and no name in its head: the same verdicts make the same file.
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                    yield packed
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        partial.replace(out)
    except OSError as error:
        raise WardlawError(f"cannot write `{out}`: {error.strerror or error}", "give another file, or room") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def summary(bulk: Bulk) -> Iterator[str]:
    """The closing words."""
    share = f" ({100 * bulk.found / bulk.rows:.2f}%)" if bulk.rows else ""
    yield f"{counted(bulk.rows, 'row')}, {bulk.found:,} with a finding{share}"
    yield "  " + ", ".join(f"{action} {count:,}" for action, count in sorted(bulk.actions.items()))
    yield from (f"  {rule} {count:,}" for rule, count in bulk.rules.most_common(10))
    if bulk.degraded:
        yield f"{counted(bulk.degraded, 'row')} judged with a detector that failed: see `coverage.degraded` in them"
    if bulk.bad:
        yield f"{counted(len(bulk.bad), 'bad line')} passed over, as {bulk.bad[0]}"


def as_json(bulk: Bulk) -> dict[str, Any]:
    """The same as one object."""
    return {
        "rows": bulk.rows,
        "found": bulk.found,
        "degraded": bulk.degraded,
        "actions": dict(bulk.actions),
        "rules": dict(bulk.rules.most_common()),
        "bad": bulk.bad,
    }
