"""Texts wherever they stand in JSON: found with their places, and written back into a copy.

Nothing here is recursive: JSON may be nested deeper than Python calls may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
"""Names and list indexes from the top down."""

_IDENTIFIER = re.compile(r"[\w.:/+=|@-]{0,64}", re.ASCII)
_SETTING = re.compile(r"[a-z0-9_.-]{0,24}")
_EMBEDDED = re.compile(r"data:[!-+\--~]{0,200};base64,[\w+/=-]*", re.ASCII)
_SEALED = re.compile(r"[!-~]*")
_SIGNATURES = ("signature", "thought_signature")

MOST_PARTS = 100_000
DEEPEST = 100


class Leaf(NamedTuple):
    """A text in JSON."""

    path: Path
    text: str
    is_name: bool = False
    """Whether the text is itself the last name of the path, and not what stands there."""


def identifier(value: object) -> bool:
    """Whether a value can be an id, and nothing that says anything: 64 characters at most, none of them a space."""
    return type(value) is str and _IDENTIFIER.fullmatch(value) is not None


def setting(value: object) -> bool:
    """Whether a value can be the word of a setting, as `auto` or `24h`."""
    return type(value) is str and _SETTING.fullmatch(value) is not None


def embedded(text: str) -> bool:
    """Whether a text is a file in a URL, which cannot be scanned as text; prose that only begins as one is a text."""
    return text.startswith("data:") and _EMBEDDED.fullmatch(text) is not None


def wordy(name: str) -> bool:
    """Whether the name of a member may say something: it has spaces, other letters than ASCII's, or is very long."""
    if name.isidentifier() and name.isascii():
        return len(name) > 64
    return len(name) > 64 or not name.isascii() or any(map(str.isspace, name))


class Tangled(ValueError):
    """JSON with so many parts, or parts so deep within each other, that to look through it would hold up the server."""

    def __init__(self, path: Path, what: str) -> None:
        """Args: path: where; what: what there is too much of."""
        self.where = written(path)
        self.what = what
        super().__init__(f"{self.where}: {what}" if self.where else what)


def anywhere(
    value: object,
    path: Path = (),
    *,
    sealed: AbstractSet[str] = frozenset(),
    says: Callable[[str], bool] = wordy,
    closed: Callable[[Path, Json], AbstractSet[str]] | None = None,
) -> Iterator[Leaf]:
    """Every text in a value, in order; empty ones left out.

    Args:
        value: JSON.
        path: where it stands.
        sealed: names of members that are passed over where they hold what only machines write: one word of ASCII.
        says: whether the name of a member is a text itself.
        closed: is asked, of each object, for the names of those of its members that are not looked into.

    Raises:
        Tangled: there are more than `MOST_PARTS` parts, or they are deeper than `DEEPEST`.
    """
    waiting: list[tuple[Path, Any]] = [(path, value)]
    seen = 0
    while waiting:
        at, found = waiting.pop()
        if type(found) is str:
            if found and not (sealed and member(at) in sealed and _SEALED.fullmatch(found)):
                yield Leaf(at, found)
            continue
        if type(found) is _Name:
            yield Leaf(at, found.text, is_name=True)
            continue
        inner: list[tuple[Path, Any]] = []
        if type(found) is dict:
            shut = closed(at, found) if closed is not None else _NONE
            for name, each in found.items():
                if name in shut:
                    continue
                if says(name):
                    inner.append(((*at, name), _Name(name)))
                if type(each) not in _SILENT:
                    inner.append(((*at, name), each))
        elif type(found) is list:
            inner = [((*at, place), each) for place, each in enumerate(found) if type(each) not in _SILENT]
        seen += len(inner)
        if seen > MOST_PARTS:
            raise Tangled(path, f"more than {MOST_PARTS} texts, lists and objects")
        if len(at) > DEEPEST:
            raise Tangled(path, f"lists and objects deeper than {DEEPEST} within each other")
        waiting += reversed(inner)


class _Name(NamedTuple):
    text: str


_SILENT = frozenset({int, float, bool, type(None)})
_NONE: frozenset[str] = frozenset()


def member(path: Path) -> str:
    """The member that a text is, or is listed in."""
    return next((step for step in reversed(path) if type(step) is str), "")


def without(value: Json, *names: str) -> Json:
    """An object without some of its members."""
    return {name: each for name, each in value.items() if name not in names}


def written(path: Path) -> str:
    """A path as people write it: `messages[2].content[1]`."""
    said = "".join(f"[{step}]" if type(step) is int else f".{step}" for step in path)
    return said.removeprefix(".")


def joined(leaves: Sequence[Leaf]) -> str:
    """The texts as one, a line end between each two."""
    return leaves[0].text if len(leaves) == 1 else "\n".join([leaf.text for leaf in leaves])


def apart(leaves: Sequence[Leaf], edited: str) -> list[str]:
    """What of an edited text belongs to which leaf, where `joined(leaves)` was edited.

    Nothing of the edited text is lost. Where as many lines are left as there were, each leaf keeps its own; else the
    leaves that are untouched at the beginning and at the end keep theirs, and the first one between takes the rest.
    """
    if len(leaves) == 1:
        return [edited]
    counts = [leaf.text.count("\n") + 1 for leaf in leaves]
    lines = edited.split("\n")
    if len(lines) == sum(counts):
        pieces, at = [], 0
        for count in counts:
            pieces.append("\n".join(lines[at : at + count]))
            at += count
        return pieces
    start, head = 0, 0
    while head < len(leaves) and edited.startswith(f"{leaves[head].text}\n", start):
        start += len(leaves[head].text) + 1
        head += 1
    if head == len(leaves):  # all of them stand there, and something behind them
        last = len(leaves[-1].text) + 1
        return [*(leaf.text for leaf in leaves[:-1]), edited[start - last :]]
    end, tail = len(edited), len(leaves)
    while tail - 1 > head and edited.endswith(f"\n{leaves[tail - 1].text}", start, end):
        tail -= 1
        end -= len(leaves[tail].text) + 1
    between = [edited[start:end], *[""] * (tail - head - 1)]
    return [*(leaf.text for leaf in leaves[:head]), *between, *(leaf.text for leaf in leaves[tail:])]


class Rewriting:
    """A copy of JSON in the making: only what lies on the way to a change is copied."""

    def __init__(self, root: dict[str, Any]) -> None:
        """A copy that still shares everything with `root`."""
        self._root = dict(root)
        self._own: dict[Path, Any] = {(): self._root}
        self._dropped: set[Path] = set()
        self._renamed: dict[Path, str] = {}

    def put(self, path: Path, value: object) -> None:
        """Let a value stand at a path."""
        self._within(path[:-1])[path[-1]] = value

    def write(self, leaf: Leaf, text: str) -> None:
        """Let another text stand in a leaf's place."""
        if leaf.is_name:
            self._renamed[leaf.path] = text
        else:
            self.put(leaf.path, text)

    def drop(self, path: Path) -> None:
        """Take out what stands at a path, when all else is done."""
        self._dropped.add(path)

    def unsign(self, path: Path) -> None:
        """Take out the signature beside a text that is changed: it vouches for what the text was."""
        holder: Any = self._root
        for step in path[:-1]:
            holder = holder[step]
        if type(holder) is dict:
            self._dropped |= {(*path[:-1], name) for name in _SIGNATURES if name in holder}

    def done(self) -> dict[str, Any]:
        """The copy; nothing may be changed after this."""
        # From the back and from below, so that the other paths stay true.
        for path in sorted(self._dropped, key=_from_behind, reverse=True):
            del self._within(path[:-1])[path[-1]]
        for path in sorted(self._renamed, key=len, reverse=True):
            if path in self._dropped:
                continue
            holder = self._within(path[:-1])
            items = [(self._renamed[path] if name == path[-1] else name, value) for name, value in holder.items()]
            holder.clear()
            holder.update(items)
        return self._root

    def _within(self, path: Path) -> Any:
        """The container at a path, which may be changed."""
        known = self._own.get(path)
        if known is not None:
            return known
        start = len(path)
        while path[:start] not in self._own:
            start -= 1
        holder = self._own[path[:start]]
        for place in range(start, len(path)):
            inner = holder[path[place]]
            holder[path[place]] = inner = inner.copy()
            self._own[path[: place + 1]] = holder = inner
        return holder


def _from_behind(path: Path) -> tuple[int, tuple[int, ...]]:
    return len(path), tuple(step if type(step) is int else -1 for step in path)
