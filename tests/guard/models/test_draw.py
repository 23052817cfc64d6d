"""Drawing tokens row by row."""

from __future__ import annotations

import pytest

from guard.models._draw import Draw, RowState
from guard.models.base import ModelError, Sampling

SCORES = (2.0, 1.0, 0.0, -1.0)


def draw(*samplings: Sampling, scores: tuple[float, ...] = SCORES) -> list[int]:
    """One token a row, all rows with the same scores."""
    import torch

    rows = [RowState(sampling, 1, lambda: False) for sampling in samplings]
    out = Draw(rows, 0, str)(torch.zeros(len(rows), 1), torch.tensor([scores] * len(rows)))
    assert out.argmax(-1).tolist() == [row.ids[0] for row in rows]
    assert (out > float("-inf")).sum(-1).tolist() == [1] * len(rows)
    return [row.ids[0] for row in rows]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_softmax_says(temperature: float) -> None:
    import torch

    tokens = draw(*(Sampling(temperature=temperature, seed=seed) for seed in range(4000)))
    expected = torch.softmax(torch.tensor(SCORES) / temperature, -1)
    for token, chance in enumerate(expected.tolist()):
        assert tokens.count(token) / 4000 == pytest.approx(chance, abs=0.03)  # some four standard errors


def test_top_p_leaves_the_unlikely_tokens_out_and_keeps_the_proportions() -> None:
    # chances 0.64, 0.24, 0.09, 0.03: two tokens reach 0.7
    tokens = draw(*(Sampling(temperature=1.0, top_p=0.7, seed=seed) for seed in range(4000)))
    assert set(tokens) == {0, 1}
    assert tokens.count(0) / 4000 == pytest.approx(0.731, abs=0.03)


def test_greedy_and_sampled_rows_stand_in_one_batch() -> None:
    greedy = Sampling(temperature=0.0)
    hot = [Sampling(temperature=5.0, seed=seed) for seed in range(50)]
    tokens = draw(greedy, *hot, greedy)
    assert tokens[0] == tokens[-1] == 0
    assert set(tokens) == {0, 1, 2, 3}


def test_scores_that_are_not_numbers_are_an_error_not_an_answer() -> None:
    with pytest.raises(ModelError, match="not numbers"):
        draw(Sampling(temperature=0.0), scores=(1.0, float("nan"), 0.0, 0.0))
