"""The static tier's heads: taught by what the encoder makes of the same texts, and held to what they may miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from guard.encoders import Adapter, Encoder, EncoderError
from guard.encoders.static import StaticEncoder
from guard.trained.heads import Heads
from guard.trained.scoring import probability
from guard.trained.scripts import others
from guard.trained.sides import Clear, Side
from guard.training.batches import text_of
from guard.training.fit import clear_below, fit_clear
from guard.training.pool import Pool
from guard.training.rows import Row, by_side
from guard.training.settings import Told, Training
from guard.training.vectors import encode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags: TypeAlias = NDArray[np.bool_]
    Floats: TypeAlias = NDArray[np.float32]

ENOUGH = 20
"""Held-out harmful texts found by the encoder that a border may be set by alone."""

MISS = 0.02
"""Of what the encoder would find among held-out harmful texts, the share that the static tier may call clear."""


@dataclass(frozen=True)
class Cleared:
    """The static tier of one side, and what it does on held-out rows."""

    clear: Clear
    figures: dict[str, object]


def with_static(
    what: Training,
    heads: Heads,
    encoder: Encoder,
    adapter: Adapter | None,
    pool: Pool,
    held_out: Mapping[str, Floats],
    told: Told,
) -> Heads:
    """The heads with a static tier before them, and what it misses in the card.

    Args:
        what: settings.
        heads: with their thresholds.
        encoder: what the heads judge by.
        adapter: of the encoder.
        pool: the rows.
        held_out: side -> vectors of the pool's rows to choose by, which calibration has made already.
        told: called with a line a side.
    """
    try:
        static = StaticEncoder(what.encoder, adapter=adapter)
    except EncoderError as error:  # not every encoder can be distilled, and heads do without
        told(f"no static tier: {error.what}")
        return heads
    taught, chosen_by, benign = (by_side(rows) for rows in (pool.teach, pool.choose, pool.calibrate))
    tiers, figures = {}, {}
    for name, side in heads.sides.items():
        if not (taught.get(name) and chosen_by.get(name) and benign.get(name)):
            continue
        teach = taught[name], encode(encoder, taught[name])
        harmless = benign[name], encode(encoder, benign[name])
        made = clearing(side, static, teach, (chosen_by[name], held_out[name]), harmless, what.how.seed)
        tiers[name], figures[name] = made.clear, made.figures
        told(f"static tier, {name}: {made.figures}")
    return replace(heads, static=tiers or None, card={**heads.card, "static": figures})


def clearing(
    side: Side,
    encoder: StaticEncoder,
    taught: tuple[Sequence[Row], Floats],
    held_out: tuple[Sequence[Row], Floats],
    benign: tuple[Sequence[Row], Floats],
    seed: int,
) -> Cleared:
    """The static tier's heads of one side.

    Args:
        side: the encoder's heads, with their threshold.
        encoder: the static encoder.
        taught: rows taught, with the encoder's vectors, (n, dim).
        held_out: rows of held-out pairs, with vectors.
        benign: held-out benign rows, with vectors.
        seed: of the first weights.
    """
    import numpy as np

    rows, vectors = taught
    # What the encoder finds needs a look whatever the label says, and so does what is harmful and not yet found.
    wanted = np.maximum(_probability(side, vectors, rows), np.array([0.6 * row.harmful for row in rows]))
    weights = np.array([row.weight for row in rows])
    clear = fit_clear(_static(encoder, rows), wanted.astype(np.float32), weights.astype(np.float32), seed)
    logits = clear.logits(_static(encoder, held_out[0]))
    found = _found(side, held_out)
    to_keep = logits[found]
    if len(to_keep) < ENOUGH:  # too few to set a border by: what was taught has to be kept as well
        to_keep = np.concatenate([to_keep, clear.logits(_static(encoder, rows))[_found(side, taught)]])
    clear = replace(clear, below=clear_below(to_keep, MISS))
    harmless = clear.logits(_static(encoder, benign[0])) < clear.below
    flagged = _probability(side, benign[1], benign[0]) >= side.threshold
    return Cleared(
        clear,
        {
            "found by the encoder, held out": int(found.sum()),
            "of these cleared (missed)": int((logits[found] < clear.below).sum()),
            "benign rows": len(benign[0]),
            "share of benign rows cleared": round(float(harmless.mean()), 3) if len(harmless) else 0.0,
            "share of benign rows flagged with the tier": round(float((flagged & ~harmless).mean()), 4),
        },
    )


def _found(side: Side, texts: tuple[Sequence[Row], Floats]) -> Flags:
    """(n,) which harmful rows the encoder's heads find."""
    import numpy as np

    rows, vectors = texts
    return np.asarray((_probability(side, vectors, rows) >= side.threshold) & np.array([row.harmful for row in rows]))


def _static(encoder: StaticEncoder, rows: Sequence[Row]) -> Floats:
    from guard.detectors.static import WINDOW

    return encoder.encode([text_of(row)[:WINDOW] for row in rows])


def _probability(side: Side, vectors: Floats, rows: Sequence[Row]) -> Floats:
    return probability(side, side.logits(vectors), others([row.text for row in rows]))
