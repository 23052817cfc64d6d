"""What all models of a rule share: frozen, closed, short names for common types, and faults that know their key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

NonEmpty = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
RuleId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=2, max_length=80),
    Field(description="Lower case words joined by hyphens. Names the bad thing; stable for ever."),
]


Fault = tuple[tuple[str | int, ...], str, str]
"""Keys from the value that is checked to the one at fault, what is wrong, and a hint."""


def refusal(faults: Sequence[Fault]) -> PydanticCustomError:
    """What a validator here raises: all that it found, each at its own key, for `rules.load` to give it a place."""
    return PydanticCustomError(
        "refused", "{what}", {"what": "; ".join(what for _, what, _ in faults), "faults": faults}
    )


class Closed(BaseModel):
    """Base of all models here: frozen, and an unknown key is an error."""

    # validators are built at the first use, all together; the docstrings of fields are read by `rules.docstrings` where
    # they are asked for: each saves a tenth of what `wardlaw rules check` may take to start
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
