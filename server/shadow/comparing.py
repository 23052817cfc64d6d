"""One request's texts, judged by the rules in force and by a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guard.behind import behind
from guard.flips import Outcome
from guard.gate import Gate
from server.audit.shadow import Compared, Place, merged
from server.shadow.given import Look

if TYPE_CHECKING:
    from server.inforce import Lease


@dataclass(slots=True)
class Case:
    """A request whose texts are to be judged again."""

    decision: str
    at: float
    constitution: str
    enforced: str
    """Digest of what acted."""
    looks: list[Look]
    size: int
    leases: tuple[Lease, Lease]
    base: Gate
    candidate: Gate


def compare(case: Case) -> Compared:
    """What the rules in force and the candidate say to the same texts. Blocks while models run.

    What the acting gate has judged a moment ago it remembers; only the whole texts of streams, which it saw in
    stretches, are new to it.
    """
    exchanges = [exchange for _, _, exchange in case.looks]
    with behind():
        before = case.base.judge_many(exchanges) if exchanges else []
        after = case.candidate.judge_many(exchanges) if exchanges else []
    old, new = [Outcome.of(each) for each in before], [Outcome.of(each) for each in after]
    places = tuple(
        Place(where, str(part), one, other)
        for (where, part, _), one, other in zip(case.looks, old, new, strict=True)
        if one.action is not other.action or set(one.rules) != set(other.rules)
    )
    return Compared(
        case.decision,
        case.at,
        case.constitution,
        case.base.digest,
        case.candidate.digest,
        "candidate" if case.enforced == case.candidate.digest else "base",
        merged(old),
        merged(new),
        places,
        any(each.coverage.degraded for each in (*before, *after)),
    )
