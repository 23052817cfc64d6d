"""The revisions of one round: drawn together, checked one by one, and the best that passes.

Ranking candidates after unsafe ones are dropped follows LaMDA (Thoppilan et al. 2022, arXiv:2201.08239) and Sparrow
(Glaese et al. 2022, arXiv:2209.14375).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from constitution.checks import answer_faults, is_parroted, is_unchanged, still_quoted
from constitution.desk import Desk, broken, together
from constitution.draft import Draft
from constitution.judging import Grade
from constitution.revise import read_revision, revision_messages
from constitution.row import Candidate, Rejection
from guard.models.base import Reply
from guard.verdict import Verdict
from rules.schema import Critique, Rule

STILL_BROKEN = "still_broken"
"""The reason of a text that the gate finds broken: the one fault that a further round may mend."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision that was drawn, and what the checks say of it."""

    text: str
    finish: str
    verdict: Verdict
    fault: Rejection | None

    @property
    def candidate(self) -> Candidate:
        """As it is written down."""
        return Candidate(text=self.text, score=self.verdict.score, failed=self.fault.reason if self.fault else None)


async def draw(desk: Desk, draft: Draft, rule: Rule, critique: Critique, number: int, samples: int) -> list[Revision]:
    """Draw `samples` revisions of the answer as it stands, and check each."""
    messages = revision_messages(draft.templates, rule, draft.conversation, draft.standing, critique)
    replies = await together(
        *(desk.ask(draft, "reviser", f"revision {number}", messages, number, sample) for sample in range(samples))
    )
    return await together(*(_checked(desk, draft, rule, critique, reply) for reply in replies))


async def best(desk: Desk, draft: Draft, rule: Rule, revisions: Sequence[Revision]) -> Revision | None:
    """The revision to go on with; None where none is worth it.

    Of those that pass: the most helpful by the judge, if there is one, then the one with the lowest gate score. If none
    passes, one that only the gate still minds may be mended in the next round; any other fault will not mend itself.
    """
    passed = [revision for revision in revisions if revision.fault is None]
    hopeful = passed or [r for r in revisions if r.fault is not None and r.fault.reason == STILL_BROKEN]
    if len(hopeful) < 2 or not desk.has_judge:
        return min(hopeful, key=lambda revision: revision.verdict.score, default=None)
    grades = await together(*(desk.grade(draft, rule, revision.text) for revision in hopeful))
    return min(zip(hopeful, grades, strict=True), key=_rank)[0]


def _rank(graded: tuple[Revision, Grade | None]) -> tuple[bool, int, float]:
    revision, grade = graded
    bad = grade is None or grade.breaks or grade.evasive
    return bad, -(grade.helpful if grade else 0), revision.verdict.score


async def _checked(desk: Desk, draft: Draft, rule: Rule, critique: Critique, reply: Reply) -> Revision:
    text = read_revision(reply.text)
    verdict = await desk.judge(draft, text)
    return Revision(text, reply.finish, verdict, _fault(draft, rule, critique, text, reply.finish, verdict))


def _fault(draft: Draft, rule: Rule, critique: Critique, text: str, finish: str, verdict: Verdict) -> Rejection | None:
    fault = answer_faults(text, draft.question, draft.templates, finish=finish)
    if fault is not None:
        return fault
    shots = draft.templates.shots(rule, draft.templates.revision.shots, breaking=True)
    for reason, detail in (
        ("parroted", is_parroted(text, (shot.revision or "" for shot, _ in shots))),
        ("unchanged", is_unchanged(draft.standing, text)),
        ("still_quoted", still_quoted(critique.quotes, text)),
        (STILL_BROKEN, broken(verdict)),
    ):
        if detail is not None:
            return Rejection(stage="revision", reason=reason, detail=detail)
    return None
