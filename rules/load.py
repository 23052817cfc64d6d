"""YAML -> Constitution: `extends`, overrides, defaults, and every fault of a load at its place, all at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from rules.collecting import uncollected
from rules.draft import Draft, laid_over, with_only, without
from rules.errors import Location, RuleError, RuleErrors
from rules.faults import left_empty, read_faults
from rules.files import Source, find, find_extended, read
from rules.loaded import Brought, Loaded
from rules.places import Node, compose
from rules.rule_file import RULE_KEYS, RuleFile
from rules.schema import Constitution, Defaults, Rule
from rules.slips import slip_in_text
from rules.words import did_you_mean, listed, nearest, quoted

_SHOWN = 8
"""Ids of a pack that a hint lists."""
_REQUIRED = tuple(name for name, info in Rule.model_fields.items() if info.is_required())


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


class _Loading:
    """One load: what was read so far, and what is wrong with it."""

    def __init__(self, instead: Mapping[Path, str]) -> None:
        self.instead = instead
        self.faults: list[RuleError] = []
        self.files: dict[Path, str] = {}
        self.drafts: dict[str, Draft] = {}
        self.folded: dict[str, str] = {}
        """Ids without letter case -> the id as it came first."""
        self.spares: list[Draft] = []
        """Rules that cannot count, as the second of two with one id; their other faults are named all the same."""
        self.brought: dict[Path, Brought] = {}
        """File -> the rules that it defines or changes, and those it takes from others."""
        self.named: Brought = {}
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
        offered: Brought = {}
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

    def _taken(self, offered: Brought, pack: Node, only: Node | None) -> Collection[str]:
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
        head = without(node, "rules")
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
        node = without(node, "disabled")
        rule_id = node.data.get("id")
        if not isinstance(rule_id, str):
            self.spares.append(Draft(node, node.path))
            return
        where = node.fields["id"].where
        if rule_id in seen:
            hint = f"it stands first at line {seen[rule_id].line}: rename one, or join the two"
            self.faults.append(RuleError(where, f"repeated id {quoted(rule_id)}", hint))
            self.spares.append(Draft(node, node.path, partial=True))
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
        draft = Draft(node, node.path, bool(disabled), partial=self.unread)
        if defaults is not None:
            draft.defaulted = frozenset(defaults.fields.keys() & Defaults.model_fields.keys() - node.fields.keys())
            draft.by_defaults = draft.defaulted
            draft.node = laid_over(with_only(defaults, Defaults.model_fields), node)
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

    def _validated(self, draft: Draft) -> Rule | None:
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


def _join(into: Brought, more: Brought) -> None:
    for rule_id, files in more.items():
        before = into.get(rule_id)
        into[rule_id] = files if before is None or before is files else before | files


def _is_part_of(item: Node, above: Node) -> bool:
    """Whether an item of `rules` looks like more keys of the rule above it."""
    keys = item.fields.keys()
    is_rule = isinstance(above.data, dict) and isinstance(above.data.get("id"), str)
    return is_rule and bool(keys) and "id" not in keys and keys <= set(RULE_KEYS) and not keys & above.fields.keys()
