"""Whether an answer breaks a rule, by the gate and by the judge; and how far each agrees with the rules' own tests."""

from __future__ import annotations

from dataclasses import dataclass

from constitution.evaluating.agreement import agreement_of
from constitution.evaluating.bench import Bench
from constitution.evaluating.criterion import Reliability, item_id
from guard.exchange import Message
from rules.schema import Part, Rule


@dataclass(frozen=True, slots=True)
class _Case:
    rule: Rule
    messages: tuple[Message, ...]
    answer: str
    breaks: bool


async def grade_reliability(bench: Bench) -> tuple[Reliability, ...]:
    """How far gate and judge agree with the rules' `tests` of answers, which people wrote and the gate was not taught.

    Of the gate: rules that it looks for in answers. `limit` holds for these labels too.
    """
    cases = bench.drawn(_cases(bench))
    unseen = bench.gate.plan((Part.RESPONSE,), {}).coverage.not_scanned

    async def one(case: _Case) -> tuple[_Case, bool | None, bool | None]:
        gate = None
        if case.rule.id not in unseen:
            gate = case.rule.id in (await bench.verdict(case.messages, case.answer)).broken
        judge = None
        if bench.has_judge:
            about = item_id("grade reliability", case.rule.id, case.answer)
            grade = await bench.grade(case.rule, case.messages, case.answer, about=about)
            judge = None if grade is None else grade.breaks
        return case, gate, judge

    told = await bench.each(cases, one)
    by_gate = [(case.breaks, gate) for case, gate, _ in told if case.rule.id not in unseen]
    by_judge = [(case.breaks, judge) for case, _, judge in told] if bench.has_judge else []
    of = "breaks"
    found = (
        agreement_of(of, [label for label, _ in by_gate], [said for _, said in by_gate], by="gate"),
        agreement_of(of, [label for label, _ in by_judge], [said for _, said in by_judge]),
    )
    return tuple(each for each in found if each is not None)


def _cases(bench: Bench) -> list[_Case]:
    found = []
    for rule in bench.constitution:
        for breaks, examples in ((True, rule.tests.breaks), (False, rule.tests.keeps)):
            for example in examples:
                turns = tuple(Message(turn.role, turn.content) for turn in example.messages)
                if example.part is Part.RESPONSE and len(turns) > 1:
                    found.append(_Case(rule, turns[:-1], turns[-1].content, breaks))
    return found
