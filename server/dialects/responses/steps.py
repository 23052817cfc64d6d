"""The steps by which a stream that was stopped is brought to its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Step: TypeAlias = tuple[object, ...]
"""What one event of an ending does."""

REPLY: tuple[Step, ...] = tuple(
    ("reply", what) for what in ("created", "in_progress", "item", "part", "delta", "text", "part_done", "item_done")
)
"""Those that say the reply."""


def closers(came: Sequence[Step]) -> list[Step]:
    """What ends all that was begun, in order; what had ended already is left out when it comes to it."""
    parts: dict[object, list[Step]] = {}
    for step in came:
        if step[0] == "part":
            parts.setdefault(step[1], []).append(step)
    steps: list[Step] = []
    for place in dict.fromkeys(step[1] for step in came):
        for at in dict.fromkeys(parts.get(place, ())):
            steps += [("text", *at[1:]), at]
        steps += [("call", place), ("item", place)]
    return steps
