"""What changed in one rule, field by field: one short function a field, found by its decorator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from rules.actions import Part, Severity
from rules.found import Effect, Found
from rules.items import item_changes, moved, note_changes
from rules.schema import Detect, Rule
from rules.wording import text_changes

Finder: TypeAlias = Callable[[Rule, Rule], Iterable[Found]]
COMPARED: dict[str, Finder] = {}
"""Field of a rule -> what finds the changes in it."""


def compares(*fields: str) -> Callable[[Finder], Finder]:
    """Make a function the one that compares these fields."""

    def enter(find: Finder) -> Finder:
        COMPARED.update(dict.fromkeys(fields, find))
        return find

    return enter


def compare(old: Rule, new: Rule) -> Iterator[Found]:
    """The changes of a rule, in the order of its fields."""
    for find in dict.fromkeys(COMPARED[name] for name in Rule.model_fields if name in COMPARED):
        yield from find(old, new)


def reach_of(rule: Rule) -> tuple[Effect, bool]:
    """What a rule that comes or goes as a whole can change, and whether a model that is asked reads it."""
    return ("rows", False) if rule.detect is None else ("verdict", True)


def sketch(rule: Rule) -> str:
    """A rule in one line: what it watches, how it is looked for, and what it does."""
    acts = ", ".join(f"{part}: {rule.action(part)}" for part in rule.watches)
    shadow = ", recorded only" if rule.mode == "shadow" else ""
    return f"{rule.severity}, {_looked_for(rule.detect)}; {acts}{shadow}"


def _looked_for(detect: Detect | None) -> str:
    if detect is None:
        return "used by the loop alone"
    count = len(detect.patterns)
    ways = [f"{count} pattern{'' if count == 1 else 's'}"] if count else []
    ways += ["hidden text"] if detect.hidden else []
    ways += ["meaning"] if detect.meaning else []
    return f"looked for by {' and '.join(ways)}" if ways else "looked for by a judge alone"


def _taught(old: Rule, new: Rule) -> tuple[Effect, bool]:
    """What a text can reach that teaches the meaning detector, where the rule is looked for by meaning; a judge, where
    the gate looks for it in another way; else the loop alone."""
    looking = [rule.detect for rule in (old, new) if rule.detect is not None]
    if any(detect.meaning is not None for detect in looking):
        return "verdict", True
    return "rows", bool(looking)


def _acted(old: Rule, new: Rule) -> Effect:
    """What can change by what a finding leads to."""
    return "rows" if old.detect is None and new.detect is None else "verdict"


# Effect, and whether a judge or a guard model reads it. The loop shows `why` in rationales; the digest counts `reply`.
_TEXTS: dict[str, tuple[Effect, bool]] = {
    "title": ("words", True),
    "why": ("rows", False),
    "critique": ("rows", False),
    "revision": ("rows", False),
    "reply": ("rows", False),
    "choice": ("words", False),
    "probe": ("words", False),
}


@compares("rule")
def _rule(old: Rule, new: Rule) -> Iterator[Found]:
    for what, before, after in text_changes("rule", old.rule, new.rule):
        # It stands in for examples where there are few.
        yield Found("rule", what, *_taught(old, new), before, after, gone=not after)


@compares(*_TEXTS)
def _texts(old: Rule, new: Rule) -> Iterator[Found]:
    for name, (effect, asked) in _TEXTS.items():
        was, now = getattr(old, name), getattr(new, name)
        for what, before, after in text_changes(name, was, now):
            yield Found(name, what, effect, asked, before, after, gone=not after)


@compares("severity")
def _severity(old: Rule, new: Rule) -> Iterator[Found]:
    if old.severity is not new.severity:
        order = list(Severity)
        turn = "graver" if order.index(new.severity) < order.index(old.severity) else "less grave"
        what = f"severity: {old.severity} -> {new.severity} ({turn})"
        yield Found("severity", what, "rows", old=old.severity, new=new.severity)


@compares("watches", "on")
def _watches(old: Rule, new: Rule) -> Iterator[Found]:
    for part in new.watches:
        if part not in old.watches:
            what = f"watches the {part} as well: {new.action(part)}"
            yield Found("watches", what, _acted(old, new), True, new=part)
    for part in old.watches:
        if part not in new.watches:
            yield Found("watches", f"no longer watches the {part}", _acted(old, new), True, old=part)
    for part in (part for part in Part if part in old.watches and part in new.watches):
        was, now = old.action(part), new.action(part)
        if was is not now:
            what = f"action for the {part}: {was} -> {now}"
            yield Found("on", what, _acted(old, new), old=was, new=now, keys=("on", part.value))


@compares("mode", "on_error")
def _modes(old: Rule, new: Rule) -> Iterator[Found]:
    if old.mode != new.mode:
        means = "only recorded from now on" if new.mode == "shadow" else "acted on from now on"
        what = f"mode: {old.mode} -> {new.mode}: {means}"
        yield Found("mode", what, _acted(old, new), old=old.mode, new=new.mode)
    if old.on_error != new.on_error:
        what = f"when a detector fails: {old.on_error} -> {new.on_error}"
        yield Found("on_error", what, _acted(old, new), old=old.on_error, new=new.on_error)


@compares("allowed")
def _allowed(old: Rule, new: Rule) -> Iterator[Found]:
    reach = _taught(old, new)
    yield from item_changes("allowed", "allowed neighbour", old.allowed, new.allowed, reach, order=reach[0])


@compares("sources", "hazards")
def _references(old: Rule, new: Rule) -> Iterator[Found]:
    yield from item_changes("sources", "source", old.sources, new.sources, ("words", False))
    # A guard model answers with a hazard's label, and this says which rules it is about.
    yield from item_changes("hazards", "hazard", old.hazards, new.hazards, ("words", True))


@compares("detect")
def _detect(old: Rule, new: Rule) -> Iterator[Found]:
    was, now = old.detect, new.detect
    if was is None or now is None:
        if was is not now:
            what = "the gate no longer looks for it" if now is None else f"is {_looked_for(now)} from now on"
            yield Found("detect", what, "verdict", True, _looked_for(was), _looked_for(now))
        return
    keyed: tuple[Effect, bool] = ("verdict", False)
    yield from item_changes("detect.patterns", "pattern", was.patterns, now.patterns, keyed)
    yield from item_changes("detect.hidden", "way of hiding text", was.hidden, now.hidden, keyed)
    yield from _meaning(was, now)
    if was.judge != now.judge:
        what = f"a judge is asked: {was.judge.when} -> {now.judge.when}"
        yield Found("detect.judge.when", what, "verdict", True, was.judge.when, now.judge.when)


def _meaning(was: Detect, now: Detect) -> Iterator[Found]:
    if was.meaning is None or now.meaning is None:
        if was.meaning is not now.meaning:
            what = "no longer looked for by meaning" if now.meaning is None else "looked for by meaning as well"
            yield Found("detect.meaning", what, "verdict", True)
        return
    before, after = was.meaning.threshold, now.meaning.threshold
    if before == after:
        return
    turn = ""
    if before != "auto" and after != "auto":
        turn = " (finds less)" if after > before else " (finds more)"
    what = f"threshold of meaning: {before} -> {after}{turn}"
    yield Found("detect.meaning.threshold", what, "verdict", False, str(before), str(after))


@compares("demonstrations")
def _demonstrations(old: Rule, new: Rule) -> Iterator[Found]:
    reach = _taught(old, new)[0], False
    yield from item_changes(
        "demonstrations", "demonstration", old.demonstrations, new.demonstrations, reach, order=reach[0]
    )


@compares("examples", "tests")
def _examples(old: Rule, new: Rule) -> Iterator[Found]:
    for name, noun in (("examples", "example"), ("tests", "test")):
        # An example teaches, and a judge is shown some; a test changes what is checked and nothing else.
        reach: tuple[Effect, bool] = _taught(old, new) if name == "examples" else ("words", False)
        before, after = getattr(old, name), getattr(new, name)
        sides = {side: (getattr(before, side), getattr(after, side)) for side in ("breaks", "keeps")}
        aside = moved(sides["breaks"], sides["keeps"])
        for text, source, goal in aside.values():
            what = f"{noun} moved from `{source}` to `{goal}`: {text}"
            yield Found(f"{name}.{goal}", what, *reach, old=source, new=goal)
        for side, (was, now) in sides.items():
            field, kind = f"{name}.{side}", f"{noun} under `{side}`"
            yield from item_changes(field, kind, was, now, reach, order=reach[0], without=aside)
            yield from note_changes(field, noun, was, now)


@compares("contract")
def _contract(old: Rule, new: Rule) -> Iterator[Found]:
    was, now = old.contract, new.contract
    if was is None or now is None:
        if was is not now:
            terms = "" if now is None else ", ".join(f"{name} {value}" for name, value in _terms(now))
            what = "has no contract any more" if now is None else f"has a contract: {terms or 'of nothing'}"
            yield Found("contract", what, "words", gone=now is None)
        return
    after = dict(now.model_dump())
    for name, before in was.model_dump().items():
        if before != after[name]:
            what = f"contract, {name.replace('_', ' ')}: {before} -> {after[name]}"
            yield Found(f"contract.{name}", what, "words", False, str(before), str(after[name]))


def _terms(contract: Any) -> Iterator[tuple[str, Any]]:
    yield from contract.model_dump(exclude_defaults=True).items()
