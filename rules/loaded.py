"""What a load gives: the constitution, and where each part of it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from rules.draft import Draft
from rules.errors import Location
from rules.faults import resolve
from rules.origin import Origin
from rules.places import Node
from rules.schema import Constitution

_WORDS = ("id", "severity", "watches", "on", "mode", "on_error", "hazards", "when", "threshold", "verdict", "role")
"""Keys of what is one word: after it, a comment cuts nothing off."""

Brought: TypeAlias = dict[str, frozenset[str]]
"""Ids of rules -> the files whose word on the rule counts."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A constitution, and where each part of it was written."""

    constitution: Constitution
    files: tuple[Path, ...]
    """The files that were read, in the order in which they count: later ones win."""
    _drafts: Mapping[str, Draft] = field(repr=False)
    _brought: Mapping[Path, Brought] = field(repr=False)

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
