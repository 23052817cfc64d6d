"""How far what was said agrees with what people labelled: with its interval, beyond chance, and beside guessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from constitution.evaluating.criterion import Reliability
from guard.training.metrics import share


def agreement_of(
    of: str,
    labels: Sequence[object],
    said: Sequence[object],
    *,
    by: str = "judge",
    flips: float | None = None,
    agrees: Callable[[object, object], bool] | None = None,
    weights: Literal["linear", "quadratic"] | None = None,
) -> Reliability | None:
    """Compare what was said with labels, one a case; None where nothing said can be compared.

    Args:
        of: the question.
        labels: what people say.
        said: what the judge says; None where that could not be read.
        by: who said it.
        flips: share of cases where the order decides, where it compares.
        agrees: whether a label and a word agree, where they need not be the same; there is no kappa then.
        weights: of kappa, where labels are grades: how much more two count that lie further apart.
    """
    pairs = [(label, word) for label, word in zip(labels, said, strict=True) if word is not None]
    same = agrees or (lambda label, word: label == word)
    found = share(sum(same(label, word) for label, word in pairs), len(pairs))
    if found is None:
        return None
    guesses = {label for label, _ in pairs}
    return Reliability(
        of=of,
        by=by,
        labels=len(pairs),
        agreement=found.value,
        low=found.low,
        high=found.high,
        kappa=None if agrees else _kappa(pairs, weights),
        baseline=max(sum(same(label, guess) for label, _ in pairs) for guess in guesses) / len(pairs),
        unread=len(labels) - len(pairs),
        flips=flips,
    )


def _kappa(pairs: Sequence[tuple[object, object]], weights: str | None) -> float | None:
    """Source: Cohen 1960, doi:10.1177/001316446002000104."""
    from sklearn.metrics import cohen_kappa_score

    labels, said = zip(*pairs, strict=True)
    if len({*labels, *said}) < 2:
        return None
    known = list(range(1, 6)) if weights else None
    return float(cohen_kappa_score(list(labels), list(said), labels=known, weights=weights))
