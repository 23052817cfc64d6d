"""Where contests come from: files with answers or with prompts alone, and the folders of `wardlaw generate`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, cast

from constitution.preference.contest import MOST_ANSWERS, Contest, Kind
from constitution.prompt import Prompt, clean, prompt_id
from constitution.readers import bad_line
from constitution.row import Row
from constitution.row_file import FILE
from constitution.rows import open_rows
from constitution.sources import PromptFile, Skipped
from guard.exchange import Message

Of = Literal["revision", "samples"]
"""What of a row is compared: first answer and final one, or the first and all that were drawn."""

PAIRS = (("chosen", "rejected"), ("text_correct", "text_incorrect"))
"""Columns of a pair of which the first is preferred."""

_TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class ContestFile(PromptFile):
    """A file of prompts with answers. Iterating streams it; it can be iterated again.

    A line has `answers` (a list; `best`, a place in it from 0, where one is preferred), or `chosen` and `rejected`
    beside `prompt`. A chosen and a rejected one may be whole conversations, as messages or as a transcript of `Human:`
    and `Assistant:`. Without any of these it is a prompt whose answers are to be drawn.
    """

    def __init__(
        self, name: str, *, column: str | None = None, sampled: bool = False, skipped: Skipped | None = None
    ) -> None:
        """Args: sampled: answers are to be drawn, whatever stands in the lines.

        Raises:
            PromptError: no such file, or one of a kind that is not read.
        """
        super().__init__(name, column=column, skipped=skipped)
        self._sampled = sampled

    def contests(self) -> Iterator[Contest]:
        """The contests, streamed.

        Raises:
            PromptError: a line is bad, and `skipped` is not given.
        """
        for prompt in self:
            yield cast("Contest", prompt)

    def _prompt(self, line: int, item: Any) -> Prompt:
        fields: Mapping[str, Any] = item if isinstance(item, Mapping) else {"prompt": item}
        answers, preferred = () if self._sampled else self._answers(line, fields), None
        if not self._sampled and any(better in fields for better, _ in PAIRS):
            fields, answers = self._pair(line, fields)
            preferred = 0
        prompt = PromptFile._prompt(self, line, fields)
        if not answers:
            if not self._sampled:
                raise bad_line(self.name, line, "a prompt without answers", "draw some with --samples")
            return _contest(prompt, (), None, "sampled")
        if preferred is None and fields.get("best") is not None:
            preferred = self._best(line, fields["best"], len(answers))
        return _contest(prompt, answers, preferred, "given")

    def _answers(self, line: int, fields: Mapping[str, Any]) -> tuple[str, ...]:
        given = fields.get("answers")
        if given is None:
            return ()
        if not isinstance(given, Sequence) or isinstance(given, str) or not 2 <= len(given) <= MOST_ANSWERS:
            raise bad_line(self.name, line, f"`answers` is no list of 2 to {MOST_ANSWERS} texts")
        return tuple(self._said(line, answer) for answer in given)

    def _best(self, line: int, best: Any, count: int) -> int:
        if not isinstance(best, int) or isinstance(best, bool) or not 0 <= best < count:
            raise bad_line(self.name, line, f"`best` is no place in `answers`, from 0 to {count - 1}")
        return best

    def _pair(self, line: int, fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The fields with their prompt, and the preferred answer before the other."""
        better, worse = next((names for names in PAIRS if names[0] in fields), PAIRS[0])
        if worse not in fields:
            raise bad_line(self.name, line, f"`{better}` without `{worse}`")
        talks = [_talk(fields[name]) for name in (better, worse)]
        if talks[0] is None or talks[1] is None:
            return fields, tuple(self._said(line, fields[name]) for name in (better, worse))
        if talks[0][:-1] != talks[1][:-1]:
            raise bad_line(self.name, line, f"`{better}` and `{worse}` are answers to different conversations")
        answers = tuple(self._said(line, talk[-1:]) for talk in talks if talk is not None)
        if len(talks[0]) == 1:  # the prompt stands in a column of its own
            return fields, answers
        return {**fields, "prompt": talks[0][:-1]}, answers

    def _said(self, line: int, value: Any) -> str:
        """One answer, given as a text or as a list of messages that ends with it."""
        if isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[-1], Mapping):
            value = value[-1].get("content")
        if not isinstance(value, str) or not value.strip():
            raise bad_line(self.name, line, f"an answer is a text that is not empty, not `{str(value)[:40]}`")
        return clean(value.strip())


def _talk(value: Any) -> list[Mapping[str, Any]] | None:
    """A whole conversation as messages; None where the value is one answer alone."""
    if isinstance(value, str):
        if not value.lstrip().startswith(("Human:", "Assistant:")) or "\n\nAssistant:" not in value:
            return None
        _, *pieces = _TURN.split("\n\n" + value.strip())
        said = zip(pieces[::2], pieces[1::2], strict=True)
        return [{"role": _ROLES[speaker], "content": text.strip()} for speaker, text in said]
    if isinstance(value, Sequence) and value and all(isinstance(turn, Mapping) for turn in value):
        return list(value)
    return None


class RowFolder:
    """The accepted rows of an output folder as contests."""

    def __init__(self, folder: Path, of: Of) -> None:
        """Args: of: what of each row is compared."""
        self._folder = folder
        self._of = of

    def contests(self) -> Iterator[Contest]:
        """The contests, streamed; a row that nothing changed makes none.

        Raises:
            StoreError: the rows cannot be read.
        """
        with closing(open_rows(self._folder)) as store:
            for number, row in enumerate(store.rows(status="accepted"), 1):
                answers = _revision(row) if self._of == "revision" else _samples(row)
                if len(answers) < 2:
                    continue
                messages = tuple(Message(said.role, said.content) for said in row.prompt)
                source = row.source.model_copy(update={"file": str(self._folder), "line": number, "id": row.id})
                prompt = Prompt(row.id, messages, source, row.benign)
                yield _contest(prompt, answers[:MOST_ANSWERS], None, self._of)

    def count(self) -> int | None:
        """Unknown: rows that nothing changed make no contest, and to find them takes a pass."""
        return None


def _revision(row: Row) -> tuple[str, ...]:
    if not row.changed or row.answer is None or row.final is None or row.answer == row.final:
        return ()
    return row.answer, row.final


def _samples(row: Row) -> tuple[str, ...]:
    drawn = (candidate.text for round_ in row.rounds for candidate in round_.candidates)
    ends = [text for text in (row.answer, row.final) if text]
    return tuple(dict.fromkeys((*ends, *drawn)))


def is_row_folder(name: str) -> bool:
    """Whether `name` is a folder that `wardlaw generate` wrote."""
    return (Path(name) / FILE).is_file()


def _contest(prompt: Prompt, answers: tuple[str, ...], preferred: int | None, kind: Kind) -> Contest:
    """A contest whose id is of the prompt and of the answers in their order."""
    told = (*prompt.messages, *(Message("assistant", answer) for answer in answers))
    return Contest(prompt_id(told), prompt.messages, prompt.source, prompt.benign, answers, preferred, kind)
