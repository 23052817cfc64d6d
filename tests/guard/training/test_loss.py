from __future__ import annotations

import math

import numpy as np
import pytest

from guard.training.loss import MARGIN, any_break, loss, wanted
from guard.training.rows import Row

PLACES = {"theft": 0, "fire": 1, "fraud": 2}


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def row(harmful, *rules, pair=None, weight=1.0):
    return Row("text", harmful, "source", rules=rules, pair=pair, weight=weight)


def value(torch, logits, *rows):
    return float(loss(torch.tensor(logits, dtype=torch.float32), wanted(rows, PLACES)))


def test_labels_name_the_known_rules_and_find_the_twins_that_stand_together(torch):
    rows = [row(True, "theft", "fire", pair="a"), row(False, pair="b"), row(True, "unknown"), row(False, pair="a")]
    labels = wanted(rows, PLACES)
    assert labels.harmful.tolist() == [1, 0, 1, 0]
    assert labels.named == [0]
    assert (labels.elsewhere == 0).tolist() == [[True, True, False]]
    assert labels.twins == [(3, 0)], "harmless first; the twin of b is not in the batch"


def test_a_wrong_answer_costs_more_than_a_right_one(torch):
    harmful, safe = row(True, "theft"), row(False)
    assert value(torch, [[4, -4, -4]], harmful) < value(torch, [[-4, -4, -4]], harmful)
    assert value(torch, [[-4, -4, -4]], safe) < value(torch, [[4, -4, -4]], safe)


def test_naming_another_rule_costs_more_than_naming_the_right_one_or_one_of_several(torch):
    right, wrong = [[4, -4, -4]], [[-4, 4, -4]]
    assert value(torch, right, row(True, "theft")) < value(torch, wrong, row(True, "theft"))
    assert value(torch, right, row(True, "theft", "fire")) == pytest.approx(
        value(torch, wrong, row(True, "theft", "fire"))
    )
    assert value(torch, right, row(True)) == pytest.approx(value(torch, wrong, row(True)))


def test_twins_in_one_batch_are_ranked(torch):
    twins = row(True, pair="a"), row(False, pair="a")
    strangers = row(True, pair="a"), row(False, pair="b")
    alike = [[0, -9, -9], [0, -9, -9]]
    ranked = [[MARGIN, -9, -9], [-MARGIN, -9, -9]]
    gain = value(torch, alike, *twins) - value(torch, ranked, *twins)
    assert gain > value(torch, alike, *strangers) - value(torch, ranked, *strangers)
    # The slope towards ranking them goes up with the harmful one and down with its twin, the same for both.
    logits = torch.zeros(2, 3, requires_grad=True)
    (loss(logits, wanted(twins, PLACES)) - loss(logits, wanted(strangers, PLACES))).backward()
    assert logits.grad[0].sum() == pytest.approx(-float(logits.grad[1].sum()))
    assert logits.grad[0].sum() < 0


def test_a_row_of_less_weight_pulls_less(torch):
    light, heavy = (value(torch, [[3, 0, 0]], row(False, weight=weight)) for weight in (0.25, 1.0))
    assert light == pytest.approx(heavy / 4)


def test_the_logit_of_any_break_is_that_of_the_run_time(torch):
    from guard.trained.scoring import any_logit

    logits = np.random.default_rng(1).normal(size=(20, 5), scale=4).astype(np.float32)
    assert np.allclose(any_break(torch.from_numpy(logits)), any_logit(logits), atol=1e-4)


def test_the_loss_is_a_number_whatever_the_logits(torch):
    rows = [row(True, "theft", pair="a"), row(False, pair="a")]
    for size in (1e4, -1e4):
        assert math.isfinite(value(torch, [[size, -size, 0], [-size, size, 0]], *rows))


def test_it_falls_on_a_toy_problem(torch):
    rows = [row(True, "theft", pair="a"), row(False, pair="a"), row(True, "fire", pair="b"), row(False, pair="b")]
    labels = wanted(rows, PLACES)
    features = torch.eye(4)
    torch.manual_seed(1)
    head = torch.nn.Linear(4, 3)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.3)
    first = loss(head(features), labels).item()
    for _ in range(60):
        optimizer.zero_grad()
        found = loss(head(features), labels)
        found.backward()
        optimizer.step()
    assert found.item() < first / 3
    logits = head(features)
    assert logits[0].argmax() == PLACES["theft"]
    assert logits[2].argmax() == PLACES["fire"]
    assert (any_break(logits) > 0).tolist() == [True, False, True, False]
