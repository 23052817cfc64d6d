from __future__ import annotations

import numpy as np
import pytest

from guard.encoders import StaticEncoder
from guard.trained.sides import Side
from guard.training.clearing import MISS, clearing
from guard.training.rows import Row

VERBS = {True: ["hurt", "steal", "burn", "poison"], False: ["mend", "clean", "paint", "wash"]}
THINGS = "kettle ladder basket candle mirror pencil saddle blanket window bridge house car money".split()
PLACES = "kitchen garden station library harbour museum bakery stable".split()


def rows_of(labels, places):
    return [
        Row(f"how do i {verb} the {thing} in the {place}", bad, "a")
        for bad in labels
        for verb in VERBS[bad]
        for thing in THINGS
        for place in places
    ]


def vectors_of(rows):
    """What an encoder that reads well makes of them: one direction is harm."""
    vectors = np.zeros((len(rows), 4), np.float32)
    vectors[:, 0] = [1 if row.harmful else -1 for row in rows]
    return vectors


@pytest.fixture(scope="module")
def static(small_encoder, tmp_path_factory):
    return StaticEncoder(str(small_encoder), cache=tmp_path_factory.mktemp("static"))


@pytest.fixture
def cleared(static):
    side = Side(np.array([[6, 0, 0, 0]], np.float32), np.zeros(1, np.float32), threshold=0.9)
    triple = [
        rows_of((True, False), PLACES[:4]),
        rows_of((True, False), PLACES[4:6]),
        rows_of((False,), PLACES[6:]),
    ]
    return clearing(side, static, *((rows, vectors_of(rows)) for rows in triple), seed=7)


def test_most_harmless_texts_are_cleared_and_hardly_any_that_the_encoder_finds(cleared):
    figures = cleared.figures
    found = figures["found by the encoder, held out"]
    assert found == len(rows_of((True,), PLACES[4:6]))
    assert figures["of these cleared (missed)"] <= MISS * found
    assert figures["benign rows"] == len(rows_of((False,), PLACES[6:]))
    assert figures["share of benign rows cleared"] > 0.5
    assert figures["share of benign rows flagged with the tier"] == 0.0


def test_what_it_clears_is_what_the_figures_say(cleared, static):
    rows = rows_of((False,), PLACES[6:])
    logits = cleared.clear.logits(static.encode([row.text for row in rows]))
    share = round(float((logits < cleared.clear.below).mean()), 3)
    assert share == cleared.figures["share of benign rows cleared"]


def test_where_the_encoder_finds_nothing_nothing_is_cleared(static):
    side = Side(np.array([[6, 0, 0, 0]], np.float32), np.zeros(1, np.float32), threshold=1.1)
    rows = rows_of((True, False), PLACES[:2])
    benign = rows_of((False,), PLACES[2:3])
    made = clearing(side, static, *((each, vectors_of(each)) for each in (rows, rows, benign)), seed=7)
    assert made.figures["found by the encoder, held out"] == 0
    assert made.figures["share of benign rows cleared"] == 0.0
