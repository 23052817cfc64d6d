"""The texts that a candidate judges otherwise, as far as the audit kept them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.audit.query import Found

HOW_TO_KEEP = "to keep texts from now on, set `audit: {content: full}` in the server's settings"

_LEFT_AS_IT_WAS = ("allow", "flag")
"""Actions that leave an answer as the model gave it; else the guard's own words were kept in its place."""


def kept_at(found: Found | None, places: Iterable[str]) -> Mapping[str, str]:
    """Place -> the text that was judged there, of those that were kept.

    Args:
        found: the decision; None where it is not in the audit.
        places: as findings name them: `messages[2]`, `choices[0].text`.
    """
    if found is None or found.content is None:
        return {}
    content = found.content
    lists = [content["prompt"], content["answers"] if found.action in _LEFT_AS_IT_WAS else []]
    kept = {each["where"]: str(each["text"]) for texts in lists for each in texts if "text" in each}
    return {place: kept[place] for place in places if place in kept}


def flipped(found: Found) -> Mapping[str, str]:
    """The texts of a decision that a candidate judges otherwise, of those that were kept."""
    return kept_at(found, (place["where"] for place in found.shadow["places"])) if found.shadow else {}


def lines(texts: Mapping[str, str]) -> Iterator[str]:
    """A line a text: where it stood, and how it begins."""
    from server.cli._printable import shortened

    for place, text in texts.items():
        yield f"{place}: {shortened(text)}"


def hint(found: Iterable[Any]) -> str:
    """What to say once where some of what is shown has no text; empty where all has. Args: found: texts of each."""
    missing = sum(not texts for texts in found)
    return f"of {missing:,} no text was kept; {HOW_TO_KEEP}" if missing else ""
