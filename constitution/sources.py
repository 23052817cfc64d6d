"""Where prompts come from: a file or data set, read line by line, each made into a prompt or an error at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from constitution.prompt import Prompt, PromptError, clean, prompt_id
from constitution.readers import bad_line, check_kind, items, place
from constitution.row import Source
from guard.exchange import Message, Role
from rules.words import quoted

if TYPE_CHECKING:
    import jinja2

COLUMNS = ("prompt", "messages", "conversation", "conversations", "question", "instruction", "query", "goal", "text")
"""Columns in which a prompt is looked for, in this order."""

_SPEAKERS: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "tool": "tool",
}
LARGE = 200 * 2**20
"""Bytes of input from which it is not read through before the first model is asked."""


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

    def clear(self) -> None:
        """Begin anew."""
        self.count = 0
        self.first.clear()


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
            PromptError: no such file, one of a kind that is not read, or the template is none.
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
            check_kind(name)

    def __iter__(self) -> Iterator[Prompt]:
        for line, item in items(self.name):
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

    @property
    def size(self) -> int:
        """Bytes of the file; 0 for standard input and data sets."""
        return 0 if self._streamed else Path(self.name).stat().st_size

    @property
    def _streamed(self) -> bool:
        return self.name == "-" or self.name.startswith("hf:")

    def count(self) -> int | None:
        """How many prompts there are, read through and checked once; None where that would take long.

        Raises:
            PromptError: a line is bad. Nothing has been asked of any model yet.
        """
        if self._streamed or self.size > LARGE:
            return None
        kept, self.skipped = self.skipped, None if self.skipped is None else self.bad
        try:
            return sum(1 for _ in self)
        finally:
            self.skipped = kept

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
            f"{place(self.name, line)}: {what}; there are {there}",
            "name the column with --column, or make a prompt of several with --template",
        )

    def _render(self, line: int, fields: Mapping[str, Any]) -> str:
        try:
            return self._template.render(**fields) if self._template else ""
        except Exception as error:  # whatever a person's expression over a stranger's data can raise
            there = ", ".join(f"`{name}`" for name in fields)
            raise PromptError(
                f"{place(self.name, line)}: the template does not fit: {error}; the columns are {there}",
                "mend --template, or pass over such lines with --skip-bad",
            ) from error

    def _messages(self, line: int, value: Any) -> tuple[Message, ...]:
        if isinstance(value, str):
            if not value.strip():
                raise bad_line(self.name, line, "empty prompt")
            return (Message("user", clean(value.strip())),)
        if not isinstance(value, Sequence) or not value:
            raise bad_line(self.name, line, f"a prompt is a text or a list of messages, not `{str(value)[:40]}`")
        messages = []
        for turn in value:
            role = _SPEAKERS.get(str(turn.get("role", turn.get("from", "")))) if isinstance(turn, Mapping) else None
            content = turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else None
            if role is None or not isinstance(content, str):
                raise bad_line(
                    self.name, line, "a message needs a `role` (user, assistant, system, tool) and a text `content`"
                )
            messages.append(Message(role, clean(content)))
        while messages and messages[-1].role == "assistant":
            messages.pop()  # the answer is the loop's to write
        if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
            raise bad_line(self.name, line, "the conversation does not end with something that a user says")
        return tuple(messages)


def _compile(template: str) -> jinja2.Template:
    import jinja2
    import jinja2.meta
    import jinja2.sandbox

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    try:
        columns = jinja2.meta.find_undeclared_variables(environment.parse(template))
        compiled = environment.from_string(template)
    except jinja2.TemplateError as error:
        raise PromptError(f"--template does not read: {error}", "as in `Is this true? {{ claim }}`") from error
    if not columns:  # every prompt would be this one text
        raise PromptError(
            f"--template {quoted(template)} names no column",
            "as in `Is this true? {{ claim }}`; a folder of the loop's own templates is named with --templates",
        )
    return compiled


def _string(value: Any) -> str | None:
    return None if value is None else clean(str(value))
