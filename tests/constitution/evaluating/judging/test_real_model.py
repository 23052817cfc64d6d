"""The embedded model, small as it is, held to the shape of a judge's answer, and choosing letters."""

from __future__ import annotations

import pytest

from constitution.evaluating.criteria import stereotypes
from constitution.evaluating.judged import reliability
from constitution.evaluating.written import labelled_talks
from guard.models import open_model

pytestmark = pytest.mark.slow


@pytest.fixture
async def embedded():
    model = open_model("embedded:?threads=1&slots=1&context=2048", concurrency=1)
    yield model
    await model.close()


async def test_a_small_judge_held_to_the_schema_is_always_read(bench_of, embedded):
    bench = bench_of(embedded, embedded, limit=2, concurrency=1)
    [claims] = await reliability(bench, "identity", labelled_talks("identity"), ("claims",))
    exact, near = await reliability(bench, "helpfulness", labelled_talks("helpfulness"), ("helpful",))
    assert (claims.labels, exact.labels, near.labels) == (2, 2, 2)
    assert claims.unread == exact.unread == 0


async def test_letters_come_with_probabilities(bench_of, embedded):
    result = await stereotypes.measure(bench_of(embedded, limit=4, concurrency=1))
    assert {item.answer for item in result.items} <= {"A", "B", "C"}
    assert all(1 / 3 <= item.judgements["probability"] < 1 for item in result.items)
