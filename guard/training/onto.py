"""Heads for further rules, taught on the vectors of heads that are there already: minutes, and no encoder to tune.

A rule that is new, or whose words or examples were changed, gets a head of its own beside the others, with a threshold
of its own promise. What was there keeps its figures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from guard.trained.heads import Heads
from guard.training.rows import LabelError
from guard.training.settings import Told, Training
from guard.training.train import train
from rules.schema import Constitution, Rule


def train_onto(
    what: Training, heads: Heads, out: Path, told: Told = lambda line: None, *, again: Collection[str] = ()
) -> Heads:
    """Teach the rules that `heads` does not know, and write a folder with these heads and the new ones beside them.

    Heads of the constitution's own name that stand beside them already are taught anew.

    Args:
        what: data and settings; of its constitution, only rules without a current head are taught.
        heads: whose encoder and adapter are used.
        out: folder; made where it is not there, written only when all else is done.
        told: called with lines of progress.
        again: rules that are taught although the heads know them; the new ones judge these from then on.

    Raises:
        LabelError: every rule has a current head, or the data cannot be used.
        CalibrationError: the benign rows cannot carry the promise.
        EncoderError: the encoder cannot be loaded.
    """
    if not unknown(what.constitution, heads, again):
        raise LabelError(
            f"every rule of `{what.constitution.name}` that is looked for by meaning has a head already",
            "use these heads as they are, or give rules that they do not know",
        )
    # Those of the same name make way, so what they alone know is taught again too: else it would have no head any more.
    kept = replace(heads, also=tuple(each for each in heads.also if each.card.get("name") != what.constitution.name))
    fresh = unknown(what.constitution, kept, again)
    told(f"to teach: {len(fresh)} of {len(what.constitution)} rules: {', '.join(rule.id for rule in fresh)}")
    few = Constitution(name=what.constitution.name, title=what.constitution.title, rules=tuple(fresh))
    with tempfile.TemporaryDirectory() as scratch:
        made = train(replace(what, constitution=few, onto=kept), Path(scratch) / "heads", told)
        known = [rule.id for rule in few if rule not in unknown(few, kept)]
        made = replace(made, card={**made.card, "again": known}) if known else made
        replace(kept, also=(*kept.also, made)).save(out)
    return Heads.load(out)


def unknown(constitution: Constitution, heads: Heads, again: Collection[str] = ()) -> list[Rule]:
    """The rules that are looked for by meaning and have no head, or one that was taught by other words or examples.

    Args:
        constitution: the rules.
        heads: what is there.
        again: rules that count as unknown whatever the heads know.
    """
    stale = heads.stale(constitution)
    return [
        rule
        for rule in constitution
        if rule.detect and rule.detect.meaning and (rule.id in again or heads.of(rule) is None or rule.id in stale)
    ]
