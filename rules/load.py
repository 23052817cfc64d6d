"""YAML -> Constitution: `extends`, overrides, defaults, and every fault of a load at its place, all at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import ValidationError

from rules.collecting import uncollected
from rules.errors import Location, RuleError, RuleErrors
from rules.faults import left_empty, read_faults, resolve
from rules.files import Source, find, find_extended, read
from rules.origin import Origin
from rules.places import Node, compose
from rules.rule_file import RULE_KEYS, RuleFile
from rules.schema import Constitution, Defaults, Rule
from rules.slips import slip_in_text
from rules.words import did_you_mean, listed, nearest, quoted

_WORDS = ("id", "severity", "watches", "on", "mode", "on_error", "hazards", "when", "threshold", "verdict", "role")
"""Keys of what is one word: after it, a comment cuts nothing off."""
_SHOWN = 8
"""Ids of a pack that a hint lists."""
_Layer: TypeAlias = tuple[Node, bool | None]
"""What a file says of a rule, and whether it takes it out of force, if it says so."""
_Brought: TypeAlias = dict[str, frozenset[str]]
"""Ids of rules -> the files whose word on the rule counts."""
_REQUIRED = tuple(name for name, info in Rule.model_fields.items() if info.is_required())


@dataclass(frozen=True, slots=True)
class Loaded:
    """A constitution, and where each part of it was written."""

    constitution: Constitution
    files: tuple[Path, ...]
    """The files that were read, in the order in which they count: later ones win."""
    _drafts: Mapping[str, _Draft] = field(repr=False)
    _brought: Mapping[Path, _Brought] = field(repr=False)

    def locate(self, rule_id: str, *keys: str | int) -> Location:
        """Where a rule, or the value that `keys` lead to in it, is written; the deepest place that is there.

        Raises:
            KeyError: there is no such rule.
        """
        return resolve(self._drafts[rule_id].node, keys).where

    def origin(self, rule_id: str, name: str) -> Origin:
        """Where a rule's field got the value that counts.

        Raises:
            KeyError: there is no such rule.
        """
        draft = self._drafts[rule_id]
        value = draft.node.fields.get(name)
        if value is None:
            return Origin("default")
        kind: Literal["written", "defaults"] = "defaults" if name in draft.by_defaults else "written"
        return Origin(kind, value.where, tuple(draft.overlaid.get(name, ())))

    def brought_by(self, rule_id: str) -> tuple[Path, ...]:
        """The files that define a rule, change it, or take it from a file that they extend; in their order."""
        return tuple(path for path in self.files if rule_id in self._brought.get(path, ()))

    def begins(self, rule_id: str) -> Iterator[tuple[tuple[str | int, ...], tuple[str, ...], frozenset[str]]]:
        """Unquoted texts of a rule of which lines begin like a key or an item: keys, what these begin with, and the
        keys that stand beside the text.

        Raises:
            KeyError: there is no such rule.
        """
        top = self._drafts[rule_id].node
        waiting: list[tuple[tuple[str | int, ...], Node, frozenset[str]]] = [((), top, frozenset())]
        while waiting:
            keys, node, beside = waiting.pop()
            if not isinstance(node.data, dict | list) and keys:
                yield keys, node.begins, beside
            inside: list[tuple[str | int, Node]] = [*node.fields.items(), *enumerate(node.items)]
            names = frozenset(node.fields)
            waiting += [((*keys, key), each, names) for key, each in reversed(inside) if each.begins]

    def cuts(self, rule_id: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Unquoted texts of a rule that a comment cuts off which looks like a part of them: keys, and its first word.

        Raises:
            KeyError: there is no such rule.
        """
        waiting: list[tuple[tuple[str | int, ...], Node]] = [((), self._drafts[rule_id].node)]
        while waiting:
            keys, node = waiting.pop()
            if not isinstance(node.data, dict | list):
                yield keys, node.cut
            inside: list[tuple[str | int, Node]] = [*node.fields.items(), *enumerate(node.items)]
            waiting += [((*keys, key), each) for key, each in reversed(inside) if each.cut and key not in _WORDS]


def load(*sources: str | os.PathLike[str], instead: Mapping[Path, str] | None = None) -> Loaded:
    """Read rule files, folders of them, and packs by name, as one constitution.

    Args:
        sources: a path, a folder (its `*.yaml` in the order of their names), or the name of a pack that ships with
            the project. Later ones win, rule by rule; the last one names the constitution.
        instead: texts that are read in place of files, by their absolute paths with links followed: what a file would
            say if it were written.

    Raises:
        RuleErrors: something is wrong. All faults of all files are in it, each with its place.
    """
    loading = _Loading(instead or {})
    with uncollected():
        for source in find(sources, loading.faults):
            loading.source(source)
        return loading.finish()


@dataclass(slots=True)
class _Draft:
    """A rule while its fields come together."""

    node: Node
    path: str
    """The file that defined it first."""
    disabled: bool = False
    partial: bool = False
    """Whether what it lacks is no fault of its own: another fault is named that explains it."""
    defaulted: frozenset[str] = frozenset()
    """Fields that the file which defined it left to its `defaults`."""
    by_defaults: frozenset[str] = frozenset()
    """Those of them that no later file has changed."""
    overlaid: dict[str, list[Location]] = field(default_factory=dict)
    """Field -> places of the values that a later one took the place of."""
    layers: list[_Layer] = field(default_factory=list)
    """What each file says of it, the file that defined it first."""

    def overlay(self, node: Node, disabled: bool | None) -> None:
        """Let a later file's fields take the place of these."""
        self.layers.append((node, disabled))
        self.disabled = self.disabled if disabled is None else disabled
        for name in node.fields:
            if name != "id" and name in self.node.fields:
                self.overlaid.setdefault(name, []).append(self.node.fields[name].where)
        self.by_defaults -= node.fields.keys()
        self.node = _laid_over(self.node, node)

    def within(self, files: Collection[str]) -> _Draft:
        """As it is without what other files than these add to it.

        A file of which some rules are taken must not change those that are not, or take them out of force.
        """
        if all(node.path in files for node, _ in self.layers[1:]):
            return self
        (node, disabled), *later = self.layers
        draft = _Draft(node, self.path, bool(disabled), self.partial, self.defaulted, self.defaulted)
        draft.layers.append((node, disabled))
        for each in later:
            if each[0].path in files:
                draft.overlay(*each)
        return draft


class _Loading:
    """One load: what was read so far, and what is wrong with it."""

    def __init__(self, instead: Mapping[Path, str]) -> None:
        self.instead = instead
        self.faults: list[RuleError] = []
        self.files: dict[Path, str] = {}
        self.drafts: dict[str, _Draft] = {}
        self.folded: dict[str, str] = {}
        """Ids without letter case -> the id as it came first."""
        self.spares: list[_Draft] = []
        """Rules that cannot count, as the second of two with one id; their other faults are named all the same."""
        self.brought: dict[Path, _Brought] = {}
        """File -> the rules that it defines or changes, and those it takes from others."""
        self.named: _Brought = {}
        """The rules that the files named to `load` bring; what these left out of others is not in force."""
        self.head: RuleFile | None = None
        self.unread = False

    def source(self, source: Source) -> None:
        """Read a file that was named to `load`."""
        self.file(source, ())
        _join(self.named, self.brought.get(source.real, {}))

    def file(self, source: Source, chain: tuple[Source, ...]) -> None:
        """Read a file, after all that it extends."""
        if source.real in self.files:
            return
        text = self.instead[source.real] if source.real in self.instead else read(source, self.faults)
        node, faults = (None, []) if text is None else compose(text, source.shown)
        self.faults += faults
        self.files[source.real] = source.shown
        if node is None:
            self.unread = True
            return
        if not isinstance(node.data, dict):
            what = f"a rule file is a map of keys, not {'a list' if isinstance(node.data, list) else 'text'}"
            slip = slip_in_text(node.data) if isinstance(node.data, str) else None
            self.faults.append(RuleError(node.where, what, slip or "begin with `constitution: NAME`, then `rules:`"))
            self.unread = True
            return
        head = self._read_head(node)
        brought = self.brought[source.real] = {}
        offered: _Brought = {}
        extends = node.fields.get("extends")
        for item in () if extends is None else extends.items or (extends,):
            name = item.fields.get("pack", item)
            if not isinstance(name.data, str) or not name.data.strip():
                continue  # the head says so
            found = find_extended(name.data.strip(), name.where, source, (*chain, source), self.faults)
            if found is None:
                self.unread = True
                continue
            self.file(found, (*chain, source))
            there = self.brought.get(found.real, {})
            _join(offered, there)
            taken = self._taken(there, name, item.fields.get("only"))
            _join(brought, there if taken is there else {rule_id: there[rule_id] for rule_id in taken})
        self.head = head
        # put at the end: what a file extends counts before the file itself
        self.files[source.real] = self.files.pop(source.real)
        defaults = node.fields.get("defaults") if head is not None else None
        rules = node.fields.get("rules")
        seen: dict[str, Node] = {}
        above: Node | None = None
        for item in rules.items if rules else ():
            if above is not None and _is_part_of(item, above):
                self._stray(item, above)
                continue
            above = item
            self._rule(item, defaults, seen)
        # what it changes comes in with all that is said of it below, also where it was not selected
        _join(brought, {rule_id: offered[rule_id] for rule_id in seen if rule_id in offered})
        own = frozenset((source.shown,))
        _join(brought, dict.fromkeys(seen, own))

    def _taken(self, offered: _Brought, pack: Node, only: Node | None) -> Collection[str]:
        """The ids that an item of `extends` takes."""
        if only is None or not only.items:  # an empty selection is a fault of the head, and hides no rule
            return offered
        taken = set()
        for item in only.items:
            if not isinstance(item.data, str) or not item.data.strip():
                continue  # the head says so
            if item.data in offered:
                taken.add(item.data)
            elif not self.unread:  # else the rule may stand in what could not be read
                ids = sorted(offered)
                some = listed(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
                hint = did_you_mean(item.data, ids, f"its rules are {some}" if ids else "it has none")
                self.faults.append(RuleError(item.where, f"{quoted(pack.data)} has no rule {quoted(item.data)}", hint))
        return taken

    def _read_head(self, node: Node) -> RuleFile | None:
        head = _without(node, "rules")
        try:
            found = RuleFile.model_validate(node.data)
        except ValidationError as error:
            faults = read_faults(error, node, RuleFile, "the file")
            self.faults += faults + left_empty(head, "the file", {fault.where for fault in faults})
            return None
        self.faults += left_empty(head, "the file")
        return found

    def _rule(self, node: Node, defaults: Node | None, seen: dict[str, Node]) -> None:
        """Take in one item of `rules`."""
        if not isinstance(node.data, dict):
            slip = slip_in_text(node.data) if isinstance(node.data, str) else None
            what = "an empty rule" if node.data is None else "a rule is a map of keys"
            self.faults.append(RuleError(node.where, what, slip or "begin it with `- id: NAME`"))
            return
        disabled = self._disabled(node)
        node = _without(node, "disabled")
        rule_id = node.data.get("id")
        if not isinstance(rule_id, str):
            self.spares.append(_Draft(node, node.path))
            return
        where = node.fields["id"].where
        if rule_id in seen:
            hint = f"it stands first at line {seen[rule_id].line}: rename one, or join the two"
            self.faults.append(RuleError(where, f"repeated id {quoted(rule_id)}", hint))
            self.spares.append(_Draft(node, node.path, partial=True))
            return
        seen[rule_id] = node
        twin = self.folded.setdefault(rule_id.casefold(), rule_id)
        if twin != rule_id and twin in self.drafts:
            first = self.drafts[twin].node.fields["id"].where
            what = f"the id {quoted(rule_id)} differs from {quoted(twin)} ({first}) by case alone"
            self.faults.append(RuleError(where, what, f"write {quoted(twin)}, or choose another name"))
            return
        draft = self.drafts.get(rule_id)
        if draft is not None:
            draft.overlay(node, disabled)
            return
        if self._means_another(rule_id, node, disabled):
            return
        draft = _Draft(node, node.path, bool(disabled), partial=self.unread)
        if defaults is not None:
            draft.defaulted = frozenset(defaults.fields.keys() & Defaults.model_fields.keys() - node.fields.keys())
            draft.by_defaults = draft.defaulted
            draft.node = _laid_over(_only(defaults, Defaults.model_fields), node)
        draft.layers.append((draft.node, disabled))
        self.drafts[rule_id] = draft

    def _stray(self, item: Node, above: Node) -> None:
        """Tell of keys of a rule that a hyphen made an item of their own."""
        key = next(iter(item.fields))
        hint = "if it belongs to the rule above, write two spaces in place of its `- `; else give it an `id`"
        self.faults.append(RuleError(item.where, f"{quoted(key)} begins a rule that has no `id`", hint))
        draft = self.drafts.get(above.data["id"])
        if draft is not None:
            draft.partial = True

    def _disabled(self, node: Node) -> bool | None:
        if "disabled" not in node.fields:
            return None
        value = node.fields["disabled"]
        if not isinstance(value.data, bool):
            self.faults.append(RuleError(value.where, "`disabled` must be `true` or `false`", "write `disabled: true`"))
        return value.data is True

    def _means_another(self, rule_id: str, node: Node, disabled: bool | None) -> bool:
        """Whether this is no new rule, but the attempt to change one under an id that is not there."""
        if sum(name not in node.fields for name in _REQUIRED) < 2:
            return False
        # to look for a slip takes time by the number of ids: with thousands of them nobody waits for the hint
        near = nearest(rule_id, self.drafts) if len(self.drafts) <= 1000 else None
        if not (disabled or near):
            return False
        if not self.unread:  # else the rule may stand in the file that could not be read
            hint = f"did you mean {quoted(near)}?" if near else "put its file under `extends`, or delete this rule"
            what = f"no file before has a rule {quoted(rule_id)} to {'disable' if disabled else 'change'}"
            self.faults.append(RuleError(node.fields["id"].where, what, hint))
        return True

    def finish(self) -> Loaded:
        """Check every rule as its files together make it."""
        rules: list[Rule] = []
        drafts = {
            rule_id: draft.within(self.named[rule_id]) if rule_id in self.named else draft
            for rule_id, draft in self.drafts.items()
        }
        for draft in (*drafts.values(), *self.spares):
            rule = self._validated(draft)
            if rule is not None and not draft.disabled and rule.id in self.named:
                rules.append(rule)
        if not self.faults and not rules:
            where = Location(next(iter(self.files.values()), "."))
            hint = "write one under `rules:`, or extend a pack, as `extends: [base]`"
            self.faults.append(RuleError(where, "no rule is left in force", hint))
        if self.faults or self.head is None:
            order = list(self.files.values())
            raise RuleErrors(sorted(self.faults, key=lambda fault: _rank(fault, order)))
        title = self.head.title or self.head.constitution
        constitution = Constitution.model_validate(
            {"name": self.head.constitution, "title": title, "rules": tuple(rules)},
        )
        drafts = {rule_id: draft for rule_id, draft in drafts.items() if rule_id in self.named}
        return Loaded(constitution, tuple(self.files), drafts, self.brought)

    def _validated(self, draft: _Draft) -> Rule | None:
        rule_id = draft.node.data.get("id")
        of = f"rule {quoted(rule_id, 90)}" if isinstance(rule_id, str) and rule_id.strip() else "a rule"
        try:
            rule = Rule.model_validate(draft.node.data)
        except ValidationError as error:
            faults = read_faults(error, draft.node, Rule, of)
            echo = f"{of} has no " if draft.partial else "\0"
            self.faults += [fault for fault in faults if not fault.fault.startswith(echo)]
            self.faults += left_empty(draft.node, of, {fault.where for fault in faults})
            return None
        self.faults += left_empty(draft.node, of)
        return rule


def _rank(fault: RuleError, files: list[str]) -> tuple[int, int, int]:
    where = fault.where
    if where is None or where.path not in files:
        return (-1, 0, 0)
    return (files.index(where.path), where.line, where.column)


def _join(into: _Brought, more: _Brought) -> None:
    for rule_id, files in more.items():
        before = into.get(rule_id)
        into[rule_id] = files if before is None or before is files else before | files


def _is_part_of(item: Node, above: Node) -> bool:
    """Whether an item of `rules` looks like more keys of the rule above it."""
    keys = item.fields.keys()
    is_rule = isinstance(above.data, dict) and isinstance(above.data.get("id"), str)
    return is_rule and bool(keys) and "id" not in keys and keys <= set(RULE_KEYS) and not keys & above.fields.keys()


def _without(node: Node, key: str) -> Node:
    return _only(node, [name for name in node.fields if name != key])


def _only(node: Node, names: object) -> Node:
    keep = [name for name in node.fields if name in names]  # type: ignore[operator]
    return Node(
        {name: node.data[name] for name in keep},
        node.path,
        node.line,
        node.column,
        fields={name: node.fields[name] for name in keep},
        keys={name: node.keys[name] for name in keep},
    )


def _laid_over(under: Node, over: Node) -> Node:
    """The fields of `over`, and those of `under` that it does not name."""
    place = under if "id" in under.fields else over
    return Node(
        {**under.data, **over.data},
        place.path,
        place.line,
        place.column,
        fields={**under.fields, **over.fields},
        keys={**under.keys, **over.keys},
    )
