"""A line of the ledger: a digest of the rest of its bytes, the format, and an event.

    {"sum": "5f0c8a61e2b94d07", "v": 1, "event": "find", "at": ..., "find": {...}}

Each line vouches for itself alone. A chain, each line with the digest of the one before, would find a line taken out
as well, but two branches that both appended could not be merged by git. What is gone is found by comparing with git.
The beginning, up to the digest, is the same in all formats to come.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from pydantic import ValidationError

from guard.ledger.errors import Fault
from guard.ledger.events import EVENTS, FORMAT, Event
from rules.words import did_you_mean, quoted

_LINE = re.compile(rb'\{"sum": "([0-9a-f]{16})", (.*)\Z', re.DOTALL)
_CONFLICT = re.compile(rb"(<{7}|>{7}|\|{7})( |\Z)|={7}\Z")


@dataclass(frozen=True, slots=True)
class Written:
    """A line as it was read."""

    line: int
    """From 1."""
    sum: str
    event: Event


def line_of(event: Event) -> bytes:
    """An event as a line, with its end.

    Hidden and reordering characters are escaped, so that a diff shows an attack text as it is.
    """
    told = {"v": FORMAT, "event": event.event, **event.model_dump(mode="json", exclude_defaults=True)}
    text = json.dumps(told, ensure_ascii=False)
    rest = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text[1:]).encode()
    return b'{"sum": "%s", %s\n' % (_sum(rest).encode(), rest)


def is_conflict(line: bytes) -> bool:
    """Whether git wrote the line between two sides of a conflict."""
    return _CONFLICT.match(line) is not None


def read_line(number: int, line: bytes) -> Written | Fault:
    """One line, without its end.

    Returns:
        the event, or what is wrong.
    """
    if is_conflict(line):
        hint = "both sides belong in the ledger: `wardlaw redteam check --mend` keeps them"
        return Fault(
            number, "conflict", f"a conflict of git was left here: {quoted(line.decode(errors='replace'))}", hint
        )
    found = _LINE.match(line)
    if found is None:
        return Fault(
            number,
            "foreign",
            f"no line of a ledger: {quoted(line.decode(errors='replace'))}",
            "lines are written by `wardlaw redteam add` and `import`; put the file back from git, and enter it so",
        )
    if _sum(found[2]) != found[1].decode():
        about = _about(line)
        return Fault(
            number,
            "edited",
            f"the line{about} is not as it was written",
            "put it back from git (`git log -p` shows it), and say what is otherwise by `wardlaw redteam amend ID`",
        )
    return _event(number, found[1].decode(), json.loads(b"{" + found[2]))


def _event(number: int, digest: str, told: dict[str, object]) -> Written | Fault:
    version = told.pop("v", None)
    if version != FORMAT:
        what = f"format {quoted(version)}, and this wardlaw reads {FORMAT}"
        return Fault(number, "format", what, "update wardlaw: a newer one wrote this line")
    kind = EVENTS.get(str(told.get("event")))
    if kind is None:
        what = f"unknown event {quoted(told.get('event'))}"
        return Fault(number, "format", what, did_you_mean(str(told.get("event")), EVENTS))
    try:
        return Written(number, digest, kind.model_validate(told))
    except ValidationError as error:
        return Fault(number, "form", first_of(error), "a newer wardlaw may have written this line: update")


def first_of(error: ValidationError) -> str:
    """The first fault that a model names, in one line."""
    first = error.errors()[0]
    where = ".".join(str(key) for key in first["loc"])
    what = str(first["msg"]).removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    return f"`{where}`: {what}" if where else what


def _about(line: bytes) -> str:
    """Which find an edited line is probably about: as much as still can be read."""
    found = re.search(rb'"id": "(rt_[0-9a-f]{1,16})"', line)
    return f" of `{found[1].decode()}`" if found else ""


def _sum(rest: bytes) -> str:
    return hashlib.blake2b(rest, digest_size=8).hexdigest()
