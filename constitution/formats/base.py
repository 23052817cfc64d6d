"""What an output format is: its options, its protocol, and the pieces that several formats share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import ConfigDict

from constitution.row import Record, Row, Said
from constitution.templates import TemplateSet
from rules.errors import WardlawError
from rules.schema import Constitution


class FormatError(WardlawError):
    """A format that is not there, or a file that could not be written."""


class Unfit(Exception):
    """This row cannot be said in this format without changing what it says; it is left out and counted."""


class Choices(Record):
    """What a person may choose about the lines."""

    reasoning: Literal["reasoning_content", "thinking", "think", "none"] = "reasoning_content"
    """Where the rationale stands: a key of the answer's message (`reasoning_content` as Qwen3 and most read it,
    `thinking` as gpt-oss does), inline as `<think>...</think>` before the answer, or nowhere."""

    preference_reasoning: bool = False
    """Whether `preference` and `kto` carry the rationale too; their heads say why not by default."""

    sft: Literal["messages", "completion"] = "completion"
    """`completion`: `prompt` and `completion`, so that only the last answer is learnt. `messages`: one list, masked
    by role; where a prompt holds earlier turns of an assistant, these are learnt too, and no rule revised them."""


class Options(Choices):
    """All that shapes the lines: what was chosen, and the words that the rows name by digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)

    constitutions: Mapping[str, Constitution] = {}
    """Digest -> the rules in words; `critic` asks with those of each row and leaves out a row whose rules are gone."""

    templates: Mapping[str, TemplateSet] = {}
    """Digest -> the loop's templates; for a row whose templates are gone, those that ship."""


class Written(Record):
    """One file that was written."""

    name: str
    """The format."""
    path: Path
    lines: int
    unfit: int = 0
    """Accepted rows left out because the format cannot say them."""
    earlier: bool = False
    """Whether an earlier export wrote it, of the rows and options of that time."""


@runtime_checkable
class Format(Protocol):
    """What the module of a format offers. It may also offer `describe(file)`, its entry in LLaMA-Factory's
    dataset_info.json, and `FEATURES`, column types for the card where a JSON reader could not infer them."""

    NAME: str
    """The file is called so."""
    ABOUT: str
    """One line for the card."""
    HOW: str
    """Markdown for the card: how the trainer is pointed at the file. `$FILE` stands for its name."""

    def project(self, row: Row, options: Options) -> Iterator[dict[str, Any]]:
        """The lines this row gives, their keys always in the same order.

        Raises:
            Unfit: the row cannot be said in this format.
        """

    def schema(self, options: Options) -> Any:
        """The columns as a pyarrow schema, in the order of the keys."""


def origin(row: Row) -> dict[str, Any]:
    """Where a line comes from: the one extra column, which the trainers drop.

    `rules` are the ids of the rules that shaped the answer, joined by a space. A list would read better, but a JSON
    reader that sees only empty ones in its first block fixes their type as null and stops at the first full one.
    """
    return {
        "id": row.id,
        "rules": " ".join(row.shaped_by),
        "constitution": row.constitution,
        "language": row.language,
        "benign": row.benign,
    }


def turns(prompt: tuple[Said, ...]) -> list[dict[str, str]]:
    """The prompt as plain messages. Reasoning of earlier turns is left out, as chat templates do."""
    return [{"role": said.role, "content": said.content} for said in prompt]


def think(text: str, reasoning: str | None) -> str:
    """`text` with its reasoning inline before it, in the spacing that templates with `<think>` use."""
    return f"<think>\n{reasoning.strip()}\n</think>\n\n{text}" if reasoning else text


def answer(text: str, reasoning: str | None, options: Options) -> dict[str, str]:
    """The assistant's message with its reasoning where `options` wants it.

    The key is there even where there is no reasoning: lines whose messages differ in shape only later in a file
    break readers that infer the columns from its first block.

    Raises:
        Unfit: `text` or `reasoning` holds a think tag, at which templates would cut.
    """
    refuse_tags(text, reasoning)
    if options.reasoning == "think":
        return {"role": "assistant", "content": think(text, reasoning)}
    message = {"role": "assistant", "content": text}
    if options.reasoning != "none":
        message[options.reasoning] = (reasoning or "").strip()
    return message


def bare(text: str) -> dict[str, str]:
    """The assistant's message without reasoning."""
    refuse_tags(text)
    return {"role": "assistant", "content": text}


def refuse_tags(*texts: str | None) -> None:
    """Raise Unfit where a text holds a think tag: templates cut there, and part of the text is lost in silence."""
    if any("<think>" in text or "</think>" in text for text in texts if text):
        raise Unfit("the text holds a think tag")


def finished(row: Row) -> tuple[str, str] | None:
    """First and final answer of an accepted row; None of any other."""
    if row.status != "accepted" or row.answer is None or row.final is None:
        return None
    return row.answer, row.final


def message_type(*more: str, flags: tuple[str, ...] = ()) -> Any:
    """pyarrow type of a message: role, content, then the string keys in `more` and the booleans in `flags`."""
    import pyarrow as pa

    keys = [(key, pa.string()) for key in ("role", "content", *more)]
    return pa.struct([*keys, *((flag, pa.bool_()) for flag in flags)])


def answer_type(options: Options, *, flags: tuple[str, ...] = ()) -> Any:
    """pyarrow type of a message that may be what `answer` makes."""
    own = () if options.reasoning in ("think", "none") else (options.reasoning,)
    return message_type(*own, flags=flags)


def origin_type() -> Any:
    """pyarrow type of what `origin` makes."""
    import pyarrow as pa

    keys = [(key, pa.string()) for key in ("id", "rules", "constitution", "language")]
    return pa.struct([*keys, ("benign", pa.bool_())])
