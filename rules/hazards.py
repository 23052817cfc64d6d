"""Hazard systems and the crosswalk between them, as `hazards.yaml` beside this file has them.

A hazard is written `system:code`, as `llama-guard-3:S9`. A pack may use a system that is not in the file: nothing is
then known of its codes, and the crosswalk leads there only where the file links to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path

import yaml
from pydantic import model_validator

from rules.base import Closed, NonEmpty
from rules.errors import WardlawError
from rules.schema import Rule
from rules.text import Text
from rules.words import did_you_mean, listed, quoted

DATA = Path(__file__).with_name("hazards.yaml")


class Exactness(StrEnum):
    """What the code that a link names is, seen from the code that has the link."""

    SAME = "same"
    WIDER = "wider"
    NARROWER = "narrower"
    NEAR = "near"

    @property
    def back(self) -> Exactness:
        """The same link seen from its other end."""
        return _BACK.get(self, self)


_BACK = {Exactness.WIDER: Exactness.NARROWER, Exactness.NARROWER: Exactness.WIDER}


class Code(Closed):
    """One hazard of a system."""

    title: Text
    """A short name for people."""

    links: Mapping[str, Exactness] = {}
    """`system:code` -> how exact it is."""


class System(Closed):
    """A hazard system: a taxonomy of one version."""

    title: Text
    """Its name."""

    version: NonEmpty
    """The version whose codes these are."""

    source: NonEmpty
    """Where it is written down."""

    codes: Mapping[str, Code]
    """Its codes, in its own order."""


class Crosswalk(Closed):
    """The hazard systems and the links between their codes."""

    systems: Mapping[str, System]
    """By the name that stands before the colon of a hazard."""

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> Crosswalk:
        seen: set[frozenset[str]] = set()
        for hazard, links in self._written():
            for other in links:
                system, _, code = other.partition(":")
                if not code or (system in self.systems and code not in self.systems[system].codes):
                    raise ValueError(f"`{hazard}` has a link to `{other}`, which there is not")
                if frozenset((hazard, other)) in seen or hazard == other:
                    raise ValueError(f"`{hazard}` and `{other}` are linked twice")
                seen.add(frozenset((hazard, other)))
        return self

    def links(self, hazard: str) -> Mapping[str, Exactness]:
        """The links of one hazard, written on whichever side: `system:code` -> what it is, seen from `hazard`."""
        return self._linked.get(hazard, {})

    def claims(self, hazards: Iterable[str]) -> tuple[str, ...]:
        """These hazards, and all that hold one of them by `same` and `wider` links, the nearest first."""
        found = dict.fromkeys(hazards)
        waiting = list(found)
        for hazard in waiting:
            for other, exact in self.links(hazard).items():
                if exact in (Exactness.SAME, Exactness.WIDER) and other not in found:
                    found[other] = None
                    waiting.append(other)
        return tuple(found)

    @cached_property
    def _linked(self) -> Mapping[str, Mapping[str, Exactness]]:
        found: dict[str, dict[str, Exactness]] = {}
        for hazard, links in self._written():
            for other, exact in links.items():
                found.setdefault(hazard, {})[other] = exact
                found.setdefault(other, {})[hazard] = exact.back
        return found

    def _written(self) -> Iterable[tuple[str, Mapping[str, Exactness]]]:
        for name, system in self.systems.items():
            for code, entry in system.codes.items():
                yield f"{name}:{code}", entry.links


@cache
def crosswalk() -> Crosswalk:
    """The crosswalk of `hazards.yaml`, read once a process."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a tenth of the time, where it was built
    return Crosswalk.model_validate(yaml.load(DATA.read_text(encoding="utf-8"), loader))  # noqa: S506  # both are safe loaders


def systems() -> tuple[str, ...]:
    """Names of the known hazard systems."""
    return tuple(crosswalk().systems)


def titles(system: str) -> Mapping[str, Text]:
    """The codes of a known system, in its order, with their titles.

    Raises:
        WardlawError: the system is not known.
    """
    return {code: entry.title for code, entry in _known(system).codes.items()}


def codes(rule: Rule, system: str) -> tuple[str, ...]:
    """What a break of the rule is called in a system: its own codes first, then those that the crosswalk leads to.

    Args:
        rule: the rule.
        system: a known system, or one of a pack.

    Returns:
        codes without their system; none where only `near` or `narrower` ones are linked.
    """
    claimed = (hazard.partition(":") for hazard in crosswalk().claims(rule.hazards))
    return tuple(code for name, _, code in claimed if name == system)


def called(rules: Iterable[Rule], broken: Iterable[str], system: str) -> dict[str, tuple[str, ...]]:
    """What broken rules are called in a system: rule id -> `codes`, in the order of `broken`."""
    by_id = {rule.id: rule for rule in rules}
    return {rule_id: codes(by_id[rule_id], system) for rule_id in broken if rule_id in by_id}


def known_system(system: str, rules: Iterable[Rule] = ()) -> str:
    """The name itself, if it is a known system or one that a rule uses.

    Raises:
        WardlawError: it is neither.
    """
    used = {hazard.partition(":")[0] for rule in rules for hazard in rule.hazards}
    names = [*systems(), *sorted(used - set(systems()))]
    if system not in names:
        raise WardlawError(
            f"no hazard system {quoted(system)}", did_you_mean(system, names, f"there are {listed(names)}")
        )
    return system


def _known(system: str) -> System:
    return crosswalk().systems[known_system(system)]


BROAD = 3
"""Rules of a constitution that may carry one code before it tells too little of what they have in common."""


def by_hazard(found: Iterable[Rule], among: Iterable[Rule]) -> list[tuple[Rule, list[Rule]]]:
    """Rules, each with those after it that stand for the same hazard: rules of two packs that a reader is told as one.

    Args:
        found: the gravest first.
        among: all rules in force: a code that many of them carry, as `non-violent-crimes`, says nothing of one hazard.

    Returns:
        those that come first for their hazard, in the order given, each with the others.
    """
    carried = Counter(hazard for rule in among for hazard in set(rule.hazards))
    told: list[tuple[Rule, list[Rule]]] = []
    for rule in found:
        own = {hazard for hazard in rule.hazards if carried[hazard] <= BROAD}
        first = next((one for one in told if own & set(one[0].hazards)), None)
        if first is None:
            told.append((rule, []))
        else:
            first[1].append(rule)
    return told
