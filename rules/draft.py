"""A rule while its fields come together, from the file that defines it and from those that change it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from rules.errors import Location
from rules.places import Node

Layer: TypeAlias = tuple[Node, bool | None]
"""What a file says of a rule, and whether it takes it out of force, if it says so."""


@dataclass(slots=True)
class Draft:
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
    layers: list[Layer] = field(default_factory=list)
    """What each file says of it, the file that defined it first."""

    def overlay(self, node: Node, disabled: bool | None) -> None:
        """Let a later file's fields take the place of these."""
        self.layers.append((node, disabled))
        self.disabled = self.disabled if disabled is None else disabled
        for name in node.fields:
            if name != "id" and name in self.node.fields:
                self.overlaid.setdefault(name, []).append(self.node.fields[name].where)
        self.by_defaults -= node.fields.keys()
        self.node = laid_over(self.node, node)

    def within(self, files: Collection[str]) -> Draft:
        """As it is without what other files than these add to it.

        A file of which some rules are taken must not change those that are not, or take them out of force.
        """
        if all(node.path in files for node, _ in self.layers[1:]):
            return self
        (node, disabled), *later = self.layers
        draft = Draft(node, self.path, bool(disabled), self.partial, self.defaulted, self.defaulted)
        draft.layers.append((node, disabled))
        for each in later:
            if each[0].path in files:
                draft.overlay(*each)
        return draft


def without(node: Node, key: str) -> Node:
    """The map without a key."""
    return with_only(node, [name for name in node.fields if name != key])


def with_only(node: Node, names: object) -> Node:
    """The map with no other keys than these."""
    keep = [name for name in node.fields if name in names]  # type: ignore[operator]
    return Node(
        {name: node.data[name] for name in keep},
        node.path,
        node.line,
        node.column,
        fields={name: node.fields[name] for name in keep},
        keys={name: node.keys[name] for name in keep},
    )


def laid_over(under: Node, over: Node) -> Node:
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
