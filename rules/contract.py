"""The contract of a rule: what its author holds it to, before it may come into force."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from rules.base import Closed, refusal

MOST = 10_000


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would count `true` as 1
        raise refusal([((), f"a contract asks for a number, not `{str(value).lower()}`", "write a number")])
    return value


Count = Annotated[int, Field(ge=0, le=MOST), BeforeValidator(_no_truth)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_no_truth)]


class Contract(Closed):
    """What a rule has to show. `wardlaw rules test` measures it, and fails where it is not kept.

    Recall and false alarms are counted over the rule's `tests`, which are never taught: what was taught proves little.
    """

    breaks: Count = 0
    """The fewest texts that break the rule, `examples` and `tests` together."""

    keeps: Count = 0
    """The fewest near misses that keep it, `examples` and `tests` together."""

    recall: Share = 0.0
    """The smallest share of the tests under `breaks` that the gate finds."""

    false_alarms: Share = 1.0
    """The largest share of the tests under `keeps` that the gate finds."""
