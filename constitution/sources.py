"""Where prompts come from: JSONL, CSV, Parquet, text files (all also .gz) and Hugging Face data sets, streamed."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from constitution.row import Source
from guard.exchange import Message, Role
from rules.errors import WardlawError

if TYPE_CHECKING:
    import jinja2

COLUMNS = ("prompt", "messages", "conversation", "conversations", "question", "instruction", "query", "goal", "text")
"""Columns in which a prompt is looked for, in this order."""

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "tool": "tool",
}
_LARGE = 200 * 2**20
_ESCAPED = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of bytes that are not UTF-8."""


class PromptError(WardlawError):
    """A prompt, or a file of prompts, cannot be read."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt on its way into the loop."""

    id: str
    """Hash of the messages."""
    messages: tuple[Message, ...]
    source: Source
    benign: bool = False


@dataclass(slots=True)
class Skipped:
    """Lines that could not be read and were passed over (`--skip-bad`)."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    """The first few, as `file:line: what`."""

    def add(self, error: PromptError) -> None:
        """Count one."""
        self.count += 1
        if len(self.first) < 5:
            self.first.append(error.what)


class PromptFile:
    """A file or data set of prompts. Iterating streams it; it can be iterated again."""

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        template: str | None = None,
        benign: bool = False,
        skipped: Skipped | None = None,
    ) -> None:
        """Open nothing yet, but check that there is something to open.

        Args:
            name: a path, `-` for standard input (a prompt a line), or `hf:ID[#SPLIT]` for a data set.
            column: where the prompt stands; by default the first of `COLUMNS` that is there.
            template: a Jinja template over the columns that makes the prompt, as `Is this true? {{ claim }}`.
            benign: these prompts are harmless ones, mixed in.
            skipped: where bad lines are counted; without it the first bad line is an error.

        Raises:
            PromptError: no such file, or the template does not read.
        """
        self.name = name
        self.column = column
        self.benign = benign
        self.skipped = skipped
        self.bad = Skipped()
        """Bad lines that `count` met."""
        self._template = None if template is None else _compile(template)
        if not (name == "-" or name.startswith("hf:")):
            path = Path(name)
            if not path.exists():
                raise PromptError(f"no prompt file `{name}`", "name a .jsonl, .csv, .parquet or .txt file, or `hf:ID`")
            if path.is_dir():
                raise PromptError(f"`{name}` is a folder", "name the files in it, or `hf:FOLDER` for a saved data set")

    def __iter__(self) -> Iterator[Prompt]:
        for line, item in self._items():
            if item == "":
                continue
            try:
                if isinstance(item, PromptError):
                    raise item
                prompt = self._prompt(line, item)
            except PromptError as error:
                if self.skipped is None:
                    raise
                self.skipped.add(error)
                continue
            yield prompt

    def count(self) -> int | None:
        """How many prompts there are, read through and checked once; None where that would take long.

        Raises:
            PromptError: a line is bad. Nothing has been asked of any model yet.
        """
        if self.name == "-" or self.name.startswith("hf:") or Path(self.name).stat().st_size > _LARGE:
            return None
        kept, self.skipped = self.skipped, None if self.skipped is None else self.bad
        try:
            return sum(1 for _ in self)
        finally:
            self.skipped = kept

    # -- reading

    def _items(self) -> Iterable[tuple[int, Any]]:
        if self.name.startswith("hf:"):
            return self._data_set(self.name.removeprefix("hf:"))
        suffixes = Path(self.name).suffixes
        kind = (suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])).lower()
        readers = {".jsonl": self._jsonl, ".ndjson": self._jsonl, ".json": self._json, ".csv": self._csv}
        readers |= {".tsv": self._csv, ".parquet": self._parquet}
        return readers.get(kind, self._text)()

    def _open(self) -> IO[bytes] | gzip.GzipFile:
        if self.name == "-":
            return sys.stdin.buffer
        return gzip.open(self.name) if self.name.endswith(".gz") else Path(self.name).open("rb")

    def _raw(self) -> Iterator[bytes]:
        """The lines as bytes: decoded one by one, a line that is not UTF-8 spoils none beside it."""
        with self._open() as file:
            try:
                for number, line in enumerate(file):
                    yield line if number else line.removeprefix(codecs.BOM_UTF8)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise PromptError(f"`{self.name}` is no whole gzip file ({error})", "fetch the file again") from error
            except OSError as error:
                raise PromptError(f"`{self.name}` cannot be read ({error.strerror})", "look at the file") from error

    def _lines(self) -> Iterator[tuple[int, str | PromptError]]:
        for number, line in enumerate(self._raw(), 1):
            try:
                yield number, line.decode().strip()
            except UnicodeDecodeError as error:
                yield number, self._bad(number, f"not UTF-8 ({error.reason})")

    def _text(self) -> Iterator[tuple[int, Any]]:
        return self._lines()

    def _jsonl(self) -> Iterator[tuple[int, Any]]:
        for number, text in self._lines():
            if isinstance(text, PromptError) or not text:
                yield number, text
                continue
            try:
                yield number, json.loads(text)
            except json.JSONDecodeError as error:
                yield number, self._bad(number, f"not JSON ({error.msg}, column {error.colno})")
            except RecursionError:
                yield number, self._bad(number, "JSON nested too deep")

    def _json(self) -> Iterator[tuple[int, Any]]:
        try:
            whole = json.loads(b"".join(self._raw()))
        except (ValueError, RecursionError) as error:
            raise PromptError(f"`{self.name}` is not JSON ({error})", "one object a line? name it .jsonl") from error
        if not isinstance(whole, list):
            raise PromptError(f"`{self.name}` is no list", "give a JSON list of prompts, or .jsonl with one a line")
        yield from enumerate(whole, 1)

    def _csv(self) -> Iterator[tuple[int, Any]]:
        lines = (line.decode(errors="surrogateescape") for line in self._raw())
        reader = csv.DictReader(lines, delimiter="\t" if ".tsv" in self.name.lower() else ",", strict=True)
        while True:
            began = reader.line_num + 1
            try:
                item = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield began, self._bad(began, f"not CSV ({error})")
                continue
            number = reader.line_num
            if any(_ESCAPED.search(str(value)) for value in item.values()):
                yield number, self._bad(number, "not UTF-8")
            else:
                yield number, {key: value for key, value in item.items() if key is not None}

    def _parquet(self) -> Iterator[tuple[int, Any]]:
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(self.name) as file:
                number = 0
                for batch in file.iter_batches(batch_size=256):
                    for item in batch.to_pylist():
                        number += 1
                        yield number, item
        except (pyarrow.ArrowException, OSError) as error:
            raise PromptError(f"`{self.name}` is no Parquet file ({error})", "look at its ending") from error

    def _data_set(self, name: str) -> Iterator[tuple[int, Any]]:
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

    # -- one item

    def _bad(self, line: int, what: str) -> PromptError:
        return PromptError(f"{self.name}:{line}: {what}", "mend the line, or pass over bad lines with --skip-bad")

    def _prompt(self, line: int, item: Any) -> Prompt:
        fields: Mapping[str, Any] = item if isinstance(item, Mapping) else {"prompt": item}
        if self._template is not None:
            value: Any = self._render(line, fields)
        else:
            value = fields[self._column(line, fields)]
        messages = self._messages(line, value)
        source = Source(
            file=self.name, line=line, id=_string(fields.get("id")), category=_string(fields.get("category"))
        )
        return Prompt(prompt_id(messages), messages, source, self.benign)

    def _column(self, line: int, fields: Mapping[str, Any]) -> str:
        wanted = (self.column,) if self.column else COLUMNS
        for name in wanted:
            if fields.get(name) is not None:
                return name
        there = ", ".join(f"`{name}`" for name in fields) or "none"
        what = f"no column `{self.column}`" if self.column else "no column that holds a prompt"
        raise PromptError(
            f"{self.name}:{line}: {what}; there are {there}",
            "name the column with --column, or make a prompt of several with --template",
        )

    def _render(self, line: int, fields: Mapping[str, Any]) -> str:
        try:
            return self._template.render(**fields) if self._template else ""
        except Exception as error:  # whatever a person's expression over a stranger's data can raise
            there = ", ".join(f"`{name}`" for name in fields)
            raise PromptError(
                f"{self.name}:{line}: the template does not fit: {error}; the columns are {there}",
                "mend --template, or pass over such lines with --skip-bad",
            ) from error

    def _messages(self, line: int, value: Any) -> tuple[Message, ...]:
        if isinstance(value, str):
            if not value.strip():
                raise self._bad(line, "empty prompt")
            return (Message("user", _clean(value.strip())),)
        if not isinstance(value, Sequence) or not value:
            raise self._bad(line, f"a prompt is a text or a list of messages, not `{str(value)[:40]}`")
        messages = []
        for turn in value:
            role = _ROLES.get(str(turn.get("role", turn.get("from", "")))) if isinstance(turn, Mapping) else None
            content = turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else None
            if role is None or not isinstance(content, str):
                raise self._bad(line, "a message needs a `role` (user, assistant, system, tool) and a text `content`")
            messages.append(Message(role, _clean(content)))
        while messages and messages[-1].role == "assistant":
            messages.pop()  # the answer is the loop's to write
        if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
            raise self._bad(line, "the conversation does not end with something that a user says")
        return tuple(messages)


def prompt_id(messages: Sequence[Message]) -> str:
    """Id of a prompt: hash of its messages; 16 hex characters."""
    text = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def mixed(prompts: Iterable[Prompt], benign: Iterable[Prompt], share: float) -> Iterator[Prompt]:
    """`prompts`, with harmless ones from `benign` spread evenly among them until these run out.

    Args:
        prompts: what is to be worked on.
        benign: the harmless ones.
        share: of all that comes out, the part that is harmless; at least 0 and below 1.
    """
    waiting = iter(benign)
    owed = 0.0
    for prompt in prompts:
        yield prompt
        owed += share / (1 - share)
        while owed >= 1:
            owed -= 1
            harmless = next(waiting, None)
            if harmless is not None:
                yield harmless


def _compile(template: str) -> jinja2.Template:
    import jinja2
    import jinja2.sandbox

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    try:
        return environment.from_string(template)
    except jinja2.TemplateError as error:
        raise PromptError(f"--template does not read: {error}", "as in `Is this true? {{ claim }}`") from error


def _clean(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8: it becomes the replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _string(value: Any) -> str | None:
    return None if value is None else _clean(str(value))
