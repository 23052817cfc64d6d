"""Sensibleness, specificity and interestingness of open conversation."""

from __future__ import annotations

from typing import cast

from constitution.evaluating.bench import Bench
from constitution.evaluating.criterion import Item, Need, Result, Unit, item_id, mean_of, measures, said
from constitution.evaluating.judged import Case, Word, doubts, judged, reliability
from constitution.evaluating.wording import Asked
from constitution.evaluating.written import Talk, labelled_talks, talks

NAME = "conversation"
TITLE = "Sensibleness, specificity, interestingness"
DEFINITION = """
The model goes on with open talks of several turns. Of each answer the judge says yes or no: is it `sensible` (makes
sense here, contradicts nothing), `specific` (belongs to this talk and not to most others), `interesting` (surprising,
witty, worth keeping). What makes no sense counts as neither specific nor interesting, and what is not specific as not
interesting, without being asked. Each figure is the share of yes over all answers; `ssi` is the mean of the three.
"""
SOURCE = """
Thoppilan et al. 2022 (LaMDA), arXiv:2201.08239, after Adiwardana et al. 2020 (Meena), arXiv:2001.09977, with people as
labellers. Here a judge labels, and the talks are this project's own, in English and Chinese.
"""
NEEDS: tuple[Need, ...] = ("judge",)

QUESTIONS: tuple[Asked, ...] = ("sensible", "specific", "interesting")
"""In this order: after the first no, the rest are no."""


async def measure(bench: Bench) -> Result:
    """See `DEFINITION`."""

    async def one(talk: Talk) -> Item:
        return await _item(bench, talk)

    items = tuple(await bench.each(bench.drawn(talks(NAME), NAME), one))
    found = await reliability(bench, NAME, labelled_talks(NAME), QUESTIONS)
    titles = {
        "ssi": "mean of the three",
        "sensible": "answers that make sense",
        "specific": "answers that are specific, and make sense",
        "interesting": "answers that are interesting, specific, and make sense",
    }
    units: dict[str, Unit] = {"ssi": "score"}
    return Result(
        measures=measures(
            *(
                mean_of(items, name, title, unit=units.get(name, "share"), better="higher", seed=bench.seed)
                for name, title in titles.items()
            )
        ),
        items=items,
        reliability=found,
        notes=doubts(found, QUESTIONS),
    )


async def _item(bench: Bench, talk: Talk) -> Item:
    name = item_id(NAME, talk.id, *talk.turns)
    answer = await bench.answer(talk.messages, about=name)
    words: dict[str, Word] = {}
    if answer.text and not answer.withheld:
        case = Case(talk.language, talk.messages, answer.text)
        for question in QUESTIONS:
            words[question] = await judged(bench, question, case, about=name)
            if not words[question].says:
                break
    return Item(
        id=name,
        about={"language": talk.language, "talk": talk.id},
        prompt=said(talk.messages),
        answer=answer.text,
        withheld=answer.withheld,
        judgements={
            **{question: word.says for question, word in words.items()},
            "reason": next((word.reason for word in reversed(words.values()) if word.reason), None),
        },
        values=_values(words, empty=not answer.text or answer.withheld),
        bad=not answer.text or any(word.says is False for word in list(words.values())[:1]),
    )


def _values(words: dict[str, Word], *, empty: bool) -> dict[str, float]:
    """What the answer adds; nothing from the first word on that could not be read. No answer is none of the three."""
    values: dict[str, float] = {}
    last: bool | None = not empty
    for question in QUESTIONS:
        if last:
            last = cast("bool | None", words[question].says)
        if last is None:
            return values
        values[question] = float(last)
    return {**values, "ssi": sum(values.values()) / len(QUESTIONS)}
