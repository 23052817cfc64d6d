"""YAML -> plain data that remembers where each key and value stood.

The parser's events are put together here, not by the yaml library, for four reasons: every value keeps its place; a
repeated key is seen; nothing recurses, so a file of brackets cannot end the process; and only `true`, `false` and
`null` are more than text, so that `on` is a key, `no` is Norwegian and `1.10` stays `1.10`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from rules.errors import Location, RuleError
from rules.slips import begins_like
from rules.syntax import syntax_error
from rules.words import quoted

MAX_ALIASES = 100
MAX_DEPTH = 50
MAX_VALUES = 100_000
"""Values after aliases are followed: a hundred aliases are enough to write down 10**9 values."""

_PLAIN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CUT = re.compile(r"[ \t]+(#[^\s#=-]\S*)")
"""A comment that begins as no comment does: people put a space after the `#`, or draw a line."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class Node:
    """A YAML value and where it stands."""

    data: Any
    """`str`, `bool`, `None`, or a list or map of these."""
    path: str
    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    """The values of a list."""
    fields: dict[str, Node] = field(default_factory=dict)
    """The values of a map."""
    keys: dict[str, Location] = field(default_factory=dict)
    """Where the keys of a map stand."""
    values: int = 1
    """How many values this is, aliases followed."""
    cut: str = ""
    """What follows an unquoted text as a comment and looks like a part of it, as `#1234`; in a list or map, the last
    one inside."""
    begins: tuple[str, ...] = ()
    """What lines of this unquoted text begin with that looks like a key or an item: see `rules.slips.begins_like`; in a
    list or map, that of the last such text inside."""
    hollow: bool = False
    """Whether nothing at all was written here, as after `reply:`; in a list or map, whether that holds for a value
    inside."""

    @property
    def where(self) -> Location:
        """The place of the value."""
        return Location(self.path, self.line, self.column)

    def step(self, key: str | int) -> Node | None:
        """The value under a key or at an index, if there is one."""
        if isinstance(key, str):
            return self.fields.get(key)
        return self.items[key] if -len(self.items) <= key < len(self.items) else None


def compose(text: str, path: str) -> tuple[Node | None, list[RuleError]]:
    """Put a YAML document together.

    Args:
        text: the document.
        path: what errors call it.

    Returns:
        The document and what is wrong with it. The document is None where it is no YAML, is empty, or is too much;
        after any other fault it is there all the same, so that what it says can be checked too.
    """
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad:
        what = f"not YAML: the control character U+{ord(bad[0]):04X} cannot stand here"
        hint = 'delete it, or write it as an escape in double quotes, as "\\x1B"'
        return None, [RuleError(place_of(text, bad.start(), path), what, hint)]
    builder = _Builder(path, text)
    try:
        # the C parser is about ten times faster; wheels of pyyaml without it exist
        for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except RuleError as fatal:
        return None, [*builder.faults, fatal]
    except yaml.MarkedYAMLError as error:
        return None, [*builder.faults, syntax_error(error, text, path, builder.last)]
    except (ValueError, OverflowError):  # the pure parser hands escapes to chr() without a look
        what, hint = "not YAML: an escape that stands for no character", "write the character itself"
        return None, [*builder.faults, RuleError(Location(path), what, hint)]
    except yaml.YAMLError as error:
        hint = "see that quotes and brackets are closed and lines are in step"
        return None, [*builder.faults, RuleError(Location(path), f"not YAML: {quoted(error, 120)}", hint)]
    if builder.root is None or builder.root.data is None:
        empty = RuleError(Location(path), "the file is empty", "`wardlaw init DIR` writes one to begin from")
        return None, [*builder.faults, empty]
    return builder.root, builder.faults


def place_of(text: str, offset: int, path: str) -> Location:
    """The place of a character."""
    before = text[:offset]
    return Location(path, before.count("\n") + 1, offset - before.rfind("\n"))


class _Builder:
    """Takes the parser's events one by one; a stack in place of recursion."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.last: Any = None
        """The event that was taken last: a fault may have begun with it."""
        self.root: Node | None = None
        self.faults: list[RuleError] = []
        self._anchors: dict[str, Node] = {}
        self._open: list[Node] = []
        self._key: list[tuple[str, Location, bool] | None] = []
        """A key that waits for its value, one for each open value; the flag says whether it is a repeated one."""
        self._aliases = 0

    def take(self, event: Any) -> None:
        self.last = event
        if isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event))
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            self._stop(event, "a second document starts", "a rule file is one document: delete the `---`")

    def _node(self, event: Any, data: Any) -> Node:
        mark = event.start_mark
        node = Node(data, self.path, mark.line + 1, mark.column + 1)
        if event.tag is not None:
            self.faults.append(
                RuleError(
                    node.where,
                    f"the YAML tag {quoted(event.tag)} is refused",
                    "a rule file holds text, lists and maps alone: delete the tag",
                )
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Any) -> Node:
        value: Any = event.value
        if event.style == '"' and _SURROGATE.search(value):  # the pure parser makes one of "\\ud800"
            self._stop(event, "not YAML: an escape for half a character", "write the character itself")
        if event.implicit[0]:  # written without quotes
            value = None if value in _NULLS else _PLAIN.get(value, value)
        node = self._node(event, value)
        if event.style not in ("'", '"') and isinstance(value, str):
            written = self.text[event.start_mark.index : event.end_mark.index]
            node.begins = begins_like(written, event.style in ("|", ">"))
        if event.implicit[0]:
            node.hollow = not event.value
            cut = _CUT.match(self.text, event.end_mark.index)
            node.cut = cut[1] if cut else ""
        return node

    def _start(self, event: Any) -> None:
        if len(self._open) == MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels", "a rule needs no more than eight")
        self._open.append(self._node(event, {} if isinstance(event, yaml.MappingStartEvent) else []))
        self._key.append(None)

    def _end(self) -> None:
        node = self._open.pop()
        self._key.pop()
        self._put(node)

    def _alias(self, event: Any) -> None:
        name = quoted(f"*{event.anchor}")
        node = self._anchors.get(event.anchor)
        if node is None:
            self._stop(event, f"the alias {name} has no anchor", "put the whole text in single quotes")
        elif any(node is parent for parent in self._open):
            self._stop(event, f"the alias {name} stands inside its own anchor", "write it out")
        else:
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                self._stop(event, f"more than {MAX_ALIASES} aliases", "write the values out")
            self._put(node)

    def _put(self, node: Node) -> None:
        """Hand a finished value to what it stands in."""
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.data, list):
            parent.data.append(node.data)
            parent.items.append(node)
        elif self._key[-1] is None:
            self._key[-1] = self._take_key(parent, node)
            return
        else:
            key, where, repeated = self._key[-1]
            self._key[-1] = None
            if not repeated:  # a fault stands already; the first one goes on to be checked
                parent.data[key] = node.data
                parent.fields[key] = node
                parent.keys[key] = where
        parent.values += node.values
        parent.cut = node.cut or parent.cut
        parent.begins = node.begins or parent.begins
        parent.hollow = parent.hollow or node.hollow
        if parent.values > MAX_VALUES:
            raise RuleError(parent.where, f"more than {MAX_VALUES} values", "split the file into packs")

    def _take_key(self, parent: Node, node: Node) -> tuple[str, Location, bool]:
        where = node.where
        if isinstance(node.data, dict | list):
            self.faults.append(RuleError(where, "a key must be text", "quote text that begins with `{` or `[`"))
            return "", where, True
        key = {True: "true", False: "false", None: "null"}[node.data] if not isinstance(node.data, str) else node.data
        if key == "<<":
            raise RuleError(where, "merge keys `<<` are refused", "name the fields, or take a whole value by an alias")
        if key in parent.keys:
            first = parent.keys[key]
            self.faults.append(
                RuleError(
                    where, f"repeated key {quoted(key)}", f"it stands first at line {first.line}: keep one of the two"
                )
            )
            return key, where, True
        return key, where, False

    def _stop(self, event: Any, what: str, hint: str) -> None:
        mark = event.start_mark
        where = Location(self.path, mark.line + 1, mark.column + 1)
        raise RuleError(where, what, hint)
