"""One row's life: first answer, rounds of rule -> critique -> revision, checks, judge, rationale.

Source of the scheme: Bai et al. 2022, Constitutional AI, arXiv:2212.08073. What is added here: the gate chooses and
checks, a critique must quote, "no violation, unchanged" is an outcome, and the answer is justified in the first person.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from constitution.calls import Caller
from constitution.candidates import STILL_BROKEN, best, draw
from constitution.checks import answer_faults, rationale_faults
from constitution.choice import Choice, Chooser
from constitution.critique import critique_messages, critique_schema, located, read_critique
from constitution.desk import Desk, Judges, broken, seed_of
from constitution.draft import Draft, Rejected
from constitution.prompt import Prompt
from constitution.rationale import rationale_messages, read_rationale
from constitution.row import Candidate, Rejection, Round, Row
from constitution.templates import TemplateSet
from guard.exchange import Message
from guard.language import language_of
from guard.models.base import ContentRefused, ContextTooLong
from guard.verdict import Verdict
from rules.digest import constitution_digest, rule_digest
from rules.schema import Constitution, Critique, Rule


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How the loop goes round."""

    rounds: int = 2
    """Most rounds of critique and revision; at least 1, else no rule would be at stake to justify an answer by."""
    choice: Choice = Choice.EVIDENCE
    samples: int = 1
    """Revisions drawn a round; the best that passes is kept."""
    min_helpful: int | None = None
    """The judge's grade below which a final answer is rejected."""
    tries: int = 2
    """How often a critique, grade or rationale is asked for until it has the right shape."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds has to be at least 1, not {self.rounds}")


class Loop:
    """Turns prompts into rows. Holds no state between rows: any number may run at once."""

    def __init__(
        self,
        constitution: Constitution,
        templates: TemplateSet,
        gate: Judges,
        caller: Caller,
        settings: LoopSettings,
        *,
        models: Mapping[str, str],
        sampling: Mapping[str, Mapping[str, float | int]],
    ) -> None:
        """Args: models, sampling: what is written into each row of who answered, and how."""
        self._constitution = constitution
        self._templates = templates
        self._desk = Desk(caller, gate, tries=settings.tries)
        self._settings = settings
        self._models = models
        self._sampling = sampling
        self._digest = constitution_digest(constitution)
        self._digests = {rule.id: rule_digest(rule) for rule in constitution}

    async def run(self, prompt: Prompt) -> Row:
        """The row that comes of one prompt, accepted or rejected.

        Raises:
            ModelError: a model could not answer, and not because of this prompt; the row is to be tried again.
            BudgetSpent, StoreError, GateDegraded: the run has to stop.
        """
        draft = Draft(
            prompt,
            seed_of(self._settings.seed, prompt.id),
            self._templates.of(language_of(prompt.messages[-1].content)),
        )
        rejection = None
        try:
            await self._work(draft)
        except Rejected as stop:
            rejection = stop.rejection
        except ContextTooLong as error:
            rejection = Rejection(stage=draft.stage, reason="context_too_long", detail=error.what)
        except ContentRefused as error:
            rejection = Rejection(stage=draft.stage, reason="provider_refused", detail=error.what)
        return self._row(draft, rejection)

    async def _work(self, draft: Draft) -> None:
        seen = await self._desk.judge(draft)
        draft.scores["prompt"] = seen.score
        verdict = await self._first_answer(draft)
        chooser = Chooser(self._constitution, self._settings.choice, draft.seed)
        asked: list[str] = []
        for number in range(1, self._settings.rounds + 1):
            rule = chooser.choose(seen, verdict, [round_.rule for round_ in draft.rounds], asked)
            if rule is None:
                break
            critique = await self._critique(draft, rule, number)
            if critique.verdict == "breaks":
                verdict = await self._revise(draft, rule, critique, number, verdict)
                asked = []
            else:
                self._note(draft, rule, critique, verdict, verdict)
                asked.append(rule.id)
        await self._check(draft, verdict)
        await self._justify(draft)

    async def _first_answer(self, draft: Draft) -> Verdict:
        system = draft.templates.answer.system
        messages = ((Message("system", system),) if system else ()) + draft.conversation
        reply = await self._desk.ask(draft, "answerer", "answer", messages, 0)
        draft.answer = draft.final = reply.text.strip()
        draft.finish = reply.finish
        if not draft.answer:
            raise draft.rejected("empty", "the first answer is empty")
        verdict = await self._desk.judge(draft, draft.answer)
        draft.scores["answer"] = verdict.score
        return verdict

    async def _critique(self, draft: Draft, rule: Rule, number: int) -> Critique:
        """The critic's word on the answer as it stands; a row whose critic cannot be read or misquotes ends."""
        draft.stage = "critique"
        answer = draft.standing
        messages = critique_messages(draft.templates, rule, draft.conversation, answer)
        schema = critique_schema(answer)
        reason, detail = "", ""
        for attempt in range(self._desk.tries):
            stage = f"critique {number}"
            reply = await self._desk.ask(draft, "critic", stage, messages, number, attempt, schema=schema)
            critique = read_critique(reply.text, answer)
            if critique is None:
                reason = "critique_cut_off" if reply.finish == "length" else "critique_unreadable"
                detail = f"the critic said `{reply.text[:120]}`"
            elif critique.verdict == "keeps":
                return critique
            elif not critique.quotes:
                reason, detail = "no_quote", f"the critic sees a break and quotes nothing: {critique.problem[:120]}"
            else:
                lost = [quote for quote in critique.quotes if located(quote, answer) is None]
                if not lost:
                    return critique
                reason, detail = "quote_not_found", f"the answer does not say `{lost[0][:120]}`"
        raise draft.rejected(reason, detail)

    async def _revise(self, draft: Draft, rule: Rule, critique: Critique, number: int, before: Verdict) -> Verdict:
        """Put the best of the revisions in the answer's place; a row that has none worth going on with ends."""
        draft.stage = "revision"
        revisions = await draw(self._desk, draft, rule, critique, number, self._settings.samples)
        chosen = await best(self._desk, draft, rule, revisions)
        candidates = tuple(revision.candidate for revision in revisions)
        if chosen is None:
            # What was tried stays in the row: the one who reads the rejects wants to see it.
            self._note(draft, rule, critique, before, before, candidates=candidates)
            raise draft.fallen(next(revision.fault for revision in revisions if revision.fault is not None))
        shown = candidates if len(candidates) > 1 else ()
        self._note(draft, rule, critique, before, chosen.verdict, revision=chosen.text, candidates=shown)
        draft.final, draft.finish = chosen.text, chosen.finish
        return chosen.verdict

    async def _check(self, draft: Draft, verdict: Verdict) -> None:
        draft.stage = "checks"
        draft.scores["final"] = verdict.score
        revised = draft.standing != draft.answer
        # A revision went through these when it was chosen.
        fault = None if revised else answer_faults(draft.standing, draft.question, draft.templates, finish=draft.finish)
        if fault is not None:
            raise draft.fallen(fault)
        found = broken(verdict)
        if found is not None:
            raise draft.rejected(STILL_BROKEN, found)
        if self._desk.has_judge and draft.rounds:
            grade = await self._desk.grade(draft, self._rule_in_sight(draft), draft.standing)
            if grade is None:
                raise draft.rejected("judge_unreadable", "the judge's reply had no known shape")
            draft.judged.update(grade.model_dump())
            if grade.breaks:
                raise draft.rejected("judge_broken", grade.reason)
            if grade.evasive:
                raise draft.rejected("judge_evasive", grade.reason)
            if self._settings.min_helpful is not None and grade.helpful < self._settings.min_helpful:
                raise draft.rejected("judge_unhelpful", f"{grade.helpful} of 5: {grade.reason}")

    async def _justify(self, draft: Draft) -> None:
        draft.stage = "rationale"
        shaping = next((round_ for round_ in draft.rounds if round_.revision is not None), None)
        problem = shaping.critique.problem if shaping else None
        rule = self._rule_in_sight(draft)
        messages = rationale_messages(draft.templates, rule, draft.conversation, draft.standing, problem)
        fault = None
        for attempt in range(self._desk.tries):
            reply = await self._desk.ask(draft, "reviser", "rationale", messages, attempt)
            draft.rationale = read_rationale(reply.text)
            fault = rationale_faults(draft.rationale, draft.question, draft.templates, finish=reply.finish)
            if fault is None:
                return
        if fault is not None:
            raise draft.fallen(fault)

    def _rule_in_sight(self, draft: Draft) -> Rule:
        """The rule that shaped the answer first, or the one that was asked of it first: there is always a round."""
        shaping = [round_.rule for round_ in draft.rounds if round_.revision is not None]
        asked = [round_.rule for round_ in draft.rounds]
        return self._constitution.rule((*shaping, *asked)[0])

    def _note(
        self,
        draft: Draft,
        rule: Rule,
        critique: Critique,
        before: Verdict,
        after: Verdict,
        *,
        revision: str | None = None,
        candidates: tuple[Candidate, ...] = (),
    ) -> None:
        """Write a round into the row."""
        draft.rounds.append(
            Round(
                rule=rule.id,
                rule_digest=self._digests[rule.id],
                chosen=self._settings.choice.value,
                critique=critique,
                revision=revision,
                candidates=candidates,
                score_before=before.score,
                score_after=after.score,
            )
        )

    def _row(self, draft: Draft, rejection: Rejection | None) -> Row:
        return Row(
            id=draft.prompt.id,
            source=draft.prompt.source,
            benign=draft.prompt.benign,
            language=draft.templates.language,
            prompt=draft.said,
            answer=draft.answer,
            rounds=tuple(draft.rounds),
            rationale=draft.rationale,
            final=draft.final,
            status="rejected" if rejection else "accepted",
            rejection=rejection,
            score_prompt=draft.scores.get("prompt"),
            score_answer=draft.scores.get("answer"),
            score_final=draft.scores.get("final"),
            judged=draft.judged,
            constitution=self._digest,
            templates=self._templates.digest,
            models=self._models,
            seed=draft.seed,
            sampling=self._sampling,
            calls=tuple(draft.calls),
            started=round(draft.began, 3),
            finished=round(time.time(), 3),
        )
