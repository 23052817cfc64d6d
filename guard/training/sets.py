"""Files of exchanges, labelled or not: what the gate is measured on and what its thresholds are set by.

One JSON object a line, packed by gzip or not: `prompt` (a string, or a list of messages), `response` where there is
one, `id`, and in a check set `label` (harmful or safe) and `category`. A row without `label` that has the columns of
OpenAI's moderation set (S, H, V, HR, SH, S3, H2, V2, each 0, 1 or missing) is harmful where any of them is 1.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from guard.exchange import Exchange, Message, Role
from guard.training.rows import HARMFUL, SAFE, LabelError, source_of
from rules.schema import Constitution
from rules.words import did_you_mean, listed, quoted

UNLABELLED = "none"
"""The label by which a row that has none is passed over."""

_HAZARDS = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")
_ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_EXAMPLE = 'write {"prompt": "...", "label": "safe"}'


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, as an exchange."""

    where: str
    """`file:line`."""
    number: int
    fields: Mapping[str, Any]
    exchange: Exchange

    @property
    def id(self) -> str:
        """Its `id`, else its line."""
        given = self.fields.get("id")
        return str(self.number) if given is None else str(given)


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One labelled exchange."""

    id: str
    exchange: Exchange
    harmful: bool
    category: str = ""


@dataclass(frozen=True, slots=True)
class CheckSet:
    """Labelled exchanges of one source."""

    name: str
    rows: tuple[CheckRow, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Label -> rows passed over for it."""


def find_files(paths: Collection[Path]) -> list[Path]:
    """The files named, and those of the folders named, each once.

    Raises:
        LabelError: a path is not there, or a folder holds no such file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.name.endswith(_ENDINGS))
            if not inside:
                raise LabelError(
                    f"the folder `{path}` holds no JSON lines", "its files must end in .jsonl or .jsonl.gz"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise LabelError(f"no file `{path}`", "name a .jsonl file, packed by gzip or not, or a folder of them")
    return list(dict.fromkeys(found))


def read_set(path: Path, ignore: Collection[str] = ()) -> CheckSet:
    """The rows of a labelled file.

    Args:
        path: JSON lines, packed by gzip or not.
        ignore: labels whose rows are passed over and counted; `none` is that of a row without one.

    Raises:
        LabelError: the file cannot be read, a line is no labelled exchange, or there is no line at all.
    """
    rows: list[CheckRow] = []
    ignored: Counter[str] = Counter()
    lines = 0
    for number, fields in read_objects(path):
        lines += 1
        label = _label(fields)
        if label not in (HARMFUL, SAFE):
            if label not in ignore:
                raise LabelError(f"{path}:{number}: {_unknown(label)}", _label_hint(label))
            ignored[label] += 1
            continue
        line = as_line(path, number, fields)
        rows.append(CheckRow(line.id, line.exchange, label == HARMFUL, _category(fields)))
    if not lines:
        raise LabelError(f"`{path}` has no rows", _EXAMPLE)
    return CheckSet(source_of(path), tuple(rows), dict(ignored))


def tests_of(constitution: Constitution) -> list[CheckSet]:
    """The rules' own `tests`, which are never taught: a set of the prompts and one of the answers, where there are any.

    A test says of one rule whether it is broken; a row is labelled safe although another rule might object.
    """
    sides: dict[str, list[CheckRow]] = {"tests: prompts": [], "tests: answers": []}
    for rule in constitution:
        for harmful, examples in ((True, rule.tests.breaks), (False, rule.tests.keeps)):
            for place, example in enumerate(examples, 1):
                exchange = Exchange.of_example(example)
                side = "tests: answers" if exchange.messages[-1].role == "assistant" else "tests: prompts"
                name = f"{rule.id}/{'breaks' if harmful else 'keeps'}/{place}"
                sides[side].append(CheckRow(name, exchange, harmful, rule.id))
    return [CheckSet(name, tuple(rows)) for name, rows in sides.items() if rows]


def read_exchanges(path: Path) -> Iterator[Line]:
    """The lines of a file as exchanges, whatever their labels.

    Raises:
        LabelError: the file cannot be read, or a line is no exchange.
    """
    for number, fields in read_objects(path):
        yield as_line(path, number, fields)


def read_objects(path: Path, stream: IO[bytes] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, or of a stream that `path` names, with their lines from 1; blank lines are none.

    Raises:
        LabelError: the file cannot be read, or a line is no JSON object.
    """
    for number, found in read_raw(path, stream):
        if isinstance(found, LabelError):
            raise found
        yield number, found


def read_raw(path: Path, stream: IO[bytes] | None = None) -> Iterator[tuple[int, dict[str, Any] | LabelError]]:
    """As `read_objects`, but what is wrong with a line stands in its place."""
    for number, line in enumerate(_lines(path, stream), 1):
        if line.strip():
            yield number, as_object(f"{path}:{number}", line)


def as_line(path: Path, number: int, fields: Mapping[str, Any]) -> Line:
    """One JSON object as an exchange.

    Raises:
        LabelError: it has no prompt, or a part of it is of another kind.
    """
    where = f"{path}:{number}"
    prompt = next((fields[name] for name in ("prompt", "messages") if fields.get(name) is not None), None)
    if prompt is None:
        there = f"there are {listed(map(str, fields))}" if fields else "the object is empty"
        raise LabelError(f"{where}: no `prompt`; {there}", _EXAMPLE)
    response = fields.get("response")
    if response is not None and not isinstance(response, str):
        raise LabelError(f"{where}: `response` is {_kind(response)}, not a string", "give the answer's text")
    turns = prompt if isinstance(prompt, str) else as_messages(prompt, where)
    return Line(where, number, fields, Exchange.of(turns, response))


def as_messages(given: Any, where: str) -> tuple[Message, ...]:
    """A list of messages as a conversation: each with a `role`, and a `content` that is text or a list of text parts.

    Raises:
        LabelError: it is no such list, or an empty one; the message says which turn of `where`.
    """
    hint = 'a conversation is [{"role": "user", "content": "..."}, ...]'
    if not isinstance(given, list) or not given:
        what = "an empty list" if given == [] else _kind(given)
        raise LabelError(f"{where}: the prompt is {what}, neither a string nor a list of messages", hint)
    turns = []
    for place, turn in enumerate(given, 1):
        at = f"{where}: message {place}"
        if not isinstance(turn, dict):
            raise LabelError(f"{at} is {_kind(turn)}, not an object", hint)
        role = _ROLES.get(str(turn.get("role")))
        if role is None:
            raise LabelError(
                f"{at}: unknown role {quoted(turn.get('role'))}", did_you_mean(str(turn.get("role")), _ROLES)
            )
        reasoning = next((turn[key] for key in ("reasoning", "reasoning_content") if turn.get(key)), None)
        if reasoning is not None and not isinstance(reasoning, str):
            raise LabelError(f"{at}: `reasoning` is {_kind(reasoning)}, not a string", hint)
        turns.append(Message(role, _content(turn.get("content"), at), reasoning=reasoning))
    return tuple(turns)


def _content(given: Any, at: str) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, list) and given and all(isinstance(part, dict) for part in given):
        kinds = {str(part.get("type")) for part in given} - {"text"}
        if kinds:  # passed over in silence, a picture would count as judged
            raise LabelError(f"{at} has parts that are no text: {listed(sorted(kinds))}", "the gate judges text alone")
        texts = [part.get("text") for part in given]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts))
    raise LabelError(f"{at}: `content` is {_kind(given)}, not a string", "give the text of the turn")


def _lines(path: Path, stream: IO[bytes] | None) -> Iterator[bytes]:
    try:
        if stream is not None:
            yield from stream
        else:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LabelError(f"`{path}` is no whole gzip file ({error})", "fetch the file again") from error
    except OSError as error:
        raise LabelError(f"`{path}` cannot be read: {error.strerror or error}", "look at the file") from error


def as_object(where: str, line: bytes) -> dict[str, Any] | LabelError:
    """The JSON object of a line, or what is wrong with it."""
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return LabelError(f"{where}: not UTF-8 ({error.reason})", "give JSON lines, packed by gzip (.gz) or not")
    except json.JSONDecodeError as error:
        return LabelError(f"{where}: not JSON ({error.msg}, column {error.colno})", "write one JSON object a line")
    except RecursionError:
        return LabelError(f"{where}: JSON nested too deep", "write one JSON object a line")
    if not isinstance(found, dict):
        return LabelError(f"{where}: {_kind(found)}, not a JSON object", _EXAMPLE)
    return found


def _label(fields: Mapping[str, Any]) -> str:
    label = fields.get("label")
    if label is not None:
        return str(label)
    marks = [value for name in _HAZARDS if (value := _marks(fields).get(name)) is not None]
    return UNLABELLED if not marks else HARMFUL if 1 in marks else SAFE


def _category(fields: Mapping[str, Any]) -> str:
    category = fields.get("category")
    if category:
        return str(category)
    marked = _marks(fields)
    return "+".join(name for name in _HAZARDS if marked.get(name) == 1)


def _marks(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = fields.get("labels")
    return labels if isinstance(labels, Mapping) else fields


def _unknown(label: str) -> str:
    return "no `label`" if label == UNLABELLED else f"unknown label {quoted(label)}"


def _label_hint(label: str) -> str:
    return f"labels are `{HARMFUL}` and `{SAFE}`; pass over such rows with --ignore-label {label}"


def _kind(value: Any) -> str:
    """What a JSON value is, for an error."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
