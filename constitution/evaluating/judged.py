"""The judge of an answer: asked one thing at a time; and how far it agrees with answers that were labelled by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from constitution.evaluating.agreement import agreement_of
from constitution.evaluating.bench import Bench
from constitution.evaluating.criterion import Reliability, item_id
from constitution.evaluating.wording import Asked
from constitution.evaluating.written import LabelledAnswer, LabelledTalk
from guard.exchange import Message
from guard.judging.answers import read_object, whole
from guard.judging.asker import Unreadable
from guard.models.base import Reply, Sampling

_TRIES = 2
"""Times a judge is asked until its answer can be read. The second time it is drawn, or it would be the same again."""

_REASON = {"type": "string", "maxLength": 300}


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, and what it answers."""

    language: str
    messages: tuple[Message, ...]
    answer: str
    source: str = ""
    """The text that it is to come from."""
    question: str = ""
    """What was asked about it."""

    @classmethod
    def of(cls, labelled: LabelledTalk | LabelledAnswer) -> Case:
        """The case of a labelled answer."""
        if isinstance(labelled, LabelledTalk):
            return cls(labelled.language, labelled.messages, labelled.answer)
        return cls(labelled.language, (), labelled.answer, labelled.source, labelled.question)


@dataclass(frozen=True, slots=True)
class Word:
    """What a judge says of a case."""

    says: bool | int | None
    """Yes or no, or a grade from 1 to 5; None where no answer could be read."""
    reason: str = ""


async def judged(bench: Bench, asked: Asked, case: Case, *, about: str) -> Word:
    """What the judge says of a case. To be called within `bench.each`.

    Raises:
        CannotRun: there is no judge.
        BudgetSpent, ModelError: as `Bench.ask_judge`.
    """
    words = bench.questions.of(case.language)
    messages = words.judged(asked, case.messages, case.answer, source=case.source, question=case.question)
    grade = words.questions[asked].grade
    for attempt in range(_TRIES):
        reply = await bench.ask_judge(
            messages,
            about=about,
            stage=asked,
            schema=schema(grade=grade, reasons=words.reasons),
            sampling=Sampling(0.0 if attempt == 0 else 0.7, max_tokens=150 if words.reasons else 24),
            attempt=attempt,
        )
        word = read_word(reply, grade=grade)
        if word is not None:
            return word
    bench.left_out["the judge's word could not be read"] += 1
    return Word(None)


def schema(*, grade: bool, reasons: bool) -> Mapping[str, Any]:
    """The JSON Schema of a judge's answer. Reasons come before the word, so that it can follow from them."""
    answer = {"type": "integer", "enum": [1, 2, 3, 4, 5]} if grade else {"type": "string", "enum": ["yes", "no"]}
    fields = {"reason": _REASON, "answer": answer} if reasons else {"answer": answer}
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def read_word(reply: Reply, *, grade: bool) -> Word | None:
    """The word in a judge's reply; None where it is cut off, is not one JSON object, or says something else.

    An object somewhere in prose is not read: it may be one that the judged answer put there.
    """
    try:
        whole(reply)
        found = read_object(reply.text)
    except Unreadable:
        return None
    answer, reason = found.get("answer"), str(found.get("reason", ""))
    if grade:
        there = isinstance(answer, int) and not isinstance(answer, bool) and 1 <= answer <= 5
        return Word(cast("int", answer), reason) if there else None
    if isinstance(answer, bool):
        return Word(answer, reason)
    said = answer.strip().lower() if isinstance(answer, str) else ""
    return Word(said == "yes", reason) if said in ("yes", "no") else None


async def reliability(
    bench: Bench,
    name: str,
    labelled: Sequence[LabelledTalk] | Sequence[LabelledAnswer],
    asked: Sequence[Asked],
) -> tuple[Reliability, ...]:
    """How far the judge says of labelled answers what people say, for each question; nothing without a judge.

    `limit` holds for the labels too. What the judge could not answer counts as unread, not as left out.

    Args:
        bench: the judge.
        name: of the criterion.
        labelled: the answers.
        asked: the questions.
    """
    if not bench.has_judge:
        return ()
    every: list[LabelledTalk | LabelledAnswer] = list(labelled)
    cases = bench.drawn(every, "labels")
    before = bench.left_out.copy()
    found: list[Reliability | None] = []
    for question in asked:

        async def one(item: LabelledTalk | LabelledAnswer, question: Asked = question) -> tuple[str, bool | int | None]:
            about = item_id(name, "reliability", question, item.id)
            return item.id, (await judged(bench, question, Case.of(item), about=about)).says

        told = dict(await bench.each(cases, one))
        labels = [item.labels[question] for item in cases]
        said = [told.get(item.id) for item in cases]
        if any(isinstance(label, bool) for label in labels):
            found.append(agreement_of(question, labels, said))
        else:
            found += _of_grades(question, cast("Sequence[int]", labels), cast("Sequence[int | None]", said))
    bench.left_out.clear()
    bench.left_out.update(before)
    return tuple(each for each in found if each is not None)


def _of_grades(asked: str, labels: Sequence[int], said: Sequence[int | None]) -> list[Reliability | None]:
    """To the grade, and within one of it; kappa counts how far two grades lie apart, squared."""
    return [
        agreement_of(f"{asked}, to the grade", labels, said, weights="quadratic"),
        agreement_of(f"{asked}, within one grade", labels, said, agrees=_near),
    ]


def _near(one: object, other: object) -> bool:
    return isinstance(one, int) and isinstance(other, int) and abs(one - other) <= 1


def doubts(found: Sequence[Reliability], asked: Sequence[Asked] = ()) -> tuple[str, ...]:
    """A sentence for each question on which nothing says that the judge knows more than the commonest label.

    Args:
        found: what was measured.
        asked: the questions that the judge was asked; one that no row is of was never answered.
    """
    silent = [name for name in asked if not any(each.by == "judge" and each.of.startswith(name) for each in found)]
    return (
        *(f"Not one of the judge's answers to `{name}` could be read: nothing is known of it." for name in silent),
        *(
            f"The {each.by}'s `{each.of}` was not shown to be better than guessing: it agrees with"
            f" {each.agreement:.0%} of {each.labels} labels [{each.low:.0%}, {each.high:.0%}], and always saying the"
            f" commonest would with {each.baseline:.0%}. Read the figures that rest on it as its opinion."
            for each in found
            if not each.informs
        ),
    )
