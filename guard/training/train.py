"""All of teaching in order: rows, pool, encoder and heads, calibration, promise, static tier, card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from guard.encoders import Adapter, Encoder, open_encoder
from guard.encoders.torch import SentenceEncoder
from guard.trained.heads import Heads
from guard.trained.sides import Side
from guard.trained.teaching import teaching_digest
from guard.training.card import card_of
from guard.training.clearing import with_static
from guard.training.fit import fit, fit_few
from guard.training.gathering import gather_pool
from guard.training.pool import Pool
from guard.training.probabilities import FEWEST, UNREAD, calibrated, reads_others
from guard.training.rows import by_side
from guard.training.settings import Told, Training
from guard.training.thresholds import promised
from guard.training.tune import tune
from guard.training.vectors import encode


def train(what: Training, out: Path, told: Told = lambda line: None) -> Heads:
    """Teach heads and write their folder.

    Args:
        what: data and settings.
        out: folder; made where it is not there, written only when all else is done.
        told: called with lines of progress.

    Raises:
        LabelError: the data cannot be used.
        CalibrationError: the benign rows cannot carry the promise.
        EncoderError: the encoder cannot be loaded.
    """
    rules = what.rules
    pool = gather_pool(what)
    told(f"pool: {len(pool.teach):,} rows to teach, {len(pool.choose):,} to choose by, {len(pool.calibrate):,} benign")
    for why, count in pool.counts.items():
        told(f"left out: {count:,} rows, {why}")
    reference = SentenceEncoder(what.encoder, threads=what.how.threads)
    adapter: Adapter | None = None
    losses: list[float] = []
    if what.onto is not None:
        adapter = Adapter.load(what.onto.adapter) if what.onto.adapter else None
        encoder = open_encoder(what.encoder, adapter=adapter)
        sides = {
            side: fit_few(encode(encoder, rows), rows, rules, what.how.seed)
            for side, rows in by_side(pool.teach).items()
            if any(row.harmful for row in rows)
        }
    elif what.tuned:
        tuned = tune(reference, pool.teach, rules, what.how, told)
        adapter, sides, losses = tuned.adapter, tuned.sides, tuned.losses
        encoder = open_encoder(what.encoder, adapter=adapter)
    else:
        encoder = open_encoder(what.encoder)
        sides = {
            side: fit(encode(encoder, rows), rows, rules, what.how.seed) for side, rows in by_side(pool.teach).items()
        }
    told(f"vectors by {encoder.backend}{''.join(f'; {note}' for note in encoder.notes)}")
    try:
        finish(what, pool, encoder, Taught(sides, adapter, reference.base, losses), out, told)
    finally:
        encoder.close()
    return Heads.load(out)


@dataclass(frozen=True)
class Taught:
    """Heads before they are calibrated."""

    sides: Mapping[str, Side]
    adapter: Adapter | None
    encoder: str
    """Digest of the encoder's weights, before the adapter."""
    losses: Sequence[float]


def finish(what: Training, pool: Pool, encoder: Encoder, taught: Taught, out: Path, told: Told) -> None:
    """Calibrate heads, set their thresholds, put the static tier before them, and write their folder."""
    rules = what.rules
    sides = dict(taught.sides)
    adapter = taught.adapter
    chosen_by = by_side(pool.choose)
    held_out = {side: encode(encoder, rows) for side, rows in chosen_by.items()}
    figures: dict[str, object] = {}
    for side, raw in taught.sides.items():
        rows = chosen_by.get(side, [])
        if len({row.harmful for row in rows}) < 2:
            told(f"{side}: no held-out pairs, so that scores rank and are no probabilities")
            continue
        if what.onto is not None and sum(row.harmful for row in rows) < FEWEST:
            told(f"{side}: {len(rows)} held-out rows are too few to calibrate by: scores rank and are no probabilities")
            continue
        sides[side], figures[side] = calibrated(raw, held_out[side], rows, rules)
        if what.onto is not None and not reads_others(raw, held_out[side], rows, by_side(pool.calibrate).get(side, [])):
            sides[side] = replace(sides[side], other=UNREAD)
            told(f"{side}: texts in other scripts than the Latin one are left to patterns and a judge")
        told(f"{side}: held-out pairs {figures[side]}")
    card = card_of(what, pool, taught.losses, figures)
    digests = {rule.id: teaching_digest(rule) for rule in what.constitution if rule.id in rules}
    heads = Heads(tuple(rules), digests, taught.encoder, sides, card)
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "heads"
        heads.save(saved, None if what.onto else _saved(adapter, Path(scratch)))
        heads = Heads.load(saved)
        heads = promised(what, heads, encoder, pool.calibrate, told)
        heads = with_static(what, heads, encoder, adapter, pool, held_out, told)
        heads.save(out)


def _saved(adapter: Adapter | None, folder: Path) -> Path | None:
    if adapter is None:
        return None
    adapter.save(folder / "adapter.safetensors")
    return folder / "adapter.safetensors"
