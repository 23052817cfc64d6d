from __future__ import annotations

import random
import warnings
from dataclasses import replace

import numpy as np
import pytest

from guard.encoders import Adapter, EncoderError
from guard.encoders.torch import SentenceEncoder
from guard.trained.scoring import any_logit
from guard.trained.sides import ANSWERED, ASKED
from guard.training.rows import Row
from guard.training.tune import SCALE, Tuning, side_of, tune

RULES = ("theft", "fire")
THINGS = "kettle ladder basket candle mirror pencil saddle blanket window bridge".split()
HOW = Tuning(passes=1, batch=16, twins=1.0, rate=1e-3, rank=256)


pytestmark = pytest.mark.usefixtures("quiet_torch")


def forty():
    """Ten pairs of twins and twenty answers."""
    twins = [
        Row(f"How do I {verb} the {thing}?", verb == "steal", "a", rules=rules, pair=thing)
        for thing in THINGS
        for verb, rules in (("steal", ("theft",)), ("mend", ()))
    ]
    answers = [
        Row(f"{said} the {thing}.", said == "Burn", "b", "Help me", ("fire",) if said == "Burn" else ())
        for thing in THINGS
        for said in ("Burn", "Wash")
    ]
    return [*twins, *answers]


TEXTS = [row.text for row in forty()]


@pytest.fixture(scope="module")
def minilm():
    """The real encoder tuned for four steps: its vectors before, after, and what was learned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        encoder = SentenceEncoder()
        before = encoder.encode(TEXTS)
        told = []
        tuned = tune(encoder, forty(), RULES, HOW, told.append)
        return before, encoder.encode(TEXTS), tuned, told


def test_tuning_the_real_encoder_changes_its_vectors_and_tells_how_it_goes(minilm):
    before, after, tuned, told = minilm
    assert np.abs(after - before).max() > 0.01
    assert told == [f"step 4 of 4, loss {tuned.losses[0]:.3f}"]
    assert {side: heads.weight.shape for side, heads in tuned.sides.items()} == {ASKED: (2, 384), ANSWERED: (2, 384)}


def test_the_adapter_carries_the_change_through_a_file_to_another_process(minilm, tmp_path):
    before, after, tuned, _ = minilm
    tuned.adapter.save(tmp_path / "adapter.safetensors")
    adapter = Adapter.load(tmp_path / "adapter.safetensors")
    assert adapter.digest == tuned.adapter.digest
    encoder = SentenceEncoder(adapter=adapter)
    again = encoder.encode(TEXTS)
    assert np.abs(again - after).max() < np.abs(after - before).max() / 10
    assert encoder.identity.endswith(f"+adapter:{adapter.digest}")
    assert not any("word_embeddings" in name for name in (*adapter.matrices, *adapter.vectors))


@pytest.fixture(scope="module")
def tuned_small(small_encoder):
    """Tunes the small encoder, which is loaded anew each time."""

    def run(how, rows=None):
        encoder = SentenceEncoder(str(small_encoder), device="cpu")
        return encoder, tune(encoder, rows or forty(), RULES, how)

    return run


def test_the_loss_falls_and_the_labels_are_learned(tuned_small):
    _, short = tuned_small(replace(HOW, passes=0.4))
    encoder, tuned = tuned_small(replace(HOW, passes=15, twins=2.0))
    assert tuned.losses[-1] < short.losses[0] / 2
    rows = [row for row in forty() if not row.answers]
    logits = tuned.sides[ASKED].logits(encoder.encode([row.text for row in rows]))
    assert ((any_logit(logits) > 0) == [row.harmful for row in rows]).mean() > 0.9
    harmful = [place for place, row in enumerate(rows) if row.harmful]
    assert (logits[harmful].argmax(1) == RULES.index("theft")).all()


def test_the_same_seed_teaches_the_same_and_another_seed_another(tuned_small):
    first, second, other = (tuned_small(replace(HOW, seed=seed))[1] for seed in (1, 1, 2))
    assert first.losses == second.losses != other.losses
    assert first.adapter.digest == second.adapter.digest != other.adapter.digest


def test_a_lower_rank_makes_a_smaller_adapter_that_says_about_the_same(tuned_small, small_encoder):
    how = replace(HOW, passes=4, seed=3)
    encoder, whole = tuned_small(how)
    after = encoder.encode(TEXTS)
    before = SentenceEncoder(str(small_encoder), device="cpu").encode(TEXTS)
    _, cut = tuned_small(replace(how, rank=8))
    assert {a.shape[1] for a, _ in cut.adapter.matrices.values()} == {8}
    assert max(a.shape[1] for a, _ in whole.adapter.matrices.values()) == 256
    again = SentenceEncoder(str(small_encoder), adapter=cut.adapter, device="cpu").encode(TEXTS)
    assert np.abs(again - after).max() < np.abs(after - before).max() / 2


def test_without_answers_there_are_no_heads_for_them(tuned_small):
    _, tuned = tuned_small(HOW, [row for row in forty() if not row.answers])
    assert set(tuned.sides) == {ASKED}


def test_an_adapter_does_not_go_with_another_encoder(minilm, small_encoder):
    with pytest.raises(EncoderError, match="adapter is for encoder"):
        SentenceEncoder(str(small_encoder), adapter=minilm[2].adapter)


def test_heads_of_long_vectors_say_the_same_of_vectors_of_length_one():
    import torch

    torch.manual_seed(1)
    layer = torch.nn.Linear(8, 3)
    vector = torch.nn.functional.normalize(torch.randn(1, 8))
    expected = layer(vector * SCALE).detach().numpy()
    assert np.allclose(side_of(layer).logits(vector.numpy()), expected, atol=1e-5)


def test_texts_of_any_kind_can_be_taught(tuned_small):
    odd = ["", "\ud800", "a" * 5000, "\x00", "你好" * 300]
    rows = [Row(text, random.Random(n).random() < 0.5, "a") for n, text in enumerate([*odd, *odd])]
    _, tuned = tuned_small(HOW, rows)
    assert np.isfinite(tuned.losses).all()
