"""All of teaching in order: rows, pool, encoder and heads, calibration, static tier, promise, card."""

from __future__ import annotations

import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from guard.detectors.base import Detector
from guard.encoders import Adapter, Encoder, EncoderError, open_encoder
from guard.encoders.static import StaticEncoder
from guard.encoders.torch import SentenceEncoder
from guard.exchange import Exchange
from guard.gate import Gate
from guard.trained.heads import ANSWERED, ASKED, Heads, Side, teaching_digest, words_of
from guard.trained.scoring import any_logit
from guard.trained.scripts import others
from guard.training.bank import bank_rows, pack_rows
from guard.training.batches import text_of
from guard.training.calibrate import CalibrationError, fit_platt, unsure_from
from guard.training.clearing import clearing
from guard.training.fit import fit, fit_few
from guard.training.pool import Pool, example_rows, pool_of
from guard.training.recipe import Recipe
from guard.training.rows import HARMFUL, SAFE, LabelError, Row, prompt_text, read_rows, source_of
from guard.training.sets import find_files, read_objects
from guard.training.traffic import promise, score_traffic
from guard.training.tune import Tuning, tune
from rules.digest import constitution_digest
from rules.schema import Constitution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags: TypeAlias = NDArray[np.bool_]
    Floats: TypeAlias = NDArray[np.float32]
    Scores: TypeAlias = NDArray[np.float64]

Told = Callable[[str], None]

_CHOSEN_OF_FEW = 0.2
"""The share of pairs held out where there are few of them: enough to calibrate by."""

_UNREAD = (0.0, -60.0)
"""The line of a script that heads do not judge: no text in it scores anything."""

_PROMISED = 100
"""Harmless rows of other scripts that a threshold has to have seen, to be used on such texts."""

_CHANCE = 0.65
"""AUC on a script's held-out pairs below which heads of few pairs are taken not to read it."""

_FEWEST = 8
"""Held-out harmful rows below which a line through them would mean nothing."""

ENOUGH = 20
"""Held-out rows of either label that a calibration of its own takes."""


@dataclass(frozen=True)
class Training:
    """What to teach with, and how."""

    constitution: Constitution
    data: Sequence[Path] = ()
    """Labelled files, or folders of them."""
    check: Sequence[Path] = ()
    """Files that will be measured on: nothing near one of their prompts is taught."""
    recipe: Recipe = field(default_factory=lambda: Recipe(only_named=False))
    bank: bool = True
    """Whether the twin bank that ships with the project is taught."""
    encoder: str = "default"
    tuned: bool = True
    """Whether the encoder learns too; without it heads alone are fitted, in seconds."""
    onto: Heads | None = None
    """Heads whose encoder is used as it was tuned for them; all rules are then ones that they do not know."""
    how: Tuning = field(default_factory=Tuning)
    budget: float = 0.01
    """The share of benign traffic that the whole gate may flag."""
    unsure: float = 0.05
    """The share of benign traffic that may be asked about by a dearer detector."""


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
    rules = _rules(what)
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
            for side, rows in _by_side(pool.teach).items()
            if any(row.harmful for row in rows)
        }
    elif what.tuned:
        tuned = tune(reference, pool.teach, rules, what.how, told)
        adapter, sides, losses = tuned.adapter, tuned.sides, tuned.losses
        encoder = open_encoder(what.encoder, adapter=adapter)
    else:
        encoder = open_encoder(what.encoder)
        sides = {
            side: fit(encode(encoder, rows), rows, rules, what.how.seed) for side, rows in _by_side(pool.teach).items()
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


def gather_pool(what: Training) -> Pool:
    """All rows, drawn, cleaned and split.

    Raises:
        LabelError: the data cannot be used, or hold one label only.
    """
    rules = _rules(what)
    if not rules:
        raise LabelError(
            "no rule is looked for by meaning, so there is no head to teach", "give rules with `detect: {}`"
        )
    chosen = 0.1 if what.onto is None else _CHOSEN_OF_FEW
    pool = pool_of(gather(what, rules), check_texts(what.check), what.recipe, seed=what.how.seed, chosen=chosen)
    labels = {name: {row.harmful for row in rows} for name, rows in _by_side(pool.teach).items()}
    if what.onto is None or all(len(both) < 2 for both in labels.values()):
        _refuse_one_class(labels.get(ASKED, set()))
    for name, each in labels.items():
        if len(each) == 1:  # heads taught by them would give every text that label; examples judge instead
            kept = [row for row in pool.teach if row.answers != (name == ANSWERED)]
            why = f"{'answers' if name == ANSWERED else 'prompts'}, as all are {_label(each)}"
            pool = replace(pool, teach=kept, counts={**pool.counts, why: len(pool.teach) - len(kept)})
    return pool


def finish(what: Training, pool: Pool, encoder: Encoder, taught: Taught, out: Path, told: Told) -> None:
    """Calibrate heads, set their thresholds, put the static tier before them, and write their folder."""
    rules = _rules(what)
    sides = dict(taught.sides)
    adapter = taught.adapter
    chosen_by = _by_side(pool.choose)
    held_out = {side: encode(encoder, rows) for side, rows in chosen_by.items()}
    figures: dict[str, object] = {}
    for side, raw in taught.sides.items():
        rows = chosen_by.get(side, [])
        if len({row.harmful for row in rows}) < 2:
            told(f"{side}: no held-out pairs, so that scores rank and are no probabilities")
            continue
        if what.onto is not None and sum(row.harmful for row in rows) < _FEWEST:
            told(f"{side}: {len(rows)} held-out rows are too few to calibrate by: scores rank and are no probabilities")
            continue
        sides[side], figures[side] = _calibrated(raw, held_out[side], rows, rules)
        if what.onto is not None and not _reads_others(
            raw, held_out[side], rows, _by_side(pool.calibrate).get(side, [])
        ):
            sides[side] = replace(sides[side], other=_UNREAD)
            told(f"{side}: texts in other scripts than the Latin one are left to patterns and a judge")
        told(f"{side}: held-out pairs {figures[side]}")
    card = _card(what, pool, taught.losses, figures)
    digests = {rule.id: teaching_digest(rule) for rule in what.constitution if rule.id in rules}
    heads = Heads(tuple(rules), digests, taught.encoder, sides, card)
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "heads"
        heads.save(saved, None if what.onto else _saved(adapter, Path(scratch)))
        heads = Heads.load(saved)
        heads = promised(what, heads, encoder, pool.calibrate, told)
        heads = with_static(what, heads, encoder, adapter, pool, held_out, told)
        heads.save(out)


def gather(what: Training, rules: Sequence[str]) -> list[Row]:
    """The rows of all sources, before anything is drawn or left out."""
    rows = example_rows(what.constitution)
    if what.bank:
        rows += bank_rows(rules) if what.onto is None else pack_rows(rules)
    for path in find_files(what.data) if what.data else ():
        source = what.recipe.source(source_of(path))
        if source is not None:
            rows += read_rows(path, rules, _categories(what, source.categories), prompts_too=source.prompts_too)
    if what.onto is not None:  # what breaks another rule may break these too: it says nothing of them
        rows = [row for row in rows if row.rules or not row.harmful]
    return rows


def check_texts(paths: Iterable[Path]) -> list[str]:
    """The prompts of files that will be measured on; their labels do not matter here."""
    texts = []
    for path in find_files(list(paths)) if paths else ():
        for number, line in read_objects(path):
            texts.append(prompt_text(path, number, line.get("prompt")))
    return texts


def encode(encoder: Encoder, rows: Sequence[Row]) -> Floats:
    """The vectors of rows as heads see them: (n, dim). A long text counts by its first window."""
    firsts = []
    for row in rows:
        text = text_of(row)
        spans = encoder.windows(text)
        firsts.append(text[: spans[0][1]] if spans else "")
    return encoder.encode(firsts)


def promised(what: Training, heads: Heads, encoder: Encoder, benign: Sequence[Row], told: Told) -> Heads:
    """The heads with thresholds that keep the budget on the benign rows, through the whole gate."""
    from guard.detectors.meaning import MeaningDetector
    from guard.detectors.patterns import Patterns

    for side in heads.sides:
        rows = _by_side(benign).get(side, [])
        if not rows:
            told(f"{side}: no harmless rows were left to promise a rate by; the threshold is one half")
            continue
        detectors: list[Detector] = [
            Patterns(what.constitution),
            MeaningDetector(what.constitution, encoder, heads, topics=False),
        ]
        gate = Gate(what.constitution, detectors, thorough=True)
        exchanges = (
            (
                f"{row.source}:{place}",
                Exchange.of(row.text) if row.prompt is None else Exchange.of(row.prompt, row.text),
            )
            for place, row in enumerate(rows, 1)
        )
        scored = score_traffic(gate, exchanges)
        traffic = "prompts" if side == ASKED else "answers"
        kept = promise(scored, what.budget, f"{traffic} of the held-out benign pool ({_mix(rows)})")
        unsure = unsure_from([row.score for row in scored], kept.threshold, what.unsure)
        heads = heads.with_threshold(side, kept.threshold, unsure, kept.as_dict())
        told(f"{side}: {kept}")
    return heads


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
    taught, chosen_by, benign = (_by_side(rows) for rows in (pool.teach, pool.choose, pool.calibrate))
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


def _calibrated(
    side: Side, vectors: Floats, rows: Sequence[Row], rules: Sequence[str]
) -> tuple[Side, dict[str, object]]:
    """The side with its probabilities calibrated on held-out rows, and how well it ranks them."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    logits = side.logits(vectors)
    raw = np.asarray(any_logit(logits), np.float64)
    harmful = np.array([row.harmful for row in rows])
    other_script = others([row.text for row in rows])
    # Where there is hardly any Latin text, all of it is calibrated together.
    apart = _tell(harmful[~other_script])
    line = fit_platt(raw[~other_script], harmful[~other_script]) if apart else fit_platt(raw, harmful)
    twins: dict[str, dict[bool, float]] = {}
    for row, score in zip(rows, raw.tolist(), strict=True):
        if row.pair is not None:
            twins.setdefault(row.pair, {})[row.harmful] = score
    whole = [pair for pair in twins.values() if len(pair) == 2]
    named = [place for place, row in enumerate(rows) if row.rules]
    right = [rules[int(logits[place].argmax())] in rows[place].rules for place in named]
    figures = {
        "rows": len(rows),
        "auc": round(float(roc_auc_score(harmful, raw)), 3),
        "harmful twin ranked above harmless": round(
            sum(pair[True] > pair[False] for pair in whole) / max(1, len(whole)), 3
        ),
        "right rule first": round(sum(right) / max(1, len(right)), 3),
        "auc by language": {
            language: round(float(roc_auc_score(harmful[mine], raw[mine])), 3)
            for language in sorted({row.language for row in rows})
            if len(set(harmful[mine := np.array([row.language == language for row in rows])])) == 2
        },
    }
    other = _line_for_other_scripts(raw, harmful, other_script) if apart else None
    return replace(side, slope=line.slope, offset=line.offset, other=other), figures


def _reads_others(side: Side, vectors: Floats, rows: Sequence[Row], benign: Sequence[Row]) -> bool:
    """Whether heads may judge texts in other scripts: harmless ones were there to promise by, and what is held out does
    not say that the scores are no better than chance."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if sum(others([row.text for row in benign]).tolist()) < _PROMISED:
        return False
    other = others([row.text for row in rows])
    harmful = np.array([row.harmful for row in rows])[other]
    return not _tell(harmful) or float(roc_auc_score(harmful, any_logit(side.logits(vectors[other])))) >= _CHANCE


def _line_for_other_scripts(raw: Scores, harmful: Flags, other: Flags) -> tuple[float, float] | None:
    """Slope and offset for scripts that the encoder may read less well; None where too few rows tell."""
    if not _tell(harmful[other]):
        return None
    try:
        line = fit_platt(raw[other], harmful[other])
    except CalibrationError:  # the scores say nothing there: every such text gets the same, middling probability
        return 0.0, 0.0
    return line.slope, line.offset


def _tell(harmful: Flags) -> bool:
    return bool(min(harmful.sum(), (~harmful).sum()) >= ENOUGH)


def _rules(what: Training) -> list[str]:
    return [rule.id for rule in what.constitution if rule.detect and rule.detect.meaning]


def _by_side(rows: Sequence[Row]) -> dict[str, list[Row]]:
    sides: dict[str, list[Row]] = {}
    for row in rows:
        sides.setdefault(ANSWERED if row.answers else ASKED, []).append(row)
    return sides


def _categories(what: Training, own: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """A source's categories, and those that are hazards of the constitution's rules."""
    hazards: dict[str, list[str]] = {}
    for rule in what.constitution:
        for hazard in rule.hazards:
            hazards.setdefault(str(hazard), []).append(rule.id)
    return {**{hazard: tuple(ids) for hazard, ids in hazards.items()}, **own}


def _refuse_one_class(labels: set[bool]) -> None:
    if labels != {True, False}:
        raise LabelError(
            f"all prompts to teach are {_label(labels)}" if labels else "there are no prompts to teach",
            "a classifier needs both labels; add examples to the rules, or labelled files",
        )


def _label(labels: set[bool]) -> str:
    return HARMFUL if labels == {True} else SAFE


def _saved(adapter: Adapter | None, folder: Path) -> Path | None:
    if adapter is None:
        return None
    adapter.save(folder / "adapter.safetensors")
    return folder / "adapter.safetensors"


def _mix(rows: Sequence[Row]) -> str:
    return ", ".join(f"{source} {count}" for source, count in Counter(row.source for row in rows).most_common())


def _card(what: Training, pool: Pool, losses: Sequence[float], figures: dict[str, object]) -> dict[str, object]:
    import torch

    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "constitution": constitution_digest(what.constitution),
        "name": what.constitution.name,
        "words": {rule.id: words_of(rule) for rule in what.constitution if rule.detect and rule.detect.meaning},
        "tuned": what.tuned and what.onto is None,
        "settings": {**asdict(what.how), "budget": what.budget, "unsure": what.unsure},
        "machine": f"{platform.machine()}, torch {torch.__version__}",
        "sources": {name: {**counts, **_origin(what.recipe, name)} for name, counts in pool.sources.items()},
        "left_out": dict(pool.counts),
        "losses": [round(loss, 4) for loss in losses],
        "held_out": figures,
    }


def _origin(recipe: Recipe, name: str) -> dict[str, object]:
    source = recipe.sources.get(name)
    return {"origin": source.origin, "licence": source.licence, "weight": source.weight} if source else {}
