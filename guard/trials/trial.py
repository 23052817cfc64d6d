"""A trial: how the rules of a gate fare with the texts that people wrote to show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from guard.trials.cases import ORIGINS, Kind, Origin, cases_of
from guard.trials.look import AT_ONCE, Seen, look

if TYPE_CHECKING:
    from guard.gate import Gate
    from guard.training.metrics import Interval
    from guard.trials.disguises import Disguise


@dataclass(frozen=True)
class Tally:
    """What was seen of some cases, of one rule or of all."""

    seen: tuple[Seen, ...] = ()

    def of(self, kind: Kind | None = None, origin: Origin | None = None) -> tuple[Seen, ...]:
        """Those of a kind and of a list; of all where one is None."""
        return tuple(
            each
            for each in self.seen
            if (kind is None or each.case.kind == kind) and (origin is None or each.case.origin == origin)
        )

    def count(self, kind: Kind, origin: Origin | None = None) -> tuple[int, int]:
        """How many were found, and how many there are."""
        some = self.of(kind, origin)
        return sum(each.found for each in some), len(some)

    def recall(self, origin: Origin | None = None) -> Interval | None:
        """Share of the texts that break a rule which is found, exact 95% interval; None where there are none."""
        return _share(*self.count("breaks", origin))

    def false_alarms(self, origin: Origin | None = None) -> Interval | None:
        """Share of the near misses that is found, exact 95% interval; None where there are none."""
        return _share(*self.count("keeps", origin))

    @property
    def stages(self) -> Mapping[str, int]:
        """Stage -> how many of the texts that break a rule it found, most first."""
        return dict(Counter(each.stage for each in self.of("breaks") if each.found).most_common())

    def failing(self, origin: Origin | None = None) -> tuple[Seen, ...]:
        """Texts that break a rule and are not found, near misses that are, and what a detector failed on."""
        return tuple(each for each in self.of(origin=origin) if not each.passed)


@dataclass(frozen=True)
class Trial(Tally):
    """What was seen of every case of every rule that was tried."""

    disguised: tuple[Seen, ...] = ()
    """What was seen of the texts that break a rule and are found plain, in their disguises."""
    constitution: str = ""
    """Digest of the rules."""

    @cached_property
    def by_rule(self) -> Mapping[str, Tally]:
        """Rule -> its own, in the order of the rules."""
        return _grouped(self.seen, [each.case.rule for each in self.seen])

    @cached_property
    def by_disguise(self) -> Mapping[str, Tally]:
        """Disguise -> the texts that wear it."""
        return _grouped(self.disguised, [each.case.disguise for each in self.disguised])


def try_rules(
    gate: Gate,
    *,
    origins: Sequence[Origin] = ORIGINS,
    only: Collection[str] | None = None,
    disguises: Mapping[str, Disguise] | None = None,
    explain: bool = True,
    at_once: int = AT_ONCE,
    on_looked: Callable[[int], None] = lambda _: None,
) -> Trial:
    """Run the rules' own texts through a gate. Blocks while models run.

    Args:
        gate: what judges.
        origins: which lists of the rules.
        only: ids of the rules; all where it is None.
        disguises: name -> what puts it on; each breaking text that is found plain is tried in every one that changes
            it: what is missed as it stands says nothing of a disguise.
        explain: find out scores and reasons of what was not found, too.
        at_once: texts a batch.
        on_looked: told of how many more texts were looked at.
    """
    cases = list(cases_of(gate.constitution, origins, only))
    seen = tuple(_counted(look(gate, cases, explain=explain, at_once=at_once), on_looked))
    if not disguises:
        return Trial(seen, constitution=gate.digest)
    from guard.trials.disguises import disguised

    found = [each.case for each in seen if each.found and each.case.kind == "breaks"]
    worn = [each for case in found for each in disguised(case, disguises)]
    return Trial(seen, tuple(_counted(look(gate, worn, explain=False, at_once=at_once), on_looked)), gate.digest)


def _counted(seen: Iterable[Seen], on_looked: Callable[[int], None]) -> Iterator[Seen]:
    for each in seen:
        on_looked(1)
        yield each


def _grouped(seen: Sequence[Seen], names: Sequence[str]) -> dict[str, Tally]:
    groups: dict[str, list[Seen]] = {}
    for name, each in zip(names, seen, strict=True):
        groups.setdefault(name, []).append(each)
    return {name: Tally(tuple(group)) for name, group in groups.items()}


def _share(found: int, of: int) -> Interval | None:
    from guard.training.metrics import share

    return share(found, of)
