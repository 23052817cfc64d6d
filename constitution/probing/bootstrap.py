"""New probes from a handful: rounds in which a model is shown a few human-written and a few generated ones.

What is new and on target is kept, until there are as many as were asked for, or the model has nothing more to give.
Source: Wang et al. 2022, Self-Instruct, arXiv:2212.10560.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from constitution.probing.aim import Target
from constitution.probing.asking import Asker
from constitution.probing.briefs import Brief, Briefs
from constitution.probing.novelty import Pool
from constitution.probing.probe import Decision, Kind, Lineage, Novelty, Probe, Rejected, identify, said
from constitution.probing.reading import is_recipe, is_refusal, read, schema_of
from constitution.probing.seeds import Seed
from constitution.probing.wording import Words
from guard.exchange import Message
from guard.language import language_of, script_of
from guard.models.base import ContentRefused, ContextTooLong, Reply, Sampling
from rules.schema import Rule

REASONS: Mapping[str, str] = {
    "repeats": "says what an earlier text says",
    "like_a_test": "is like one of the rules' tests, which never teach",
    "like_other_side": "says what a probe of the other kind says",
    "recipe": "holds steps or code: it is no request",
    "other_language": "is not in the language that was asked for",
    "off_target": "is not what was asked for, by gate, topic or judge",
    "refused": "the model declined to write",
    "unreadable": "the answer holds no text of use",
}
"""Why a text, or a round's whole answer, is rejected."""

ENDS: Mapping[str, str] = {
    "reached": "as many as were asked for",
    "repeats": "the model repeats itself",
    "like_a_test": "what the model writes is like the tests",
    "like_other_side": "what the model writes is like the other kind",
    "recipe": "the model writes recipes, not requests",
    "other_language": "the model writes in another language",
    "off_target": "what the model writes is not on target",
    "refused": "the model declines",
    "unreadable": "the model's answers cannot be read",
    "rounds": "all rounds are spent",
    "no_seeds": "no human-written text to begin with",
    "withheld": "of rules on the sexual exploitation of children only near misses are made",
}
"""How the making of one side of one rule ended."""

_LIKE_OTHER_SIDE = 0.9
"""ROUGE-L from which a probe says what one of the other kind says; twins differ by a word or two and stay below."""
_TOKENS_A_TEXT = 120
_SURE_LETTERS = 60
_OTHER_SCRIPTS = frozenset({"ja", "ko", "zh", "ar", "he", "hi", "th", "el", "ru", "uk", "bg", "fa"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How probes are made."""

    count: int = 20
    """Of each rule and kind."""
    a_round: int = 5
    """Texts that a round asks for."""
    written: int = 4
    """Human-written texts that a round shows."""
    generated: int = 2
    """Generated ones that it shows."""
    rounds: int = 40
    """Most rounds of one side of a rule."""
    patience: int = 4
    """Rounds in a row without a new probe after which it is given up."""
    rouge: float = 0.7
    """ROUGE-L from which a text is a repeat."""
    cosine: float = 0.9
    """Cosine from which it is one."""
    languages: tuple[str, ...] = ("en",)
    multi_turn: float = 0.2
    """Share of the rounds that ask for conversations."""
    temperature: float = 0.9
    top_p: float = 0.95
    seed: int = 0


@dataclass(slots=True)
class Side:
    """What came of one side of one rule."""

    rule: str
    kind: Kind
    wanted: int
    probes: list[Probe] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    end: str = ""
    """A key of `ENDS`."""
    seeds: int = 0
    rounds: int = 0
    texts: int = 0
    """Texts that the model wrote."""

    @property
    def reasons(self) -> Counter[str]:
        """Reason -> texts and answers rejected for it."""
        return Counter(each.reason for each in self.rejected)


@dataclass(frozen=True, slots=True)
class Origins:
    """What stands in every lineage."""

    rule_digest: str
    constitution: str
    templates: str
    judge: str | None
    gate: str


class Bootstrap:
    """Makes the probes of one side of one rule."""

    def __init__(
        self,
        rule: Rule,
        kind: Kind,
        seeds: Sequence[Seed],
        prober: Asker,
        target: Target,
        words: Words,
        recipe: Recipe,
        origins: Origins,
        *,
        pool: Pool,
        tests: Pool,
        others: Pool,
    ) -> None:
        """Get ready; nothing is asked yet.

        Args:
            rule: whose probes.
            kind: which side.
            seeds: what people wrote of it.
            prober: the model that writes.
            target: what tells whether a text is on target.
            words: the templates.
            recipe: how many, and how.
            origins: for the lineages.
            pool: an empty one, for what is new.
            tests: the tests of all rules.
            others: probes of the other kind, of all rules.
        """
        self._rule, self._kind, self._seeds = rule, kind, seeds
        self._prober, self._target, self._words = prober, target, words
        self._recipe, self._origins = recipe, origins
        self._pool, self._tests, self._others = pool, tests, others
        self._pool.extend((seed.id, seed.text) for seed in seeds)
        self._written: set[str] = set()
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
        while len(side.probes) < recipe.count:
            if side.rounds >= recipe.rounds:
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
        recipe, side = self._recipe, self.side
        rng = random.Random(f"{recipe.seed}/{self._rule.id}/{self._kind}/{number}")
        brief = self._briefs.draw(rng)
        shown = self._shown(rng)
        seed = int.from_bytes(hashlib.blake2b(rng.randbytes(8), digest_size=4).digest()) >> 1
        reply = await self._asked(number, brief, shown, rng, seed)
        if reply is None:
            return
        refused = reply.finish == "filter" or is_refusal(reply.text)
        talks = [] if refused else read(reply.text, recipe.a_round, brief.turns)
        if not talks:
            self._reject(number, 0, reply.text[:300], "refused" if refused else "unreadable")
            return
        for place, messages in enumerate(talks):
            if len(side.probes) >= recipe.count:
                return
            side.texts += 1
            found = await self._sifted(messages, brief)
            if isinstance(found, tuple):
                novelty, decision = found
                lineage = self._lineage(number, place, shown, brief, seed, novelty, decision)
                self._keep(messages, lineage)
            else:
                self._reject(number, place, messages[-1].content, *found.split(": ", 1))

    async def _asked(
        self, number: int, brief: Brief, shown: Sequence[tuple[str, str]], rng: random.Random, seed: int
    ) -> Reply | None:
        recipe = self._recipe
        allowed = [text.say(self._words.language) for text in self._rule.allowed]
        messages = self._words.messages(
            "write",
            self._rule,
            kind=self._kind,
            count=recipe.a_round,
            neighbour=rng.choice(allowed) if allowed and self._kind == "keep" else None,
            shown=[text for _, text in shown],
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
            self._reject(number, 0, "", "refused", error.what)
        except ContextTooLong as error:
            self._reject(number, 0, "", "unreadable", error.what)
        return None

    def _shown(self, rng: random.Random) -> list[tuple[str, str]]:
        """Id and text of a few of each sort, in mixed order."""
        recipe = self._recipe
        written = rng.sample(list(self._seeds), min(recipe.written, len(self._seeds)))
        generated = rng.sample(self.side.probes, min(recipe.generated, len(self.side.probes)))
        pairs = [*((seed.id, seed.text) for seed in written), *((probe.id, probe.text) for probe in generated)]
        shown = [(name, " ".join(text.split())[:400]) for name, text in pairs]
        rng.shuffle(shown)
        return shown

    async def _sifted(self, messages: Sequence[Message], brief: Brief) -> tuple[Novelty, Decision] | str:
        """How a text passed every filter, or `reason: detail`; the cheap ones come first."""
        text = messages[-1].content
        name = identify(messages)
        if name in self._written:
            return "repeats: letter for letter a text of an earlier round"
        self._written.add(name)
        if is_recipe(messages):
            return "recipe"
        if not _in_language(text, brief.language):
            return f"other_language: asked for `{brief.language}`"
        if self._tests.has_like(text, self._recipe.rouge):
            return "like_a_test"
        novelty = self._pool.nearest(text)
        if novelty.rouge >= self._recipe.rouge:
            return f"repeats: ROUGE-L {novelty.rouge:.2f} with {novelty.rouge_like}"
        if novelty.cosine is not None and novelty.cosine >= self._recipe.cosine:
            return f"repeats: cosine {novelty.cosine:.2f} with {novelty.cosine_like}"
        if self._others.has_like(text, _LIKE_OTHER_SIDE):
            return "like_other_side"
        decision, fault = await self._target.decide(self._kind, messages)
        return f"off_target: {fault}" if fault else (novelty, decision)

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
        self._pool.add(probe.id, probe.text)

    def _reject(self, round_: int, place: int, text: str, reason: str, detail: str = "") -> None:
        self.side.rejected.append(
            Rejected(
                rule=self._rule.id,
                kind=self._kind,
                round=round_,
                place=place,
                text=text,
                reason=reason,
                detail=detail,
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


def _in_language(text: str, wanted: str) -> bool:
    """Whether a text is in a language, as far as one can be sure: a few Latin words may be of any that uses them."""
    wanted = wanted.partition("-")[0]
    if sum(char.isalpha() for char in text) < _SURE_LETTERS and script_of(text) == "latin":
        return wanted not in _OTHER_SCRIPTS
    return language_of(text) == wanted
