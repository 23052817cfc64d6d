"""What is known of a candidate before it comes into force: changes, flips, tests, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from guard.training.metrics import Interval, share
from server.audit.shadow import as_json

if TYPE_CHECKING:
    from guard.flips import Direction
    from guard.trials.change import Change
    from rules.diff import Diff
    from server.audit.shadows import Counted

Tests: TypeAlias = Literal["off", "report", "no_worse", "strict"]


@dataclass(slots=True)
class Promotion:
    """All that is told before anyone is asked."""

    candidate: str
    rules: str
    """The files, as they were given."""
    diff: Diff
    traffic: Counted | None
    """None where no audit could be read."""
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """Digest of other rules in force -> decisions that the candidate was judged beside."""
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Decision -> place -> the text that is judged otherwise there, of the gravest flips whose texts were kept."""
    no_traffic: str = ""
    """Why there is no audit."""
    change: Change | None = None
    """How the candidate fares with its own tests; None where they were not run."""
    tests: Tests = "no_worse"
    bounds: Mapping[str, float] = field(default_factory=dict)
    """`stricter`, `milder` or `flips` -> the largest share."""
    kept: str = ""
    """Where the old rules are, once they were replaced."""
    server: dict[str, Any] | None = None
    """What came of the server's reload."""

    def flipped(self, direction: Direction | Literal["flips"]) -> int:
        """How many decisions flip in a direction, or at all."""
        if self.traffic is None:
            return 0
        return sum(self.traffic.flips.values()) if direction == "flips" else self.traffic.flips.get(direction, 0)

    def rate(self, count: int) -> Interval | None:
        """Of the decisions that both judged."""
        return None if self.traffic is None else share(count, self.traffic.judged)

    def refusals(self) -> Iterator[tuple[str, str]]:
        """What speaks against it, each with what to do."""
        change = self.change
        if change is not None:
            for breach in change.breaches:
                yield str(breach), breach.hints[0] if breach.hints else ""
            if self.tests == "no_worse" and change.worse:
                yield change.told(), "mend the rule, or drop the test; `--tests report` takes it all the same"
            if self.tests == "strict" and change.failing:
                yield change.counted(), "mend the rules, or drop the tests"
        for direction, bound in self.bounds.items():
            rate = self.rate(self.flipped(direction))  # type: ignore[arg-type]
            what = "judged otherwise" if direction == "flips" else f"judged {direction}"
            if rate is None:
                yield f"no traffic shows that at most {100 * bound:g}% is {what}", "let it run as `--shadow` first"
            elif rate.high > bound:
                told = f"up to {100 * rate.high:.2f}% of decisions may be {what}, and {100 * bound:g}% are allowed"
                yield told, "mend the rules, or let it judge more traffic: the range narrows"

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "candidate": {"path": self.candidate, "digest": self.diff.new},
            "rules": {"path": self.rules, "digest": self.diff.old},
            "diff": self.diff.as_dict(),
            "traffic": self._traffic(),
            "tests": self._tests(),
            "refused": [{"what": what, "hint": hint} for what, hint in self.refusals()],
            "promoted": bool(self.kept),
            "kept": self.kept or None,
            "server": self.server,
        }

    def _traffic(self) -> dict[str, Any]:
        counted = self.traffic
        if counted is None:
            return {"judged": 0, "why": self.no_traffic}
        directions: tuple[Direction, ...] = ("stricter", "milder", "other")
        return {
            "judged": counted.judged,
            "degraded": counted.degraded,
            "first": counted.first,
            "last": counted.last,
            "beside_others": dict(self.elsewhere),
            "flips": {each: self._figure(self.flipped(each)) for each in directions},
            "rules": [
                {"rule": rule, "direction": direction, **self._figure(count)}
                for (rule, direction), count in ranked(counted)
            ],
            "worst": [
                {
                    "decision": each.decision,
                    "at": each.at,
                    "texts": dict(self.texts.get(each.decision, {})),
                    **as_json(each),
                }
                for each in counted.worst
            ],
        }

    def _figure(self, count: int) -> dict[str, Any]:
        rate = self.rate(count)
        return {"count": count, "share": rate and rate.value, "low": rate and rate.low, "high": rate and rate.high}

    def _tests(self) -> dict[str, Any] | None:
        change = self.change
        if change is None:
            return None
        return {
            "run": change.run,
            "failing": len(change.failing),
            "worse": [{"rule": seen.case.rule, "kind": seen.case.kind} for seen in change.worse],
            "breaches": [
                {"rule": each.rule, "clause": each.clause, "asked": each.asked, "measured": each.measured}
                for each in change.breaches
            ],
        }


def ranked(counted: Counted) -> list[tuple[tuple[str, Direction], int]]:
    """Rules and directions, those with most flips first."""
    return sorted(counted.rules.items(), key=lambda item: (-item[1], item[0]))
