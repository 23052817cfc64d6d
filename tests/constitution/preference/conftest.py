"""A judge with a known taste and a known leaning to the place, in a store of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from constitution.calls import Caller, Meter
from constitution.preference.contest import Contest
from constitution.preference.match import Matches
from constitution.preference.settings import Settings
from constitution.preference.store import OutcomeStore
from constitution.preference.templates import WordingSet
from constitution.prompt import prompt_id
from constitution.row import Source
from guard.exchange import Message
from guard.models.base import Ask, Reply, Sampling, TokenLogprob, Usage
from rules.schema import Constitution

SHOWN = re.compile(r"<answer_a>\n(.*?)\n</answer_a>.*<answer_b>\n(.*?)\n</answer_b>", re.DOTALL)

ALONE = re.compile(r"<answer>\n(.*?)\n</answer>", re.DOTALL)


def odds_of(probability: float) -> float:
    return math.log(probability / (1 - probability))


class Taster:
    """Likes an answer by the stars in it, and leans to the one shown as A by `lean`, both in log-odds. Asked about one
    answer alone it leans to yes."""

    local = True

    def __init__(self, lean: float = 0.0, *, mute: bool = False, says: Callable[[Ask], Reply | None] | None = None):
        self.identity = f"taster, {lean}"  # two that lean differently share no answers
        self.lean = lean
        self.mute = mute
        self.says = says or (lambda _: None)
        self.asks: list[Ask] = []

    async def chat(self, ask: Ask) -> Reply:
        self.asks.append(ask)
        said = self.says(ask)
        if said is not None:
            return said
        asked = "\n".join(message.content for message in ask.messages)
        shown, alone = SHOWN.search(asked), ALONE.search(asked)
        one, two = ("A", "B") if shown else ("Yes", "No")
        if shown:
            a, b = (text.count("*") for text in shown.groups())
        else:
            assert alone is not None
            a, b = alone[1].count("*"), 1
        chance = 1 / (1 + math.exp(-(a - b + self.lean)))
        word = one if chance > 0.5 else two
        if self.mute:
            seed = ask.sampling.seed or 0
            word = one if seed % 1000 < 1000 * chance else two
            return Reply(word, usage=Usage(10, 1))
        spelt = f" {one.lower()}"
        top = {one: math.log(0.6 * chance), spelt: math.log(0.3 * chance), two: math.log(0.9 * (1 - chance))}
        return Reply(word, usage=Usage(10, 1), logprobs=(TokenLogprob(word, top[word], top),))

    async def close(self) -> None:
        """Nothing to let go of."""


def contest(*answers: str, **changes: Any) -> Contest:
    """A contest of these answers."""
    messages = (Message("user", changes.pop("prompt", "How do I look after a plant in the shade?")),)
    told = (*messages, *(Message("assistant", answer) for answer in answers))
    fields = {"id": prompt_id(told), "messages": messages, "source": Source(file="pairs.jsonl", line=1)}
    return Contest(**{**fields, "answers": answers, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OutcomeStore]:
    """An empty store."""
    with closing(OutcomeStore(tmp_path)) as opened:
        yield opened


@pytest.fixture
def matches(store: OutcomeStore, sample_constitution: Constitution, tmp_path: Path) -> Callable[..., Matches]:
    """Makes what holds contests, over a judge, with settings."""

    def make(judge: Any, made: str = "m", **changes: Any) -> Matches:
        settings = Settings(sources=("x",), out=tmp_path, models={"judge": "taster"}, **changes)
        models = {"judge": judge, "answerer": judge}
        caller = Caller(models, dict.fromkeys(models, Sampling()), store, Meter())
        return Matches(
            sample_constitution, WordingSet.read(), caller, settings, made=made, models={"judge": judge.identity}
        )

    return make
