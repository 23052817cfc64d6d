"""New probes from a handful: rounds in which a model is shown a few human-written and a few generated ones.

What is new and on target is kept, until there are as many as were asked for, or the model has nothing more to give.
Source: Wang et al. 2022, Self-Instruct, arXiv:2212.10560.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Sequence

from constitution.probing.aim import Target
from constitution.probing.asking import Asker
from constitution.probing.briefs import Brief, Briefs
from constitution.probing.probe import Decision, Kind, Lineage, Novelty, Probe, Rejected, identify, said
from constitution.probing.reading import is_refusal, read, schema_of
from constitution.probing.recipe import Origins, Recipe
from constitution.probing.seeds import Seed
from constitution.probing.side import Side
from constitution.probing.sieve import Fault, Sieve, in_language
from constitution.probing.wording import Words
from guard.exchange import Message
from guard.language import language_of
from guard.models.base import ContentRefused, ContextTooLong, Reply, Sampling
from rules.schema import Rule

_TOKENS_A_TEXT = 120


class Bootstrap:
    """Makes the probes of one side of one rule."""

    def __init__(
        self,
        rule: Rule,
        kind: Kind,
        seeds: Sequence[Seed],
        prober: Asker,
        sieve: Sieve,
        target: Target,
        words: Words,
        recipe: Recipe,
        origins: Origins,
    ) -> None:
        """Get ready; nothing is asked yet.

        Args:
            rule: whose probes.
            kind: which side.
            seeds: what people wrote of it.
            prober: the model that writes.
            sieve: what tells whether a text is new.
            target: what tells whether it is on target.
            words: the templates.
            recipe: how many, and how.
            origins: for the lineages.
        """
        self._rule, self._kind, self._seeds = rule, kind, seeds
        self._prober, self._sieve, self._target, self._words = prober, sieve, target, words
        self._recipe, self._origins = recipe, origins
        self._briefs = Briefs(words, recipe.languages, recipe.multi_turn)
        self.side = Side(rule.id, kind, recipe.count, seeds=len(seeds))

    async def fill(self) -> Side:
        """Go through rounds until there are enough probes, or no more are to be had.

        Raises:
            ModelError: a model cannot answer.
            BudgetSpent: none may be asked any more.
        """
        side, recipe = self.side, self._recipe
        barren = since = 0
        while not side.full:
            if side.rounds >= recipe.most_rounds:
                side.end = "rounds"
                return side
            before, faults = len(side.probes), len(side.rejected)
            await self._round(side.rounds)
            side.rounds += 1
            barren = 0 if len(side.probes) > before else barren + 1
            since = faults if barren == 1 else since
            if barren >= recipe.patience:
                why = Counter(each.reason for each in side.rejected[since:])
                side.end = why.most_common(1)[0][0]
                return side
        side.end = "reached"
        return side

    async def _round(self, number: int) -> None:
        """Ask once, and keep what is of use."""
        recipe = self._recipe
        rng = random.Random(f"{recipe.seed}/{self._rule.id}/{self._kind}/{number}")
        brief = self._briefs.draw(rng)
        shown = self._shown(rng, brief.language)
        seed = int.from_bytes(hashlib.blake2b(rng.randbytes(8), digest_size=4).digest()) >> 1
        reply = await self._asked(number, brief, shown, rng, seed)
        if reply is None:
            return
        refused = reply.finish == "filter" or is_refusal(reply.text)
        talks = [] if refused else read(reply.text, recipe.a_round, brief.turns)
        if not talks:
            self._reject(number, 0, reply.text[:300], Fault("refused" if refused else "unreadable"))
            return
        faults = {
            place: fault
            for place, messages in enumerate(talks)
            if (fault := self._sieve.sift(messages, brief.language)) is not None
        }
        async with asyncio.TaskGroup() as group:  # all at once, so that an endpoint is not asked one by one
            decisions = {
                place: group.create_task(self._target.decide(self._kind, messages))
                for place, messages in enumerate(talks)
                if place not in faults
            }
        for place, messages in enumerate(talks):
            if self.side.full:
                return
            self.side.texts += 1
            found = faults[place] if place in faults else self._judged(messages, *decisions[place].result())
            if isinstance(found, Fault):
                self._reject(number, place, messages[-1].content, found)
            else:
                self._keep(messages, self._lineage(number, place, shown, brief, seed, *found))

    def _judged(self, messages: Sequence[Message], decision: Decision, fault: str) -> tuple[Novelty, Decision] | Fault:
        novelty = self._sieve.novelty(messages)  # anew: an earlier text of the round may have been kept meanwhile
        if isinstance(novelty, Fault):
            return novelty
        return Fault("off_target", fault) if fault else (novelty, decision)

    async def _asked(
        self, number: int, brief: Brief, shown: Sequence[tuple[str, str]], rng: random.Random, seed: int
    ) -> Reply | None:
        recipe = self._recipe
        allowed = [text.say(self._words.language) for text in self._rule.allowed]
        messages = self._words.writing(
            self._rule,
            [text for _, text in shown],
            recipe.a_round,
            kind=self._kind,
            neighbour=rng.choice(allowed) if allowed and self._kind == "keep" else None,
            **brief.as_words(self._words),
        )
        tokens = _TOKENS_A_TEXT * (recipe.a_round * brief.turns + 1)
        sampling = Sampling(recipe.temperature, recipe.top_p, tokens, seed)
        schema = schema_of(recipe.a_round, brief.turns)
        try:
            return await self._prober.ask(
                messages, sampling, about=self._rule.id, stage=f"{self._kind} {number}", schema=schema
            )
        except ContentRefused as error:
            self._reject(number, 0, "", Fault("refused", error.what))
        except ContextTooLong as error:
            self._reject(number, 0, "", Fault("unreadable", error.what))
        return None

    def _shown(self, rng: random.Random, language: str) -> list[tuple[str, str]]:
        """Id and text of a few of each sort, in mixed order; those in the language asked for, where there are two."""
        recipe = self._recipe
        written = [(seed.id, seed.text) for seed in self._seeds]
        spoken = [pair for pair in written if in_language(pair[1], language)]
        written = spoken if len(spoken) > 1 else written
        made = [(probe.id, probe.text) for probe in self.side.probes]
        spoken = [pair for pair in made if in_language(pair[1], language)]
        made = spoken if len(spoken) > 1 else made
        pairs = [*_some(rng, written, recipe.written), *_some(rng, made, recipe.generated)]
        shown = [(name, " ".join(text.split())[:400]) for name, text in pairs]
        rng.shuffle(shown)
        return shown

    def _keep(self, messages: Sequence[Message], lineage: Lineage) -> None:
        probe = Probe(
            id=identify(messages),
            rule=self._rule.id,
            kind=self._kind,
            messages=said(messages),
            language=language_of(messages[-1].content),
            lineage=lineage,
        )
        self.side.probes.append(probe)
        self._sieve.keep(probe)

    def _reject(self, round_: int, place: int, text: str, fault: Fault) -> None:
        self.side.rejected.append(
            Rejected(
                rule=self._rule.id,
                kind=self._kind,
                round=round_,
                place=place,
                text=text,
                reason=fault.reason,
                detail=fault.detail,
            )
        )

    def _lineage(
        self,
        round_: int,
        place: int,
        shown: Sequence[tuple[str, str]],
        brief: Brief,
        seed: int,
        novelty: Novelty,
        decision: Decision,
    ) -> Lineage:
        origins = self._origins
        return Lineage(
            rule_digest=origins.rule_digest,
            constitution=origins.constitution,
            templates=origins.templates,
            round=round_,
            place=place,
            shown=tuple(name for name, _ in shown),
            brief=brief.lines(),
            model=self._prober.identity,
            judge=origins.judge,
            gate=origins.gate,
            seed=seed,
            novelty=novelty,
            decision=decision,
        )


def _some(rng: random.Random, pairs: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    return rng.sample(pairs, min(count, len(pairs)))
