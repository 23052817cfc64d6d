"""Heads alone, on the vectors of an encoder that stays as it is: seconds instead of the minutes of tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from guard.trained.sides import Clear, Side
from guard.training.loss import loss, wanted
from guard.training.rows import Row
from guard.training.tune import SCALE, side_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

PASSES = 30
BATCH = 512
RATE = 3e-3

UNITS = 48
"""Of the static tier's hidden layer."""


def fit(vectors: Floats, rows: Sequence[Row], rules: Sequence[str], seed: int) -> Side:
    """Heads of one side.

    Args:
        vectors: (len(rows), dim), of length 1 each.
        rows: of that side.
        rules: ids, in the order of the heads.
        seed: of the order of the rows.
    """
    import numpy as np
    import torch

    torch.manual_seed(seed)
    head = torch.nn.Linear(vectors.shape[1], len(rules))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, -float(np.log(max(len(rules), 2))))
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=0.05)
    places = {rule: place for place, rule in enumerate(rules)}
    order = np.random.default_rng(seed)
    features = torch.from_numpy(np.ascontiguousarray(vectors)) * SCALE
    for _ in range(PASSES):
        shuffled = order.permutation(len(rows))
        for start in range(0, len(rows), BATCH):
            chosen = shuffled[start : start + BATCH].tolist()
            found = loss(head(features[chosen]), wanted([rows[place] for place in chosen], places))
            optimizer.zero_grad()
            found.backward()
            optimizer.step()
    return side_of(head)


STEPS = 300
FEW_RATE = 0.02
FEW_DECAY = 1.0
"""Chosen on held-out pairs: a twentieth of it learns the few texts by heart, and finds a third less of others."""
EMPHASIS = 4.0
"""What a pair of twins counts, beside an ordinary harmless row: of these there are many times as many."""


def fit_few(vectors: Floats, rows: Sequence[Row], rules: Sequence[str], seed: int) -> Side:
    """Heads of one side from few pairs: all rows at once, so that every text is held against its twin at every step.

    Args:
        vectors: (len(rows), dim), of length 1 each.
        rows: of that side.
        rules: ids, in the order of the heads.
        seed: of the first weights.
    """
    import numpy as np
    import torch

    torch.manual_seed(seed)
    head = torch.nn.Linear(vectors.shape[1], len(rules))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, -4.0 - float(np.log(max(len(rules), 2))))
    optimizer = torch.optim.AdamW(head.parameters(), lr=FEW_RATE, weight_decay=FEW_DECAY)
    features = torch.from_numpy(np.ascontiguousarray(vectors)) * SCALE
    emphasised = [replace(row, weight=row.weight * EMPHASIS) if row.pair or row.harmful else row for row in rows]
    labels = wanted(emphasised, {rule: place for place, rule in enumerate(rules)})
    for _ in range(STEPS):
        optimizer.zero_grad()
        found = loss(head(features), labels)
        found.backward()
        optimizer.step()
    return side_of(head)


def fit_clear(vectors: Floats, needs_look: Floats, weights: Floats, seed: int) -> Clear:
    """The static tier's heads on one side; what it calls clear is decided after, by `clear_below`.

    Args:
        vectors: (n, dim) of the static encoder.
        needs_look: (n,) from 0 to 1, how much a text needs the encoder: its label, or what the encoder makes of it.
        weights: (n,).
        seed: of the first weights and the order.
    """
    import numpy as np
    import torch

    torch.manual_seed(seed)
    first, last = torch.nn.Linear(vectors.shape[1], UNITS), torch.nn.Linear(UNITS, 1)
    model = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Dropout(0.2), last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    features, target, weight = (
        torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (vectors, needs_look, weights)
    )
    order = np.random.default_rng(seed)
    model.train()
    for _ in range(PASSES):
        shuffled = torch.from_numpy(order.permutation(len(vectors)))
        for start in range(0, len(vectors), BATCH):
            chosen = shuffled[start : start + BATCH]
            found = torch.nn.functional.binary_cross_entropy_with_logits(
                model(features[chosen])[:, 0], target[chosen], weight[chosen]
            )
            optimizer.zero_grad()
            found.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return Clear(
        first.weight.detach().numpy(),
        first.bias.detach().numpy(),
        last.weight.detach().numpy()[0],
        float(last.bias.detach()[0]),
        below=-1e9,
    )


def clear_below(logits: Floats, miss: float) -> float:
    """The logit under which a text is called clear, so that at most a share of what is to be found is cleared.

    Args:
        logits: (n,) of held-out texts that the encoder finds broken.
        miss: the share that may be lost, from 0 to 1.
    """
    import numpy as np

    if not len(logits):
        return -1e9
    return float(np.sort(logits)[int(miss * len(logits))])
