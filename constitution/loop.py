"""One row's life: first answer, rounds of rule -> critique -> revision, checks, judge, rationale.

Source of the scheme: Bai et al. 2022, Constitutional AI, arXiv:2212.08073. What is added here: the gate chooses and
checks, a critique must quote, "no violation, unchanged" is an outcome, and the answer is justified in the first person.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from constitution.calls import Caller, ModelRole
from constitution.checks import answer_faults, is_unchanged, rationale_faults, still_quoted
from constitution.choice import Choice, Chooser
from constitution.critique import critique_messages, critique_schema, located, read_critique
from constitution.judging import GRADE_SCHEMA, Grade, grade_messages, read_grade
from constitution.language import language_of
from constitution.rationale import rationale_messages, read_rationale
from constitution.revise import read_revision, revision_messages
from constitution.row import Call, Candidate, Rejection, Round, Row, Said
from constitution.sources import Prompt
from constitution.templates import Templates, TemplateSet
from guard.exchange import Exchange, Message
from guard.models.base import ContentRefused, ContextTooLong, Reply
from guard.verdict import Verdict
from rules.digest import constitution_digest, rule_digest
from rules.errors import WardlawError
from rules.schema import Constitution, Critique, Rule

T = TypeVar("T")
Stage = Literal["answer", "critique", "revision", "rationale", "checks", "duplicates"]

STILL_BROKEN = "still_broken"
"""The reason of a text that the gate finds broken: the one fault that a further round may mend."""


class GateDegraded(WardlawError):
    """A detector of the gate could not answer."""


class Judges(Protocol):
    """What the loop needs of a gate."""

    async def ajudge(self, exchange: Exchange) -> Verdict:
        """The verdict on the exchange's last message."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How the loop goes round."""

    rounds: int = 2
    """Most rounds of critique and revision."""
    choice: Choice = Choice.EVIDENCE
    samples: int = 1
    """Revisions drawn a round; the best that passes is kept."""
    tries: int = 2
    """How often a critique, grade or rationale is asked for until it has the right shape."""
    seed: int = 0


@dataclass(slots=True)
class _Draft:
    """A row in the making."""

    prompt: Prompt
    seed: int
    templates: Templates
    began: float = field(default_factory=time.time)
    stage: Stage = "answer"
    answer: str | None = None
    final: str | None = None
    finish: str = "stop"
    rounds: list[Round] = field(default_factory=list)
    rationale: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    judged: dict[str, bool | int | str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    @property
    def conversation(self) -> tuple[Message, ...]:
        return self.prompt.messages

    @property
    def question(self) -> str:
        """The user's last message."""
        return self.prompt.messages[-1].content

    def rejected(self, reason: str, detail: str) -> _Rejected:
        """What to raise to end the row at its present stage."""
        return _Rejected(Rejection(stage=self.stage, reason=reason, detail=detail))


class _Rejected(Exception):
    """The row ends here."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self.rejection = rejection


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
        self._gate = gate
        self._caller = caller
        self._settings = settings
        self._models = models
        self._sampling = sampling
        self._digest = constitution_digest(constitution)
        self._digests = {rule.id: rule_digest(rule) for rule in constitution}

    async def run(self, prompt: Prompt) -> Row:
        """The row that comes of one prompt, accepted or rejected.

        Raises:
            ModelError: a model could not answer, and not because of this prompt; the row is to be tried again.
            BudgetSpent, StoreError: the run has to stop.
        """
        seed = _seed(self._settings.seed, prompt.id)
        draft = _Draft(prompt, seed, self._templates.of(language_of(prompt.messages[-1].content)))
        rejection = None
        try:
            await self._work(draft)
        except _Rejected as stop:
            rejection = stop.rejection
        except ContextTooLong as error:
            rejection = Rejection(stage=draft.stage, reason="context_too_long", detail=error.what)
        except ContentRefused as error:
            rejection = Rejection(stage=draft.stage, reason="provider_refused", detail=error.what)
        return self._row(draft, rejection)

    async def _work(self, draft: _Draft) -> None:
        seen = _whole(await self._gate.ajudge(Exchange(draft.conversation)))
        draft.scores["prompt"] = seen.score
        verdict = await self._first_answer(draft)
        chooser = Chooser(self._constitution, self._settings.choice, draft.seed)
        asked: list[str] = []
        for number in range(1, self._settings.rounds + 1):
            rule = chooser.choose(seen, verdict, [round_.rule for round_ in draft.rounds], asked)
            if rule is None:
                break
            critique = await self._critique(draft, rule, number)
            asked.append(rule.id)
            before = verdict.score
            revision: str | None = None
            candidates: tuple[Candidate, ...] = ()
            if critique.verdict == "breaks":
                revision, verdict, candidates = await self._revise(draft, rule, critique, number)
                draft.final = revision
                asked = []
            draft.rounds.append(
                Round(
                    rule=rule.id,
                    rule_digest=self._digests[rule.id],
                    chosen=self._settings.choice.value,
                    critique=critique,
                    revision=revision,
                    candidates=candidates,
                    score_before=before,
                    score_after=verdict.score,
                )
            )
        await self._check(draft, verdict)
        await self._justify(draft)

    # -- first answer

    async def _first_answer(self, draft: _Draft) -> Verdict:
        system = draft.templates.answer.system
        messages = ((Message("system", system),) if system else ()) + draft.conversation
        reply = await self._ask(draft, "answerer", "answer", messages, 0)
        draft.answer = draft.final = reply.text.strip()
        draft.finish = reply.finish
        if not draft.answer:
            raise draft.rejected("empty", "the first answer is empty")
        verdict = await self._judge(draft, draft.answer)
        draft.scores["answer"] = verdict.score
        return verdict

    # -- critique

    async def _critique(self, draft: _Draft, rule: Rule, number: int) -> Critique:
        draft.stage = "critique"
        answer = draft.final or ""
        messages = critique_messages(draft.templates, rule, draft.conversation, answer)
        schema = critique_schema(answer)
        reason, detail = "", ""
        for attempt in range(self._settings.tries):
            reply = await self._ask(draft, "critic", f"critique {number}", messages, number, attempt, schema=schema)
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

    # -- revision

    async def _revise(
        self, draft: _Draft, rule: Rule, critique: Critique, number: int
    ) -> tuple[str, Verdict, tuple[Candidate, ...]]:
        draft.stage = "revision"
        before = draft.final or ""
        messages = revision_messages(draft.templates, rule, draft.conversation, before, critique)
        samples = range(self._settings.samples)
        replies = await _together(
            *(self._ask(draft, "reviser", f"revision {number}", messages, number, sample) for sample in samples)
        )
        texts = [read_revision(reply.text) for reply in replies]
        verdicts = await _together(*(self._judge(draft, text) for text in texts))
        faults = [
            self._revision_fault(draft, before, critique, text, reply, verdict)
            for text, reply, verdict in zip(texts, replies, verdicts, strict=True)
        ]
        passed = [index for index, fault in enumerate(faults) if fault is None]
        # What only the gate still minds may be mended in the next round; any other fault will not mend itself.
        hopeful = passed or [i for i, fault in enumerate(faults) if fault and fault.reason == STILL_BROKEN]
        if not hopeful:
            fault = faults[0]
            raise draft.rejected(fault.reason if fault else "", fault.detail if fault else "")
        best = await self._best(draft, rule, hopeful, texts, verdicts)
        draft.finish = replies[best].finish
        candidates = tuple(
            Candidate(text=text, score=verdict.score, failed=fault.reason if fault else None)
            for text, verdict, fault in zip(texts, verdicts, faults, strict=True)
        )
        return texts[best], verdicts[best], candidates if len(candidates) > 1 else ()

    def _revision_fault(
        self, draft: _Draft, before: str, critique: Critique, text: str, reply: Reply, verdict: Verdict
    ) -> Rejection | None:
        fault = answer_faults(text, draft.question, draft.templates, finish=reply.finish)
        if fault is not None:
            return fault
        for reason, detail in (
            ("unchanged", is_unchanged(before, text)),
            ("still_quoted", still_quoted(critique.quotes, text)),
            (STILL_BROKEN, _broken(verdict)),
        ):
            if detail is not None:
                return Rejection(stage="revision", reason=reason, detail=detail)
        return None

    async def _best(
        self, draft: _Draft, rule: Rule, choices: list[int], texts: list[str], verdicts: list[Verdict]
    ) -> int:
        """The best candidate: what the judge finds most helpful, then what the gate finds least bad."""
        if len(choices) == 1 or not self._caller.has("judge"):
            return min(choices, key=lambda index: verdicts[index].score)
        grades = await _together(*(self._grade(draft, rule, texts[index]) for index in choices))

        def rank(item: tuple[int, Grade | None]) -> tuple[bool, int, float]:
            index, grade = item
            bad = grade is None or grade.breaks or grade.evasive
            return bad, -(grade.helpful if grade else 0), verdicts[index].score

        return min(zip(choices, grades, strict=True), key=rank)[0]

    # -- checks, judge, rationale

    async def _check(self, draft: _Draft, verdict: Verdict) -> None:
        draft.stage = "checks"
        final = draft.final or ""
        draft.scores["final"] = verdict.score
        fault = answer_faults(final, draft.question, draft.templates, finish=draft.finish)
        if fault is not None:
            raise draft.rejected(fault.reason, fault.detail)
        broken = _broken(verdict)
        if broken is not None:
            raise draft.rejected(STILL_BROKEN, broken)
        if self._caller.has("judge") and draft.rounds:
            grade = await self._grade(draft, self._rule_in_sight(draft), final)
            if grade is None:
                raise draft.rejected("judge_unreadable", "the judge's reply had no known shape")
            draft.judged.update(grade.model_dump())
            if grade.breaks:
                raise draft.rejected("judge_broken", grade.reason)
            if grade.evasive:
                raise draft.rejected("judge_evasive", grade.reason)

    async def _grade(self, draft: _Draft, rule: Rule, text: str) -> Grade | None:
        messages = grade_messages(draft.templates, rule, draft.conversation, text)
        for attempt in range(self._settings.tries):
            reply = await self._ask(draft, "judge", "judge", messages, attempt, schema=GRADE_SCHEMA)
            grade = read_grade(reply.text)
            if grade is not None:
                return grade
        return None

    async def _justify(self, draft: _Draft) -> None:
        draft.stage = "rationale"
        final = draft.final or ""
        broken = [round_ for round_ in draft.rounds if round_.revision is not None]
        problem = broken[0].critique.problem if broken else None
        messages = rationale_messages(draft.templates, self._rule_in_sight(draft), draft.conversation, final, problem)
        fault = None
        for attempt in range(self._settings.tries):
            reply = await self._ask(draft, "reviser", "rationale", messages, attempt)
            text = read_rationale(reply.text)
            fault = rationale_faults(text, draft.question, draft.templates, finish=reply.finish)
            if fault is None:
                draft.rationale = text
                return
        if fault is not None:
            raise draft.rejected(fault.reason, fault.detail)

    def _rule_in_sight(self, draft: _Draft) -> Rule:
        """The rule that shaped the answer first, or the one that was asked of it, or the first of all."""
        shaping = [round_.rule for round_ in draft.rounds if round_.revision is not None]
        asked = [round_.rule for round_ in draft.rounds]
        for rule in (*shaping, *asked):
            return self._constitution.rule(rule)
        return self._constitution.rules[0]

    # -- parts

    async def _ask(
        self,
        draft: _Draft,
        role: ModelRole,
        stage: str,
        messages: tuple[Message, ...],
        *numbers: int,
        schema: Mapping[str, object] | None = None,
    ) -> Reply:
        seed = _seed(draft.seed, stage, *numbers)
        return await self._caller.ask(
            role, stage, messages, row=draft.prompt.id, seed=seed, calls=draft.calls, schema=schema
        )

    async def _judge(self, draft: _Draft, text: str) -> Verdict:
        return _whole(await self._gate.ajudge(Exchange.of(draft.conversation, text)))

    def _row(self, draft: _Draft, rejection: Rejection | None) -> Row:
        return Row(
            id=draft.prompt.id,
            source=draft.prompt.source,
            benign=draft.prompt.benign,
            language=draft.templates.language,
            prompt=tuple(Said(role=m.role, content=m.content, reasoning=m.reasoning) for m in draft.conversation),
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


def _whole(verdict: Verdict) -> Verdict:
    """The verdict, if every detector could answer: a row must not pass a check that did not run."""
    for detector, what in verdict.coverage.degraded.items():
        raise GateDegraded(f"the gate's detector `{detector}` failed: {what}", "mend it and run again; no row is lost")
    return verdict


def _broken(verdict: Verdict) -> str | None:
    if not verdict.findings:
        return None
    worst = max(verdict.findings, key=lambda finding: finding.score)
    return f"the gate finds `{worst.rule}` broken by `{worst.excerpt[:80]}` ({worst.detector}, {worst.score:.2f})"


def _seed(*parts: int | str) -> int:
    """A seed that depends on nothing but its parts: rows can run in any order. 31 bits."""
    text = ":".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) & 0x7FFFFFFF


async def _together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """The results of all, in order; where one fails, the others are cancelled before its error goes on."""
    if len(works) == 1:
        return [await works[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
