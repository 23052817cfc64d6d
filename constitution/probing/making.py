"""Making probes for many rules: breaks of all first, then near misses, and the files and the card at the end."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constitution.calls import BudgetSpent, Meter
from constitution.probing.aim import Target, known_of
from constitution.probing.bootstrap import Bootstrap
from constitution.probing.novelty import Pool
from constitution.probing.output import write_making
from constitution.probing.probe import KINDS, Kind, Probe, ProbeError, identify, said
from constitution.probing.recipe import Origins, Recipe
from constitution.probing.seeds import Seed, held_back, seeds_of
from constitution.probing.session import Session, hold, opened
from constitution.probing.settings import Common, Wanted, is_withheld, named_rules
from constitution.probing.side import Side
from constitution.probing.sieve import Sieve
from guard.exchange import Exchange, Message
from guard.trials.disguises import DISGUISES
from rules.digest import constitution_digest, rule_digest
from rules.schema import Constitution, Rule


@dataclass(slots=True)
class Made:
    """What a run made."""

    sides: list[Side]
    disguised: list[tuple[Probe, bool]] = field(default_factory=list)
    """Disguised views of the probes, each with whether the gate finds the rule broken in it."""
    spent: BudgetSpent | None = None
    files: tuple[Path, ...] = ()

    @property
    def short(self) -> list[Side]:
        """Sides that have fewer than were asked for."""
        return [side for side in self.sides if len(side.probes) < side.wanted and side.end != "withheld"]


class Making:
    """One run. `sides` and `meter` can be read while it goes on."""

    def __init__(self, common: Common, wanted: Wanted, recipe: Recipe, constitution: Constitution) -> None:
        """Check what can be checked before a model is loaded.

        Raises:
            ProbeError: an unknown rule, or nothing to tell what is on target.
        """
        if recipe.count < 1:
            raise ProbeError(f"{recipe.count} probes were asked for", "ask for one or more of each kind")
        if common.encoder is None and common.judge is None:
            raise ProbeError(
                "nothing tells whether a probe is on target: no encoder, and no judge", "give --judge, or an --encoder"
            )
        self.common, self.wanted, self.recipe, self.constitution = common, wanted, recipe, constitution
        self.rules = named_rules(constitution, common.only)
        self.meter = Meter(budget=common.budget)
        self.sides: list[Side] = []

    async def run(self, *, anew: bool = False) -> Made:
        """Make the probes and write the files.

        Raises:
            ProbeError: a rule that was named has no seeds, or the folder holds what was made otherwise.
            ModelError: a model cannot answer. What was answered is kept; run again to go on.
        """
        async with opened(self.common, self.constitution, self.meter) as session:
            jobs = self._jobs(session)
            hold(self.common.out, self._determined(session), used=session.used, anew=anew)
            spent = None
            try:
                for kind in KINDS:  # near misses are held against all breaks: which were made first must not depend
                    await self._all([job for side, job in jobs if side.kind == kind])  # on which call came back sooner
            except* BudgetSpent as group:
                spent = next(error for error in _leaves(group) if isinstance(error, BudgetSpent))
            disguised = await self._disguised(session)
            made = Made(self.sides, disguised, spent)
            made.files = write_making(self.common.out, made, self.constitution, self._origins(session), self.meter)
            return made

    async def _all(self, jobs: Sequence[Callable[[], Awaitable[Any]]]) -> None:
        async def run(job: Callable[[], Awaitable[Any]]) -> None:
            await job()

        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(run(job))

    def _jobs(self, session: Session) -> list[tuple[Side, Callable[[], Awaitable[Any]]]]:
        """A job for every side that can be made; the others are noted with the reason."""
        tests = Pool()
        tests.extend((str(place), text) for place, text in enumerate(held_back(self.constitution)))
        pools = {kind: Pool() for kind in KINDS}
        jobs: list[tuple[Side, Callable[[], Awaitable[Any]]]] = []
        lacking: list[str] = []
        for rule in self.rules:
            written = {kind: seeds_of(rule, kind, session.seeds) for kind in KINDS}
            target = self.target(session, rule)
            for kind in self.wanted.kinds:
                end = self._why_not(rule, kind, written[kind])
                if end:
                    self.sides.append(Side(rule.id, kind, self.recipe.count, end=end, seeds=len(written[kind])))
                    lacking += [f"`{rule.id}` ({kind})"] if end == "no_seeds" else []
                    continue
                sieve = Sieve(
                    self.recipe,
                    written[kind],
                    pool=Pool(session.encoder, latin=session.latin),
                    tests=tests,
                    others=pools["break" if kind == "keep" else "keep"],
                )
                bootstrap = Bootstrap(
                    rule,
                    kind,
                    written[kind],
                    session.askers["model"],
                    sieve,
                    target,
                    session.words,
                    self.recipe,
                    self._origins(session, rule),
                )
                self.sides.append(bootstrap.side)
                jobs.append((bootstrap.side, _filling(bootstrap, pools[kind])))
        if lacking and (self.common.only or not jobs):
            raise ProbeError(
                f"no human-written prompts to begin with: {', '.join(lacking)}",
                "write some under the rule's `examples`, or in a file for --seeds: `wardlaw rules suggest` drafts some",
            )
        return jobs

    def target(self, session: Session, rule: Rule) -> Target:
        """What tells whether texts are on target for a rule."""
        written = {kind: seeds_of(rule, kind, session.seeds) for kind in KINDS}
        topic = Pool(session.encoder, latin=session.latin)
        topic.extend((seed.id, seed.text) for kind in KINDS for seed in written[kind])
        far = [seed for other in self.constitution if other != rule for seed in seeds_of(other, "keep")[:1]]
        known = known_of([] if is_withheld(rule) else written["break"], written["keep"], far)
        return Target(rule, session.gate, session.judge, topic, session.words, known, seed=self.recipe.seed)

    def _why_not(self, rule: Rule, kind: Kind, seeds: Sequence[Seed]) -> str:
        if kind == "break" and is_withheld(rule):
            return "withheld"
        # a near miss can begin with what the rule says it allows; a break begins with what a person wrote
        return "" if seeds or (kind == "keep" and rule.allowed) else "no_seeds"

    async def _disguised(self, session: Session) -> list[tuple[Probe, bool]]:
        """Views of the probes in disguises that are drawn for each, and whether the gate still finds them."""
        found = []
        for side in self.sides:
            for probe in side.probes:
                rng = random.Random(f"{self.recipe.seed}/{probe.rule}/{probe.id}/disguise")
                fitting = [name for name, put_on in DISGUISES.items() if put_on(probe.text) != probe.text]
                for name in sorted(rng.sample(fitting, min(self.wanted.disguises, len(fitting)))):
                    turns = [Message(turn.role, turn.content) for turn in probe.messages]
                    turns[-1] = Message("user", DISGUISES[name](probe.text))
                    verdict = await session.gate.ajudge(Exchange(tuple(turns)))
                    view = probe.model_copy(
                        update={"id": identify(turns), "messages": said(turns), "disguise": name, "parent": probe.id}
                    )
                    found.append((view, probe.rule in verdict.broken))
        return found

    def _origins(self, session: Session, rule: Rule | None = None) -> Origins:
        return Origins(
            rule_digest=rule_digest(rule) if rule else "",
            constitution=constitution_digest(self.constitution),
            templates=session.wording.digest,
            judge=session.judge.identity if session.judge else None,
            gate=session.gate.identity,
        )

    def _determined(self, session: Session) -> dict[str, Any]:
        """All that determines the probes but how many there are: more can be made of the same later."""
        recipe = dataclasses.asdict(self.recipe)
        recipe = {key: list(value) if isinstance(value, tuple) else value for key, value in recipe.items()}
        origins = dataclasses.asdict(self._origins(session))
        del origins["rule_digest"], recipe["count"], recipe["rounds"], recipe["patience"]
        seeds = sorted(f"{rule}/{kind}/{seed.id}" for rule, kind, seed in session.seeds)
        return {
            "what": "probes",
            "model": session.askers["model"].identity,
            "rules": [rule.id for rule in self.rules],
            "kinds": list(self.wanted.kinds),
            "seeds": seeds,
            **origins,
            **recipe,
        }


def _filling(bootstrap: Bootstrap, pool: Pool) -> Callable[[], Awaitable[Any]]:
    async def fill() -> None:
        side = await bootstrap.fill()
        pool.extend((probe.id, probe.text) for probe in side.probes)

    return fill


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
