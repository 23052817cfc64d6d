"""New examples written into a rule file: lines put in where they belong, everything else left letter for letter.

The file is not read and written back, which would lose comments and layout: the parser says where a list ends, and the
new lines are put there. What comes of it is loaded before it may replace the file: if anything but the examples of the
one rule came out otherwise, nothing is written.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from rules.errors import RuleError, WardlawError
from rules.examples import Example
from rules.files import MAX_BYTES, PACKS
from rules.load import load
from rules.loaded import Loaded
from rules.schema import Constitution, Rule
from rules.words import quoted

Side: TypeAlias = Literal["breaks", "keeps"]

_BOM = "\ufeff"
_BREAKS = re.compile("[\x85\u2028\u2029]")
_WIDTH = 112


class _Dumper(yaml.SafeDumper):
    """Sets the items of a list in from their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_DASH = re.compile(r"( *)- ")
_COMMENT = re.compile(r"#[^\n]*")


class InsertionError(WardlawError):
    """New examples cannot be written into the file."""


def home_of(loaded: Loaded, rule_id: str) -> Path:
    """The file that a rule's examples are written in, or the rule itself where it has none; links followed.

    Raises:
        InsertionError: it is a pack that ships.
        KeyError: there is no such rule.
    """
    path = Path(loaded.locate(rule_id, "examples").path).resolve()
    if path.is_relative_to(PACKS.resolve()):
        what = f"the rule {quoted(rule_id, 90)} stands in the pack `{path.stem}`, which ships with the project"
        hint = (
            f"write a file with `extends: [{path.stem}]` and the rule's `id` and all of its `examples` in it, add to "
            "that one, and name it here"
        )
        raise InsertionError(what, hint)
    return path


def insert(
    sources: Sequence[str | os.PathLike[str]], rule_id: str, new: Mapping[Side, Sequence[Example]]
) -> tuple[Path, Loaded]:
    """Write examples to a rule's lists, whole or not at all.

    Args:
        sources: what `load` was given.
        rule_id: the rule.
        new: side -> what is added to its list.

    Returns:
        the file that was written, and the rules as they are now.

    Raises:
        RuleErrors: the files cannot be loaded as they are.
        InsertionError: it is a pack that ships, the file cannot be written, or it cannot be added to as it is laid out.
    """
    before = load(*sources)
    path = home_of(before, rule_id)
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InsertionError(f"`{path}` cannot be read: {error}", "see who may read it") from error
    changed = text
    for side, examples in new.items():
        if examples:
            changed = inserted(changed, rule_id, side, examples)
    after = _checked(before, sources, path, changed, rule_id, new)
    _replace(path, changed)
    return path, after


def inserted(text: str, rule_id: str, side: Side, examples: Sequence[Example]) -> str:
    """The text of a rule file with examples at the end of one list of one rule.

    Raises:
        InsertionError: the rule is not in the text as a map of its own.
    """
    if text.startswith(_BOM):  # the parser does not count it
        return _BOM + inserted(text[1:], rule_id, side, examples)
    # the parser that `rules.places` reads the file with: the other one refuses some of what it takes, as `[what?]`
    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    rules = _value(root, "rules")
    items = rules.value if isinstance(rules, yaml.SequenceNode) else []
    rule = next((item for item in items if _says(_value(item, "id"), rule_id)), None)
    if not isinstance(rule, yaml.MappingNode):
        raise InsertionError(f"the rule {quoted(rule_id, 90)} is not written out in the file", "add the lines by hand")
    data = [_plain(example) for example in examples]
    group = _value(rule, "examples")
    if not isinstance(group, yaml.MappingNode):
        return _add_key(text, rule, "examples", {side: data})
    items_of_side = _value(group, side)
    if not isinstance(items_of_side, yaml.SequenceNode):
        return _add_key(text, group, side, data)
    if items_of_side.flow_style:
        return _add_inside(text, items_of_side, _flow(data)[1:-1])
    first = items_of_side.value[0]
    dash = _DASH.match(_line(text, first.start_mark.index))
    column = len(dash[1]) if dash else items_of_side.start_mark.column
    return _add_lines(text, items_of_side, _block(data), column)


def _plain(example: Example) -> Any:
    """An example in the shortest form that says it."""
    turns = example.messages
    if example.note is None and [turn.role for turn in turns] == ["user"]:
        return turns[0].content
    note = {} if example.note is None else {"note": example.note}
    if [turn.role for turn in turns] == ["user", "assistant"]:
        return {"prompt": turns[0].content, "response": turns[1].content, **note}
    return {"messages": [{"role": turn.role, "content": turn.content} for turn in turns], **note}


def _add_key(text: str, node: yaml.MappingNode, key: str, value: Any) -> str:
    """A new key at the end of a map."""
    if node.flow_style:
        return _add_inside(text, node, _flow({key: value})[1:-1])
    return _add_lines(text, node, _block({key: value}), node.value[0][0].start_mark.column)


def _add_inside(text: str, node: yaml.CollectionNode, content: str) -> str:
    """Something at the end of a list or map in brackets, before the closing one."""
    close = node.end_mark.index - 1
    if not node.value:
        return f"{text[:close].rstrip()}{content}{text[close:]}"
    last = node.value[-1]
    end = (last[1] if isinstance(last, tuple) else last).end_mark.index
    comma = "," in _COMMENT.sub("", text[end:close])
    if comma:
        return f"{text[:close]}{content}{text[close:]}"
    return f"{text[:end]}, {content}{text[end:]}"


def _add_lines(text: str, node: yaml.CollectionNode, lines: Sequence[str], column: int) -> str:
    """Lines after the last one that a list or map has content on."""
    newline = "\r\n" if "\r\n" in text else "\n"
    at = text.find("\n", _end(text, node))
    before, after = (text + newline, "") if at < 0 else (text[: at + 1], text[at + 1 :])
    indent = " " * column
    return before + "".join(f"{indent}{line}".rstrip() + newline for line in lines) + after


def _end(text: str, node: yaml.Node) -> int:
    """Index of the last character of a node's content. A block's own end mark lies at what follows it, behind comments
    and blank lines that belong to that."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return max(len(text[: node.end_mark.index].rstrip()) - 1, node.start_mark.index)


def _block(data: Any) -> list[str]:
    return _dumped(data, default_flow_style=False, width=_WIDTH).split("\n")[:-1]


def _flow(data: Any) -> str:
    return _dumped(data, default_flow_style=True, width=1 << 30).rstrip("\n")


def _dumped(data: Any, **form: Any) -> str:
    dumper = yaml.SafeDumper if form["default_flow_style"] else _Dumper
    text: str = yaml.dump(data, Dumper=dumper, allow_unicode=True, sort_keys=False, **form)
    if _BREAKS.search(text):  # the library writes these line breaks as they stand, and reads them as a space
        text = yaml.dump(data, Dumper=dumper, allow_unicode=False, sort_keys=False, **form)
    return text


def _value(node: Any, key: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if _says(name, key)), None)


def _says(node: Any, text: str) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == text


def _line(text: str, index: int) -> str:
    start = text.rfind("\n", 0, index) + 1
    return text[start:index]


def _checked(
    before: Loaded,
    sources: Sequence[str | os.PathLike[str]],
    path: Path,
    text: str,
    rule_id: str,
    new: Mapping[Side, Sequence[Example]],
) -> Loaded:
    """The rules as the new text makes them, which are what they were but for the new examples.

    Raises:
        InsertionError: they are not.
    """
    hint = "nothing was written; add the lines by hand"
    if len(text.encode()) > MAX_BYTES:
        raise InsertionError(f"`{path}` would be larger than 1 MiB", "split it, and join the parts with `extends`")
    try:
        after = load(*sources, instead={path: text})
    except RuleError as error:
        raise InsertionError(f"with the new examples the file would be at fault: {error.what}", hint) from error
    if _with(before.constitution, rule_id, new) != _bare(after.constitution, rule_id, before):
        raise InsertionError(f"the layout of `{path}` is one that examples cannot be added to safely", hint)
    return after


def _with(constitution: Constitution, rule_id: str, new: Mapping[Side, Sequence[Example]]) -> Constitution:
    rule = constitution.rule(rule_id)
    added: dict[str, Any] = {side: (*getattr(rule.examples, side), *examples) for side, examples in new.items()}
    return _replaced(constitution, rule.model_copy(update={"examples": rule.examples.model_copy(update=added)}))


def _bare(constitution: Constitution, rule_id: str, before: Loaded) -> Constitution:
    """As loaded, but looked for as before: the first example that breaks a rule makes the gate look for it."""
    rule = constitution.rule(rule_id)
    return _replaced(constitution, rule.model_copy(update={"detect": before.constitution.rule(rule_id).detect}))


def _replaced(constitution: Constitution, rule: Rule) -> Constitution:
    rules = tuple(rule if each.id == rule.id else each for each in constitution)
    return constitution.model_copy(update={"rules": rules})


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(text.encode())
        shutil.copymode(path, part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        why = error.strerror or str(error)
        raise InsertionError(f"`{path}` cannot be written: {why}", "see who may write it") from error
