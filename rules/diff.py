"""What changed between two constitutions, in words that a rule editor understands, and what each change can reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from rules.comparing import compare, reach_of, sketch
from rules.digest import constitution_digest, rule_digest
from rules.errors import Location
from rules.found import Effect, Found
from rules.schema import Constitution, Rule
from rules.wording import text_changes

__all__ = ["Change", "Diff", "Effect", "Placed", "RuleChange", "diff", "stronger"]

Kind: TypeAlias = Literal["added", "removed", "enabled", "disabled", "changed"]
_STRENGTH: dict[Effect, int] = {"words": 0, "rows": 1, "verdict": 2}


class Placed(Protocol):
    """A constitution whose parts have places, as `rules.load.Loaded`."""

    @property
    def constitution(self) -> Constitution:
        """The rules in force."""

    def locate(self, rule_id: str, *keys: str | int) -> Location:
        """Where a rule, or a value in it, is written.

        Raises:
            KeyError: no such rule was written.
        """


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise."""

    field: str
    """The field of the rule, as `detect.meaning.threshold`; empty where the rule came or went as a whole."""
    what: str
    """In words, on one line."""
    effect: Effect
    """What it can change: a `verdict` of the gate; only `rows` of the loop, or what they are said to be made by; or
    neither, so that it is `words` to a reader."""
    asked: bool = False
    """Whether a model that is asked, a judge or a guard model, reads it: then its verdicts can change as well."""
    old: str = ""
    """The value before; empty where there was none."""
    new: str = ""
    """The value now; empty where there is none."""
    where: Location | None = None
    """Where it stands now; where it stood before, if it is gone."""

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "field": self.field,
            "what": self.what,
            "effect": self.effect,
            "asked": self.asked,
            "old": self.old,
            "new": self.new,
            "where": None if self.where is None else str(self.where),
        }


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule that is otherwise."""

    rule: str
    kind: Kind
    changes: tuple[Change, ...]
    old_digest: str | None
    new_digest: str | None

    @property
    def effect(self) -> Effect:
        """The strongest of its changes."""
        return stronger(self.changes)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "rule": self.rule,
            "kind": self.kind,
            "effect": self.effect,
            "old_digest": self.old_digest,
            "new_digest": self.new_digest,
            "changes": [change.as_dict() for change in self.changes],
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """All that is otherwise. False where nothing is."""

    old: str
    """Digest of the constitution before."""
    new: str
    rules: tuple[RuleChange, ...]
    """Those that stand in both first, in the order of the new one."""
    others: tuple[Change, ...] = ()
    """What is no rule's: the name, the title, the order."""

    def __bool__(self) -> bool:
        return bool(self.rules or self.others)

    @property
    def effect(self) -> Effect:
        """The strongest of all changes."""
        return stronger([*self.others, *(change for rule in self.rules for change in rule.changes)])

    def reaching(self, effect: Effect) -> tuple[str, ...]:
        """Ids of the rules that a change of this strength or more was made to."""
        return tuple(each.rule for each in self.rules if _STRENGTH[each.effect] >= _STRENGTH[effect])

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "old": self.old,
            "new": self.new,
            "effect": self.effect,
            "rules": [rule.as_dict() for rule in self.rules],
            "others": [change.as_dict() for change in self.others],
        }


def stronger(changes: tuple[Change, ...] | list[Change]) -> Effect:
    """The strongest effect of some changes; `words` of none."""
    return max((change.effect for change in changes), key=lambda effect: _STRENGTH[effect], default="words")


def diff(old: Constitution | Placed, new: Constitution | Placed) -> Diff:
    """What changed from one constitution to another.

    Args:
        old: the rules before.
        new: the rules now. Where both know places, as what `rules.load` gives, a rule that a file disables is told
            from one that is gone.
    """
    before, after = _rules(old), _rules(new)
    told = [*_changed(old, new, before, after), *_came(old, new, after, before), *_went(old, new, before, after)]
    return Diff(constitution_digest(_bare(old)), constitution_digest(_bare(new)), tuple(told), tuple(_others(old, new)))


def _changed(
    old: Constitution | Placed, new: Constitution | Placed, before: tuple[Rule, ...], after: tuple[Rule, ...]
) -> Iterator[RuleChange]:
    known = {rule.id: rule for rule in before}
    for rule in after:
        was = known.get(rule.id)
        if was is None or was == rule:
            continue
        changes = tuple(_placed(found, rule.id, old, new) for found in compare(was, rule))
        digests = rule_digest(was), rule_digest(rule)
        if digests[0] != digests[1] and stronger(changes) == "words":
            # As where an action is spelt out that held before: rows are told apart by the digest all the same.
            where = _locate(new, rule.id)
            changes = (*changes, Change("", "is written otherwise and means the same", "rows", where=where))
        if changes:
            yield RuleChange(rule.id, "changed", changes, *digests)


def _came(
    old: Constitution | Placed, new: Constitution | Placed, after: tuple[Rule, ...], before: tuple[Rule, ...]
) -> Iterator[RuleChange]:
    known = {rule.id for rule in before}
    for rule in after:
        if rule.id not in known:
            kind: Kind = "added" if _locate(old, rule.id) is None else "enabled"
            change = Change("", sketch(rule), *reach_of(rule), new=rule.rule.say(), where=_locate(new, rule.id))
            yield RuleChange(rule.id, kind, (change,), None, rule_digest(rule))


def _went(
    old: Constitution | Placed, new: Constitution | Placed, before: tuple[Rule, ...], after: tuple[Rule, ...]
) -> Iterator[RuleChange]:
    known = {rule.id for rule in after}
    for rule in before:
        if rule.id not in known:
            there = _locate(new, rule.id)
            kind: Kind = "removed" if there is None else "disabled"
            where = there or _locate(old, rule.id)
            change = Change("", sketch(rule), *reach_of(rule), old=rule.rule.say(), where=where)
            yield RuleChange(rule.id, kind, (change,), rule_digest(rule), None)


def _others(old: Constitution | Placed, new: Constitution | Placed) -> Iterator[Change]:
    before, after = _bare(old), _bare(new)
    if before.name != after.name:
        what = f"the set is called `{after.name}`, before `{before.name}`"
        yield Change("constitution", what, "words", old=before.name, new=after.name)
    for text, was, now in text_changes("title", before.title, after.title):
        yield Change("title", text, "words", old=was, new=now)
    shared = {rule.id for rule in before} & {rule.id for rule in after}
    order = [[rule.id for rule in each if rule.id in shared] for each in (before, after)]
    if order[0] != order[1]:
        # The loop takes the rules in turn, and of findings that score alike the first is told of.
        moved = next(now for was, now in zip(*order, strict=True) if was != now)
        what = f"the rules stand in another order from `{moved}` on"
        yield Change("rules", what, "rows", old=" ".join(order[0]), new=" ".join(order[1]))


def _placed(found: Found, rule: str, old: Constitution | Placed, new: Constitution | Placed) -> Change:
    change = Change(found.field, found.what, found.effect, found.asked, found.old, found.new)
    keys: tuple[str | int, ...] = found.keys or tuple(found.field.split("."))
    return replace(change, where=_locate(old if found.gone else new, rule, *keys))


def _locate(given: Constitution | Placed, rule: str, *keys: str | int) -> Location | None:
    if isinstance(given, Constitution):
        return None
    try:
        return given.locate(rule, *keys)
    except KeyError:
        return None


def _bare(given: Constitution | Placed) -> Constitution:
    return given if isinstance(given, Constitution) else given.constitution


def _rules(given: Constitution | Placed) -> tuple[Rule, ...]:
    return _bare(given).rules
