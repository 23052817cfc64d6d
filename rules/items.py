"""Items of a rule's lists that came and went: patterns, examples, neighbours, demonstrations.

Two items are the same one where all that a detector, a judge or the loop reads of them is: not where they are said
alike, since the words of one prompt can be those of a whole conversation in another form.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from rules.found import Effect, Found
from rules.schema import Demonstration, Example, Pattern, Text, Turn
from rules.wording import quote

Item: TypeAlias = str | Text | Pattern | Example | Demonstration

_SHOWN = 100
"""Characters of a text that a change shows."""


def item_changes(
    field: str,
    noun: str,
    old: Sequence[Item],
    new: Sequence[Item],
    reach: tuple[Effect, bool],
    *,
    order: Effect = "rows",
    without: Collection[str] = (),
) -> Iterator[Found]:
    """Items of a list that came and went, and whether those that stayed stand in another order or number.

    Args:
        field: of the rule, as `detect.patterns`.
        noun: what an item is called.
        old: the items before.
        new: the items now.
        reach: what an item can change, and whether a model that is asked reads it.
        order: what their order or number can change; those that teach are weighed by how often they stand there.
        without: keys of items that are told of elsewhere.
    """
    was, now = [key_of(item) for item in old], [key_of(item) for item in new]
    said = _said_apart(old, new)
    before, after = set(was), set(now)
    path = tuple(field.split("."))
    for place, key in enumerate(now):
        if key not in before and key not in without:
            text = said[key]
            yield Found(field, f"{noun} added: {quote(text, _SHOWN)}", *reach, new=text, keys=(*path, place))
    for place, key in enumerate(was):
        if key not in after and key not in without:
            text = said[key]
            yield Found(
                field, f"{noun} removed: {quote(text, _SHOWN)}", *reach, old=text, keys=(*path, place), gone=True
            )
    stayed = [key for key in was if key in after], [key for key in now if key in before]
    if stayed[0] != stayed[1]:
        what = f"{_plural(noun)} in another order, or in other numbers"
        # Rows are told apart by it, and a judge is shown the first ones.
        yield Found(field, what, "words" if reach[0] == "words" else order, reach[1])


def moved(
    breaks: tuple[Sequence[Example], Sequence[Example]], keeps: tuple[Sequence[Example], Sequence[Example]]
) -> Mapping[str, tuple[str, str, str]]:
    """Examples that stand on the other side now.

    Args:
        breaks: those that break the rule, before and now.
        keeps: those that keep it, before and now.

    Returns:
        key of each -> its text, quoted; the side before; the side now.
    """
    (broke, breaking), (kept, keeping) = (
        [{key_of(each) for each in given} for given in side] for side in (breaks, keeps)
    )
    said = _said_apart(*breaks, *keeps)
    turned = [(key, "breaks", "keeps") for key in (broke - kept) & (keeping - breaking)]
    turned += [(key, "keeps", "breaks") for key in (kept - broke) & (breaking - keeping)]
    ordered = sorted(turned, key=lambda each: (each[1], said[each[0]]))
    return {key: (quote(said[key], _SHOWN), source, goal) for key, source, goal in ordered}


def note_changes(field: str, noun: str, was: Sequence[Example], now: Sequence[Example]) -> Iterator[Found]:
    """Examples that stayed and have another note."""
    noted = {key_of(each): each.note or "" for each in was}
    for each in now:
        before, after = noted.get(key_of(each), each.note or ""), each.note or ""
        if before != after:
            what = f"note of the {noun} {quote(_said(each), _SHOWN)} changed"
            yield Found(field, what, "words", False, before, after)


def key_of(item: Item) -> str:
    """What makes an item the one that it is; a note does not."""
    if isinstance(item, str):
        return item
    content = item.model_dump(
        mode="json", exclude_defaults=True, exclude={"note"} if isinstance(item, Example) else None
    )
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def _said_apart(*lists: Sequence[Item]) -> Mapping[str, str]:
    """Key of each item -> what it says; as it is written, where two say the same and are not the same."""
    said = {key_of(item): _said(item) for items in lists for item in items}
    often = Counter(said.values())
    return {key: text if often[text] == 1 else key for key, text in said.items()}


def _said(item: Item) -> str:
    match item:
        case Text():
            return " / ".join(said for _, said in sorted(item.root.items()))
        case Pattern():
            where = f" in {', '.join(item.watches)}" if item.watches else ""
            return f"literal {item.literal}{where}" if item.literal else f"regex {item.regex}{where}"
        case Example():
            if len(item.messages) == 1 and item.messages[0].role == "user":
                return item.messages[0].content
            return _turns(item.messages)
        case Demonstration():
            return _demonstrated(item)
    return item


def _demonstrated(shot: Demonstration) -> str:
    """A demonstration so that any difference in it shows: its prompt first."""
    content: dict[str, Any] = shot.model_dump(mode="json", exclude={"prompt"})
    said = shot.prompt if isinstance(shot.prompt, str) else _turns(shot.prompt)
    return f"{said} {json.dumps(content, ensure_ascii=False, sort_keys=True)}"


def _turns(turns: Sequence[Turn]) -> str:
    return " / ".join(f"{turn.role}: {turn.content}" for turn in turns)


def _plural(noun: str) -> str:
    head, space, rest = noun.partition(" ")
    return f"{head}s{space}{rest}" if head != "allowed" else f"{noun}s"
