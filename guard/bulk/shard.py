"""A unit's verdicts as one Parquet file: a row a line, and the unit's tally in the file's own metadata.

Nothing in it tells when or by whom it was made: the same lines and the same gate make the same verdicts, to the
rounding of an encoder's arithmetic.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from guard.bulk.tally import Tally
from guard.bulk.unit import Unit
from guard.training.sets import Line
from guard.verdict import Verdict
from guard.whole_file import write

_TALLY = b"wardlaw.tally"
_FILE = b"wardlaw.file"
_DIGITS = 6
_MODE = 0o644

Fields = dict[str, Any]


def verdict_row(file: str, line: Line, verdict: Verdict, content: int, codes: list[str] | None) -> Fields:
    """The row of a judged line.

    Args:
        file: the name of its file.
        line: what was judged.
        verdict: what was found.
        content: digest of the line, see `digest_of`.
        codes: hazards in the codes of a system, where they were asked for.
    """
    given = line.fields.get("id")
    coverage = verdict.coverage
    return {
        "id": None if given is None else whole(str(given)),
        "file": whole(file),
        "line": line.number,
        "error": None,
        "action": str(verdict.action),
        "broken": list(verdict.broken),
        "score": round(verdict.score, _DIGITS),
        "findings": [
            {
                "rule": each.rule,
                "part": str(each.part),
                "start": each.span[0],
                "end": each.span[1],
                "detector": each.detector,
                "view": each.view,
                "score": round(each.score, _DIGITS),
                "threshold": round(each.threshold, _DIGITS),
                "calibrated": each.calibrated,
                "excerpt": whole(each.excerpt),
            }
            for each in verdict.findings
        ],
        "scores": [(rule, round(score, _DIGITS)) for rule, score in sorted(verdict.scores.items())],
        "hazards": codes,
        "degraded": sorted(coverage.degraded),
        "coverage": json.dumps(
            {
                "scanned": {name: list(rules) for name, rules in coverage.scanned.items()},
                "not_scanned": dict(coverage.not_scanned),
                "degraded": dict(coverage.degraded),
                "partial": dict(coverage.partial),
            }
        ),
        "constitution": verdict.constitution,
        "id_key": None if given is None else id_key(given),
        "content": content,
    }


def aside_row(file: str, number: int, why: str, content: int, given: object = None) -> Fields:
    """The row of a line that could not be judged."""
    return {
        "id": None if given is None else whole(str(given)),
        "file": whole(file),
        "line": number,
        "error": whole(why),
        "id_key": None if given is None else id_key(given),
        "content": content,
        **{name: [] for name in ("broken", "findings", "scores", "degraded")},
        **dict.fromkeys(("action", "score", "hazards", "coverage", "constitution")),
    }


def digest_of(data: bytes) -> int:
    """64 bits of a line, by which two lines are known to say the same."""
    return _number(data)


def id_key(given: object) -> int:
    """64 bits of an id, by which rows of one id are found without holding a hundred million texts."""
    return _number(str(given).encode("utf-8", "surrogatepass"))


def put(path: Path, file: str, rows: list[Fields]) -> Tally:
    """Write a shard, whole or not at all, over one of that name.

    Raises:
        OSError: it cannot be written.
    """
    import pyarrow as pa

    tally = Tally()
    for row in rows:
        tally.count(row)
    _write(path, pa.Table.from_pylist(rows, schema=_schema()), file, tally)
    return tally


def tally_of(path: Path) -> tuple[str, Tally]:
    """The file whose lines a shard holds, and what came of them.

    Raises:
        OSError, pyarrow.ArrowException: it is damaged.
    """
    import pyarrow.parquet as pq

    kept = pq.read_metadata(path).metadata
    return kept[_FILE].decode("utf-8", "surrogateescape"), Tally.load(kept[_TALLY])


def put_elsewhere(old: Path, new: Path, unit: Unit) -> Tally:
    """Write a shard of lines that stand at another place now: their verdicts are the same.

    Raises:
        OSError, pyarrow.ArrowException: the old one is damaged, or the new one cannot be written.
    """
    import pyarrow.parquet as pq

    rows = pq.read_table(old).to_pylist()
    for row, raw in zip(rows, unit.lines, strict=True):
        if row["error"] is not None:  # it tells its place
            row["error"] = row["error"].replace(f"{row['file']}:{row['line']}:", f"{whole(unit.file)}:{raw.number}:")
        row |= {"file": whole(unit.file), "line": raw.number}
    return put(new, unit.file, rows)


def put_lines(path: Path, shard: Path, system: str | None) -> None:
    """Write what a shard holds as JSON lines, packed by gzip; the same shard makes the same file.

    Args:
        path: where.
        shard: the Parquet file.
        system: the hazard system that its codes are of.

    Raises:
        OSError, pyarrow.ArrowException: the shard is damaged, or the lines cannot be written.
    """
    import pyarrow.parquet as pq

    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as lines:
        for row in pq.read_table(shard).to_pylist():
            lines.write(json.dumps(as_dict(row, system), ensure_ascii=False).encode() + b"\n")
    write(path, packed.getvalue(), _MODE)


def as_dict(row: Mapping[str, Any], system: str | None = None) -> Fields:
    """A row of a shard as `gate check --jsonl` writes a line: `id`, `file`, `line` and `verdict`, or `error`."""
    told: Fields = {"id": row["id"], "file": row["file"], "line": row["line"]}
    if row["error"] is not None:
        return {**told, "error": row["error"]}
    findings = []
    for each in row["findings"]:
        finding = {**each, "span": [each["start"], each["end"]]}
        findings.append({key: value for key, value in finding.items() if key not in ("start", "end")})
    told["verdict"] = {
        "action": row["action"],
        "broken": row["broken"],
        "score": row["score"],
        "findings": findings,
        # Kept in 32 bits, which say six digits and then noise.
        "scores": {rule: round(score, _DIGITS) for rule, score in row["scores"]},
        "coverage": json.loads(row["coverage"]),
        "constitution": row["constitution"],
    }
    if row["hazards"] is not None:
        told["hazards"] = {"system": system, "codes": row["hazards"]}
    return told


def asides(shards: Iterable[Path]) -> Iterable[Fields]:
    """The rows of shards that were put aside: their id, file, line and error."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in shards:
        table = pq.read_table(path, columns=["id", "file", "line", "error"])
        yield from table.filter(pc.is_valid(table["error"])).to_pylist()


def whole(text: str) -> str:
    """Text that can be written as UTF-8: JSON can name halves of characters, which Parquet cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _write(path: Path, table: Any, file: str, tally: Tally) -> None:
    import pyarrow.parquet as pq

    kept = {_TALLY: tally.dump(), _FILE: file.encode("utf-8", "surrogateescape")}
    packed = io.BytesIO()
    # What is alike in every row (rules, coverage, the file's name) is written once.
    pq.write_table(table.replace_schema_metadata(kept), packed, compression="zstd")
    write(path, packed.getvalue(), _MODE)


def _schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    finding = pa.struct(
        {
            "rule": text,
            "part": text,
            "start": pa.int64(),
            "end": pa.int64(),
            "detector": text,
            "view": text,
            "score": pa.float64(),
            "threshold": pa.float64(),
            "calibrated": pa.bool_(),
            "excerpt": text,
        }
    )
    return pa.schema(
        {
            "id": text,
            "file": text,
            "line": pa.int64(),
            "error": text,
            "action": text,
            "broken": pa.list_(text),
            "score": pa.float64(),
            "findings": pa.list_(finding),
            "scores": pa.map_(text, pa.float32()),
            "hazards": pa.list_(text),
            "degraded": pa.list_(text),
            "coverage": text,
            "constitution": text,
            "id_key": pa.int64(),
            "content": pa.int64(),
        }
    )


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)
