"""What a criterion works with: the model under test, the judge, the gate, the sets. Every call is kept by its hash."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from constitution.calls import Caller
from constitution.desk import seed_of
from constitution.evaluating.answers import Answer
from constitution.evaluating.criterion import CannotRun, EvaluationError
from constitution.evaluating.draw import draw, draw_evenly
from constitution.evaluating.prompts import Prompt
from constitution.evaluating.wording import WordSet
from constitution.failures import Failures, cause
from constitution.judging import GRADE_SCHEMA, Grade, grade_messages, read_grade
from constitution.row import Call
from constitution.templates import Templates, TemplateSet
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.judging.answers import TOP
from guard.language import language_of
from guard.models.base import (
    ContentRefused,
    ContextTooLong,
    ModelConfigError,
    ModelError,
    Reply,
    Sampling,
)
from guard.training.sets import CheckSet, read_set
from guard.verdict import Verdict
from rules.schema import Constitution, Rule

T = TypeVar("T")
Came = TypeVar("Came")

_TRIES = 2
"""Times a judge is asked for a grade that can be read."""
_LETTER_TOKENS = 6
"""Tokens of a reply that is to be a letter: it may stand behind `(`, or behind `Answer:`."""
_ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")


@dataclass(slots=True)
class Progress:
    """How far an evaluation is; a display reads it."""

    criterion: str = ""
    number: int = 0
    """Of the criterion, from 1."""
    criteria: int = 0
    done: int = 0
    """Items of this criterion."""
    total: int = 0
    failed: int = 0
    """Items of all criteria that a model could not answer."""
    last_failure: str = ""


@dataclass(slots=True)
class Bench:
    """Everything that is open while criteria are measured. Criteria are measured one after the other."""

    caller: Caller
    """Asks the model under test as `answerer` and the judge as `judge`, through the store."""
    gate: Gate
    """Thorough: every detector looks at every text."""
    constitution: Constitution
    templates: TemplateSet
    sampling: Sampling
    """How answers are drawn."""
    seed: int = 0
    limit: int | None = None
    """Most items of a criterion; None for all."""
    data: Path | None = None
    """The folder of labelled sets."""
    prompts: tuple[Prompt, ...] = ()
    """More prompts than the rules' own, from `--prompts`."""
    samples: int = 4
    """Answers drawn a prompt where a criterion looks at several."""
    system: str = ""
    """System message of every question; empty for none."""
    questions: WordSet = field(default_factory=WordSet.read)
    """What judges are asked of answers, and the model under test beside plain prompts."""
    concurrency: int = 8
    progress: Progress = field(default_factory=Progress)
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> items of this criterion that came to nothing; emptied before each criterion."""
    _failures: Failures = field(default_factory=Failures)

    # -- what is asked about

    def drawn(self, items: Iterable[T], name: str = "") -> list[T]:
        """At most `limit` of the items, drawn by the seed; in their own order, the same in every run.

        A larger limit draws these and more, so that a larger run takes up all calls of a smaller one.
        """
        return draw(list(items), self.limit, self.seed, name)

    def drawn_evenly(self, groups: Mapping[str, Sequence[T]]) -> dict[str, list[T]]:
        """At most `limit` of all the groups' items together, of each group as many as of the others where it has them.

        A group that gets none is left out. A larger limit draws these and more.
        """
        return draw_evenly(groups, self.limit, self.seed)

    def data_file(self, name: str) -> Path:
        """The file of this name in `--data`: `NAME.jsonl` or `NAME.jsonl.gz`.

        Raises:
            CannotRun: there is no `--data`, or no such file in it.
        """
        if self.data is None:
            raise CannotRun(f"it needs --data DIR with `{name}.jsonl` in it")
        for ending in _ENDINGS:
            path = self.data / f"{name}{ending}"
            if path.is_file():
                return path
        raise CannotRun(f"`{self.data}` holds no `{name}.jsonl` or `{name}.jsonl.gz`")

    def find_set(self, name: str) -> CheckSet | None:
        """The labelled set (harmful, safe) of this name in `--data`, or None where there is none.

        Raises:
            LabelError: the file is damaged.
        """
        try:
            return read_set(self.data_file(name))
        except CannotRun:
            return None

    # -- asking

    async def each(self, items: Sequence[T], work: Callable[[T], Coroutine[Any, Any, Came]]) -> list[Came]:
        """`work` of every item, `concurrency` at a time; in the order of the items.

        Items that a model cannot answer are left out, and counted in `left_out`: one of them must not end the run. A
        model that answers nothing must.

        Raises:
            BudgetSpent: no further call may be made.
            ModelConfigError: no call can succeed.
            ModelError: nothing answers, or call after call fails.
        """
        found: list[tuple[int, Came]] = []
        todo = iter(enumerate(items))
        self.progress.done, self.progress.total = 0, len(items)

        async def keep_going() -> None:
            for place, item in todo:
                try:
                    found.append((place, await work(item)))
                    self._failures.end()
                except _Nothing as nothing:
                    self.left_out[str(nothing)] += 1
                self.progress.done += 1

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.concurrency, len(items))):
                    group.create_task(keep_going())
        except BaseExceptionGroup as failed:
            raise cause(failed) from None
        return [came for _, came in sorted(found, key=lambda pair: pair[0])]

    async def answer(
        self,
        messages: Sequence[Message] | str,
        *,
        about: str,
        sample: int = 0,
        sampling: Sampling | None = None,
        system: str | None = None,
    ) -> Answer:
        """What the model under test answers. To be called within `each`.

        Args:
            messages: the conversation, or what the user says.
            about: id of the item, for the store.
            sample: number of the answer, where several are drawn.
            sampling: how it is drawn, where not as all are; its seed is passed over.
            system: the system message, where it is not that of all questions.

        Raises:
            BudgetSpent, ModelError: see `each`.
        """
        turns = self._turns(messages, system)
        said = "\0".join(f"{turn.role}:{turn.content}" for turn in turns)
        seed = seed_of(self.seed, "answer", said.encode("utf-8", "surrogatepass").hex(), sample)
        reply = await self._asked("answerer", "answer", turns, about, seed, sampling or self.sampling, None, 0)
        return Answer.of(reply)

    async def letter(self, messages: Sequence[Message], *, about: str) -> Reply:
        """What the model under test replies where a letter is asked for: the likeliest few tokens, with
        log-probabilities where it gives them. To be called within `each`.

        Raises:
            BudgetSpent, ModelError: see `each`.
        """
        sampling = Sampling(0.0, max_tokens=_LETTER_TOKENS)
        seed = seed_of(self.seed, "letter")
        return await self._asked("answerer", "letter", self._turns(messages, None), about, seed, sampling, None, TOP)

    def _turns(self, messages: Sequence[Message] | str, system: str | None) -> tuple[Message, ...]:
        turns = (Message("user", messages),) if isinstance(messages, str) else tuple(messages)
        told = self.system if system is None else system
        if told and (not turns or turns[0].role != "system"):
            return (Message("system", told), *turns)
        return turns

    @property
    def has_judge(self) -> bool:
        """Whether there is a judge."""
        return self.caller.has("judge")

    async def ask_judge(
        self,
        messages: Sequence[Message],
        *,
        about: str,
        stage: str,
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
        logprobs: int = 0,
        attempt: int = 0,
    ) -> Reply:
        """What the judge answers: at temperature 0, but where `sampling` says otherwise. To be called within `each`.

        Raises:
            CannotRun: there is no judge.
            BudgetSpent, ModelError: see `each`.
        """
        if not self.has_judge:
            raise CannotRun("there is no judge: give --judge")
        seed = seed_of(self.seed, "judge", stage, attempt)
        sampling = sampling or Sampling(0.0, max_tokens=300)
        return await self._asked("judge", stage, tuple(messages), about, seed, sampling, schema, logprobs)

    async def grade(self, rule: Rule, conversation: Sequence[Message], answer: str, *, about: str) -> Grade | None:
        """The judge's grade of an answer under a rule; None where its replies cannot be read."""
        messages = grade_messages(self.words(conversation), rule, conversation, answer)
        for attempt in range(_TRIES):
            reply = await self.ask_judge(messages, about=about, stage="grade", schema=GRADE_SCHEMA, attempt=attempt)
            grade = read_grade(reply.text)
            if grade is not None:
                return grade
        return None

    async def verdict(self, conversation: Sequence[Message] | str, answer: str | None) -> Verdict:
        """The gate's word on an answer, or without one on the last message.

        Raises:
            EvaluationError: a detector failed; what it did not see must not count as clean.
        """
        verdict = await self.gate.ajudge(Exchange.of(conversation, answer))
        for detector, what in verdict.coverage.degraded.items():
            raise EvaluationError(f"the gate's detector `{detector}` failed: {what}", "mend it and run again")
        return verdict

    def words(self, conversation: Sequence[Message] | str) -> Templates:
        """The templates in the language of a conversation's last message."""
        text = conversation if isinstance(conversation, str) else conversation[-1].content
        return self.templates.of(language_of(text))

    async def _asked(
        self,
        role: Any,
        stage: str,
        messages: tuple[Message, ...],
        about: str,
        seed: int,
        sampling: Sampling,
        schema: Mapping[str, Any] | None,
        logprobs: int,
    ) -> Reply:
        calls: list[Call] = []
        try:
            return await self.caller.ask(
                role,
                stage,
                messages,
                row=about,
                seed=seed,
                calls=calls,
                schema=schema,
                sampling=sampling,
                logprobs=logprobs,
            )
        except ModelConfigError:
            raise
        except ModelError as error:
            who = "the model" if role == "answerer" else "the judge"
            if isinstance(error, ContextTooLong):
                raise _Nothing(f"too long for {who}") from error
            if isinstance(error, ContentRefused):
                raise _Nothing(f"{who}'s provider refused to answer") from error
            self.progress.failed += 1
            self.progress.last_failure = error.what
            self._failures.count(error)
            raise _Nothing(f"{who} could not answer") from error


class _Nothing(Exception):
    """An item came to nothing; the text says why."""
