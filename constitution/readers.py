"""How prompt files are read: JSONL, JSON, CSV, Parquet, text (all also .gz) and Hugging Face data sets, streamed."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from constitution.prompt import PromptError
from rules.words import listed, quoted

Item = tuple[int, Any]

_ESCAPED = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of bytes that are not UTF-8."""


def kind_of(name: str) -> str:
    """The ending that says how `name` is read, as `.csv`, without a `.gz` behind it; lower case, perhaps empty."""
    endings = [ending.lower() for ending in Path(name).suffixes]
    if endings[-1:] == [".gz"]:
        endings.pop()
    return endings[-1] if endings else ""


def check_kind(name: str) -> None:
    """See that `name` has an ending that can be read: whatever is not known would be taken for a prompt a line.

    Raises:
        PromptError: an unknown ending, or Parquet in gzip.
    """
    kind = kind_of(name)
    if kind == ".parquet" and name.lower().endswith(".gz"):
        raise PromptError(
            f"{quoted(name)} is Parquet in gzip, which cannot be read piece by piece",
            "unpack it with gunzip: Parquet is compressed as it is",
        )
    if kind not in _READERS:
        known = listed(ending for ending in _READERS if ending)
        raise PromptError(
            f"{quoted(name)} is of a kind that is not read: `{kind}`",
            f"the kinds are {known}, each but Parquet also with `.gz`; a name without an ending is text",
        )


def place(name: str, number: int) -> str:
    """Where a prompt stands, for an error: `file.jsonl:3`, and where lines say nothing `file.json: item 3`."""
    if name.startswith("hf:") or kind_of(name) == ".parquet":
        return f"{name}: row {number}"
    return f"{name}: item {number}" if kind_of(name) == ".json" else f"{name}:{number}"


def bad_line(name: str, number: int, what: str, hint: str = "mend it") -> PromptError:
    """The error of one line, item or row of a file."""
    return PromptError(f"{place(name, number)}: {what}", f"{hint}, or pass over bad lines with --skip-bad")


def items(name: str) -> Iterable[Item]:
    """The lines or rows of a file or data set with their numbers, from 1; what is wrong with one stands in its place.

    Args:
        name: a path, `-` for standard input, or `hf:ID[#SPLIT]`. The ending says what kind it is.

    Raises:
        PromptError: the whole cannot be read.
    """
    if name.startswith("hf:"):
        return _data_set(name.removeprefix("hf:"))
    return (_lines if name == "-" else _READERS[kind_of(name)])(name)


def _open(name: str) -> IO[bytes] | gzip.GzipFile:
    if name == "-":
        return sys.stdin.buffer
    return gzip.open(name) if name.lower().endswith(".gz") else Path(name).open("rb")


def _raw(name: str) -> Iterator[bytes]:
    """The lines as bytes: decoded one by one, a line that is not UTF-8 spoils none beside it."""
    with _open(name) as file:
        try:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix(codecs.BOM_UTF8)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise PromptError(f"`{name}` is no whole gzip file ({error})", "fetch the file again") from error
        except OSError as error:
            raise PromptError(f"`{name}` cannot be read ({error.strerror})", "look at the file") from error


def _lines(name: str) -> Iterator[tuple[int, str | PromptError]]:
    for number, line in enumerate(_raw(name), 1):
        try:
            yield number, line.decode().strip()
        except UnicodeDecodeError as error:
            yield number, bad_line(name, number, f"not UTF-8 ({error.reason})")


def _jsonl(name: str) -> Iterator[Item]:
    for number, text in _lines(name):
        if isinstance(text, PromptError) or not text:
            yield number, text
            continue
        try:
            yield number, json.loads(text)
        except json.JSONDecodeError as error:
            yield number, bad_line(name, number, f"not JSON ({error.msg}, column {error.colno})")
        except RecursionError:
            yield number, bad_line(name, number, "JSON nested too deep")


def _json(name: str) -> Iterator[Item]:
    try:
        whole = json.loads(b"".join(_raw(name)))
    except (ValueError, RecursionError) as error:
        raise PromptError(f"`{name}` is not JSON ({error})", "one object a line? name it .jsonl") from error
    if not isinstance(whole, list):
        raise PromptError(f"`{name}` is no list", "give a JSON list of prompts, or .jsonl with one a line")
    yield from enumerate(whole, 1)


def _csv(name: str) -> Iterator[Item]:
    lines = (line.decode(errors="surrogateescape") for line in _raw(name))
    tabs = kind_of(name) == ".tsv"
    reader = csv.DictReader(lines, delimiter="\t" if tabs else ",", strict=True)
    width = len(_head(name, reader, "tabs" if tabs else "commas"))
    while True:
        began = reader.line_num + 1
        try:
            item = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield began, bad_line(name, began, f"not CSV ({error})")
            continue
        number = reader.line_num
        if any(_ESCAPED.search(str(value)) for value in item.values()):
            yield number, bad_line(name, number, "not UTF-8")
        elif None in item:  # what an unquoted comma cuts off would be missing from the prompt
            count = width + len(item[None])
            what = f"has {count} fields, the head has {width}"
            yield number, bad_line(name, number, what, f"quote text that holds a {'tab' if tabs else 'comma'}")
        else:
            yield number, item


def _head(name: str, reader: csv.DictReader[str], parted_by: str) -> Sequence[str]:
    """The names of the columns."""
    try:
        head = reader.fieldnames or ()
    except csv.Error as error:
        raise PromptError(f"{name}:1: the head is not CSV ({error})", "give the columns' names in it") from error
    if len(head) == 1 and (mark := next((mark for mark in ";\t|," if mark in head[0]), None)) is not None:
        mark = "tabs" if mark == "\t" else f"`{mark}`"
        raise PromptError(
            f"{name}:1: the head is one field, {quoted(head[0])}",
            f"its fields are parted by {mark}: part them by {parted_by}",
        )
    return head


def _parquet(name: str) -> Iterator[Item]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(name) as file:
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for item in batch.to_pylist():
                    number += 1
                    yield number, item
    except (pyarrow.ArrowException, OSError) as error:
        raise PromptError(f"`{name}` is no Parquet file ({error})", "look at its ending") from error


def _data_set(name: str) -> Iterator[Item]:
    try:
        import datasets
    except ImportError as error:
        raise PromptError(f"`hf:{name}` needs the package `datasets`", "pip install 'wardlaw[datasets]'") from error
    path, _, split = name.partition("#")
    try:
        if (Path(path) / "dataset_info.json").exists() or (Path(path) / "dataset_dict.json").exists():
            found = datasets.load_from_disk(path)
            if isinstance(found, datasets.DatasetDict):
                found = found[split or next(iter(found))]
        else:
            found = datasets.load_dataset(path, split=split or "train", streaming=True)
        yield from enumerate(found, 1)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        what = " ".join(str(error).split())[:200]
        raise PromptError(
            f"data set `{name}` cannot be read ({what})", "check its id and split, as `hf:org/name#train`"
        ) from error


_READERS: Mapping[str, Callable[[str], Iterator[Item]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".txt": _lines,
    ".text": _lines,
    ".md": _lines,
    "": _lines,
}
"""Ending -> how such a file is read."""
