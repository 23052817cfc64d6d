"""What is replayed: prompts and conversations of a file, decisions that the audit kept or has exported."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from guard.detectors.base import parts
from guard.exchange import Exchange, Message
from guard.training.rows import LabelError
from guard.training.sets import as_line, as_messages, read_raw

if TYPE_CHECKING:
    from server.audit.query import Found

Row: TypeAlias = tuple[str, Exchange]
"""Id, and what is judged."""

NOT_KEPT = "their texts were not kept"
HASHED = "only hashes of their texts were kept"
MASKED = "what was found in their texts is masked"
NO_TEXT = "they have no text that is judged"

_EACH_ALONE = "moderations"
"""The API whose texts are no conversation."""
_LEFT_AS_IT_WAS = ("allow", "flag")
"""Actions that leave an answer as the model gave it; else the guard's own words were kept."""
_NESTED = ("prompt", "messages", "content")
"""Fields that a table can hold only as JSON text."""


@dataclass(slots=True)
class Passed:
    """What cannot be replayed."""

    decisions: int = 0
    """Decisions read."""
    unfit: Counter[str] = field(default_factory=Counter)
    """Why not -> decisions."""
    bad: int = 0
    """Lines passed over with --skip-bad."""
    first: str = ""
    """The first of them, as `file:line: what`."""

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"decisions": self.decisions, "unfit": dict(self.unfit.most_common()), "bad_lines": self.bad}


def read_traffic(name: str, passed: Passed, *, skip_bad: bool) -> Iterator[Row]:
    """The exchanges of a file: JSON lines, CSV or Parquet by its ending, or standard input (`-`, JSON lines).

    A row is a prompt or a conversation as `wardlaw gate check --jsonl` reads it, or a decision as `wardlaw audit
    export` writes it.

    Args:
        name: the file.
        passed: where it is counted what cannot be replayed.
        skip_bad: pass over lines that hold neither, and count them.

    Raises:
        WardlawError: the file cannot be read, or a line is bad and bad ones are not passed over.
    """
    path = Path("<stdin>" if name == "-" else name)
    for number, fields in _lines(name, path):
        try:
            if isinstance(fields, Exception):
                raise fields
            rows = list(_rows(path, number, fields, passed))
        except LabelError as error:
            if not skip_bad:
                raise LabelError(error.what, f"{error.hint}; or pass over bad lines with --skip-bad") from error
            passed.bad += 1
            passed.first = passed.first or error.what
            continue
        yield from rows


def read_decisions(found: Iterable[Found], passed: Passed) -> Iterator[Row]:
    """The exchanges of decisions as they are kept."""
    for each in found:
        yield from _of_decision(each.id, each.api, each.action, each.content, passed)


def _lines(name: str, path: Path) -> Iterator[tuple[int, Any]]:
    from constitution.prompt import PromptError
    from constitution.readers import check_kind, items, kind_of

    if name == "-" or kind_of(name) in (".jsonl", ".ndjson"):
        yield from read_raw(path, sys.stdin.buffer if name == "-" else None)
        return
    if not path.is_file():
        raise LabelError(f"no file `{name}`", "name a .jsonl, .csv or .parquet file, `-`, or `audit`")
    check_kind(name)
    table = kind_of(name) in (".csv", ".tsv", ".parquet")
    for number, item in items(name):
        if isinstance(item, PromptError):
            yield number, LabelError(item.what, item.hint.partition(", or pass over")[0] or "mend it")
        elif isinstance(item, Mapping):
            yield number, _unfolded(item) if table else dict(item)
        elif item != "":
            yield number, {"prompt": item} if isinstance(item, str) else _no_row(path, number)


def _no_row(path: Path, number: int) -> LabelError:
    return LabelError(f"{path}:{number}: neither a prompt nor an object", 'write {"prompt": "..."}')


def _unfolded(item: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table: an empty cell is nothing, and what stands as JSON text in it is read."""
    fields = {name: value for name, value in item.items() if value not in (None, "")}
    for name in _NESTED:
        value = fields.get(name)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            try:
                fields[name] = json.loads(value)
            except (ValueError, RecursionError):
                continue  # a prompt that begins like JSON
    return fields


def _rows(path: Path, number: int, fields: Mapping[str, Any], passed: Passed) -> Iterator[Row]:
    if "prompt" not in fields and "messages" not in fields and {"id", "action", "digest", "would"} <= fields.keys():
        try:
            kind, action = str(fields.get("api", "")), str(fields["action"])
            yield from _of_decision(str(fields["id"]), kind, action, fields.get("content"), passed)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"{path}:{number}: a decision whose `content` has another form ({type(error).__name__})"
            raise LabelError(what, "export it again: `wardlaw audit export`") from error
        return
    line = as_line(path, number, fields)
    yield line.id, line.exchange


def _of_decision(name: str, api: str, action: str, content: Any, passed: Passed) -> Iterator[Row]:
    """What was new in a decision's prompt, and its answer where that is as the model gave it."""
    passed.decisions += 1
    texts = [] if content is None else [*content["prompt"], *content["answers"]]
    why_not = NOT_KEPT if content is None else HASHED if any("hash" in text for text in texts) else ""
    if not why_not and content.get("masked"):
        why_not = MASKED  # judged with the mask in its place, it would be another text
    found = () if why_not else _exchanges(api, action, content)
    rows = [(name, each) for each in found if any(text.strip() for _, text in parts(each))]
    if not rows:
        passed.unfit[why_not or NO_TEXT] += 1
    yield from rows


def _exchanges(api: str, action: str, content: Mapping[str, Any]) -> Iterator[Exchange]:
    prompt = _messages(content["prompt"])
    if api == _EACH_ALONE:
        yield from (Exchange((message,)) for message in prompt)
        return
    # Several tool results may come at once. What stands before an answer came with the decision of that answer.
    earlier = [place for place, message in enumerate(prompt[:-1]) if message.role == "assistant"]
    for end in range(earlier[-1] + 2 if earlier else 1, len(prompt) + 1):
        if prompt[end - 1].role != "system" or end == len(prompt):
            yield Exchange(prompt[:end])
    if action not in _LEFT_AS_IT_WAS or not prompt:
        return
    for answer in _answers(content["answers"]):
        yield Exchange((*prompt, answer))


def _messages(texts: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """The turns of a prompt; what a message thought and called stands beside what it says."""
    turns: dict[str, dict[str, Any]] = {}
    for text in texts:
        message, _, rest = text["where"].partition(".")
        turn = turns.setdefault(message, {"role": text["role"], "content": "", "tool_calls": []})
        if not rest:
            turn["content"] = text["text"]
        elif rest == "reasoning":
            turn["reasoning"] = text["text"]
        elif rest.startswith("tool"):
            turn["tool_calls"].append(text["text"])
    made = []
    for where, turn in turns.items():
        (said,) = as_messages([{"role": turn["role"], "content": turn["content"]}], where)
        made.append(
            Message(said.role, said.content, reasoning=turn.get("reasoning"), tool_calls=tuple(turn["tool_calls"]))
        )
    return tuple(made)


def _answers(texts: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    """The answers, a choice each, with what was thought and called."""
    choices: dict[str, dict[str, Any]] = {}
    for text in texts:
        choice, _, channel = text["where"].partition(".")
        made = choices.setdefault(choice, {"said": [], "calls": [], "reasoning": None})
        if channel.startswith("tool"):
            made["calls"].append(text["text"])
        elif channel.startswith("reasoning"):
            made["reasoning"] = "\n".join(filter(None, [made["reasoning"], text["text"]]))
        else:
            made["said"].append(text["text"])
    for made in choices.values():
        yield Message(
            "assistant", "\n".join(made["said"]), reasoning=made["reasoning"], tool_calls=tuple(made["calls"])
        )
