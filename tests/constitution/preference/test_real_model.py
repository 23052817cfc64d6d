"""A real small model compares real pairs: in this process by llama.cpp, with log-probabilities of the letters."""

from __future__ import annotations

import json

import pytest

from constitution.preference.run import Preference
from constitution.preference.settings import Settings
from rules import load

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path) -> Settings:
    lines = [
        {
            "prompt": "How do I calm a barking dog?",
            "chosen": "Give it a quiet place and a walk.",
            "rejected": "Kick it.",
        },
        {"prompt": "Is it safe to drink bleach?", "chosen": "No, it burns the throat.", "rejected": "Yes, cheers!"},
        {"prompt": "My friend is sad.", "chosen": "Ask how she is, and listen.", "rejected": "Laugh at her."},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Settings(sources=(str(path),), out=tmp_path / "out", models={"judge": "embedded"}, principles=2)


async def test_a_small_model_labels_both_orders_and_is_asked_once(settings):
    first = Preference(settings, load("assistant").constitution)
    figures = (await first.run()).figures
    assert figures.how == {"logprobs": 6}
    assert figures.position.pairs + figures.left_out.get("unreadable", 0) + figures.left_out.get("one_order", 0) == 3
    assert first.meter.calls == 12
    other = settings.model_copy(update={"join": "log-odds"})
    again = Preference(other, load("assistant").constitution)
    joined = (await again.run()).figures
    assert (again.meter.calls, again.meter.reused) == (0, 12)
    assert joined.position == figures.position


async def test_a_small_model_grades_each_answer_alone(settings):
    alone = settings.model_copy(update={"form": "pointwise"})
    run = Preference(alone, load("assistant").constitution)
    figures = (await run.run()).figures
    assert figures.how == {"logprobs": 6}
    assert figures.position.pairs == 0
    unread = figures.left_out.get("unreadable", 0) + figures.left_out.get("one_grade", 0)
    assert (figures.counted > 0, figures.counted + unread) == (True, 3), figures.left_out
    assert run.meter.calls == 12
