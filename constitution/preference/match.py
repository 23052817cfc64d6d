"""One contest from its prompt to its outcome: answers drawn where there are none, every pair compared, scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from constitution.calls import Caller
from constitution.desk import seed_of, together
from constitution.preference.chooser import Asked
from constitution.preference.contest import Contest, Duel, Look, Outcome
from constitution.preference.grader import Grader
from constitution.preference.judge import PairJudge
from constitution.preference.principles import drawn, principle_of, text_of
from constitution.preference.settings import Settings
from constitution.preference.templates import Wording, WordingSet
from constitution.row import Call, ModelRole, Said
from guard.language import language_of
from guard.models.base import ContentRefused, ContextTooLong
from rules.digest import constitution_digest
from rules.schema import Constitution


class Matches:
    """Holds contests. Keeps no state between them."""

    def __init__(
        self,
        constitution: Constitution,
        wordings: WordingSet,
        caller: Caller,
        settings: Settings,
        *,
        made: str,
        models: Mapping[ModelRole, str],
    ) -> None:
        """Args: made: digest of all that determines labels. models: role -> identity."""
        self._constitution = constitution
        self._digest = constitution_digest(constitution)
        self._wordings = wordings
        self._caller = caller
        self._settings = settings
        self._judge = PairJudge(caller, settings)
        self._grader = Grader(caller, settings)
        self._half = "one_order" if settings.form == "pairwise" else "one_grade"
        self._made = made
        self._models = dict(models)

    async def hold(self, contest: Contest) -> Outcome:
        """Compare the answers of one contest.

        Raises:
            BudgetSpent, StoreError: as Caller.ask.
            ModelError: a model could not answer.
        """
        began = time.time()
        calls: list[Call] = []
        wording = self._wordings.of(language_of(contest.messages[-1].content))
        why = ""
        duels: tuple[Duel, ...] = ()
        if contest.kind == "sampled":
            contest, why = await self._drawn(contest, calls)
        if not why:
            compare = self._in_pairs if self._settings.form == "pairwise" else self._alone
            duels = await compare(contest, wording, calls)
        accepted = any(duel.reason is None for duel in duels)
        reasons = [duel.reason for duel in duels if duel.reason is not None]
        return Outcome(
            id=contest.id,
            source=contest.source,
            kind=contest.kind,
            language=wording.language,
            prompt=tuple(Said(role=message.role, content=message.content) for message in contest.messages),
            answers=contest.answers,
            preferred=contest.preferred,
            duels=duels,
            scores=_scores(len(contest.answers), duels),
            status="accepted" if accepted else "rejected",
            reason=None if accepted else why or max(reasons, key=reasons.count, default="no_pair"),
            made=self._made,
            constitution=self._digest,
            models=dict(self._models),
            seed=self._settings.seed,
            calls=tuple(calls),
            started=began,
            finished=time.time(),
        )

    async def _drawn(self, contest: Contest, calls: list[Call]) -> tuple[Contest, str]:
        """The contest with answers drawn from the model, each once; or why there are too few."""
        count = self._settings.samples or 2
        try:
            replies = await together(
                *(
                    self._caller.ask(
                        "answerer",
                        f"answer {number}",
                        contest.messages,
                        row=contest.id,
                        seed=seed_of(self._settings.seed, contest.id, "answer", number),
                        calls=calls,
                        sampling=self._settings.drawn,
                    )
                    for number in range(count)
                )
            )
        except ContextTooLong:
            return contest, "too_long"
        except ContentRefused:
            return contest, "withheld"
        # An answer that was cut off would lose for its missing end, and teach that
        whole = [reply.text.strip() for reply in replies if reply.finish == "stop" and reply.text.strip()]
        answers = tuple(dict.fromkeys(whole))
        if len(answers) < 2:
            return contest, "same_answers" if len(whole) > 1 else "cut_off"
        return replace(contest, answers=answers), ""

    async def _in_pairs(self, contest: Contest, wording: Wording, calls: list[Call]) -> tuple[Duel, ...]:
        """Each pair shown in both orders, under rules drawn for the pair."""
        settings = self._settings

        async def duel(pair: tuple[int, int]) -> Duel:
            if _same(contest, pair):
                return self._decided(pair, ())
            rules = drawn(self._constitution, settings.principles, settings.seed, contest.id, *pair)
            asked = [principle_of(rule, wording) for rule in rules]
            looks = await together(*(self._judge.look(contest, pair, each, wording, calls) for each in asked))
            return self._decided(pair, looks)

        return tuple(await together(*(duel(pair) for pair in contest.pairs)))

    async def _alone(self, contest: Contest, wording: Wording, calls: list[Call]) -> tuple[Duel, ...]:
        """Each answer graded once under each of the rules drawn for the contest; pairs by the grades of the two."""
        settings = self._settings
        differ = {pair for pair in contest.pairs if not _same(contest, pair)}
        rules = drawn(self._constitution, settings.principles, settings.seed, contest.id)
        asked = [Asked(contest, text_of(rule, wording), wording, calls) for rule in rules]
        places = sorted({at for pair in differ for at in pair})
        # all rules of an answer one after the other: a local model then reads the answer once
        wanted = [(number, at) for at in places for number in range(len(asked))]
        seen = await together(*(self._grader.grade(asked[number], at) for number, at in wanted))
        grades = dict(zip(wanted, seen, strict=True))

        def looks(a: int, b: int) -> list[Look]:
            return [self._grader.look(each, grades[n, a], grades[n, b]) for n, each in enumerate(asked)]

        return tuple(self._decided(pair, looks(*pair) if pair in differ else ()) for pair in contest.pairs)

    def _decided(self, pair: tuple[int, int], looks: Sequence[Look]) -> Duel:
        """What comes of the looks; without any the two answers are the same."""
        a, b = pair
        found = tuple(looks)
        labels = [look.label for look in found if look.label is not None]
        if not labels:
            half = any(look.half_read for look in found)
            why = found[0].why or "unreadable" if found else "same_answers"
            return Duel(a=a, b=b, looks=found, label=None, reason=self._half if half else why)
        label = sum(labels) / len(labels)
        near = label == 0.5 or abs(2 * label - 1) < self._settings.min_margin
        return Duel(a=a, b=b, looks=found, label=label, reason="near_tie" if near else None)


def _same(contest: Contest, pair: tuple[int, int]) -> bool:
    """Whether the two differ in white space alone, or not at all."""
    one, other = (contest.answers[at].split() for at in pair)
    return one == other


def _scores(count: int, duels: Sequence[Duel]) -> tuple[float | None, ...]:
    """Mean probability of being the better, of each answer over its pairs that could be read."""
    won: list[list[float]] = [[] for _ in range(count)]
    for duel in duels:
        if duel.label is not None:
            won[duel.a].append(duel.label)
            won[duel.b].append(1 - duel.label)
    return tuple(sum(mine) / len(mine) if mine else None for mine in won)
