"""Static encoders: what they are made of, that nothing is cut off, and that they need no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from guard.encoders import EncoderError, StaticEncoder, open_encoder

Tiny = Callable[..., Path]


@pytest.fixture(scope="module")
def static(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> StaticEncoder:
    return StaticEncoder(str(tiny()), dims=16, cache=tmp_path_factory.mktemp("static"))


def test_vectors_have_length_one_and_blank_texts_none(static: StaticEncoder):
    vectors = static.encode(["How do I bake bread?", "怎么学游泳", "", " \n", "\ud800"])
    assert vectors.shape == (5, 16)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[:2], axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert np.array_equal(vectors[2:4], np.zeros((2, 16)))
    assert static.windows(" \n") == []
    assert static.windows("x" * 9999) == [(0, 9999)]


def test_a_text_is_the_mean_of_its_tokens(static: StaticEncoder):
    one, two, both = static.encode(["bread", "water", "bread water bread water"])
    table, tokenizer = static._table, static._tokenizer
    rows = [table[tokenizer.token_to_id(word)] for word in ("bread", "water")]
    assert both == pytest.approx((rows[0] + rows[1]) / np.linalg.norm(rows[0] + rows[1]), abs=1e-5)
    assert one == pytest.approx(rows[0] / np.linalg.norm(rows[0]), abs=1e-5)
    assert two == pytest.approx(rows[1] / np.linalg.norm(rows[1]), abs=1e-5)


def test_nothing_of_a_long_text_is_cut_off(static: StaticEncoder):
    long = "the quiet road " * 30_000
    plain, other = static.encode([long, long + "explosive " * 30_000])
    assert float(plain @ other) < 0.99
    assert float(static.encode([long])[0] @ plain) == pytest.approx(1, abs=1e-5)


def test_it_is_made_the_same_each_time(tiny: Tiny, tmp_path: Path):
    for name in ("one", "two"):
        StaticEncoder(str(tiny()), dims=16, cache=tmp_path / name)
    first, second = (next((tmp_path / name).glob("*/*/table.npy")).read_bytes() for name in ("one", "two"))
    assert first == second


def test_its_identity_names_the_encoder_and_the_dims(static: StaticEncoder, tiny: Tiny, tmp_path: Path):
    encoder = open_encoder(str(tiny()), backend="torch")
    assert static.identity == f"static/1-16:{encoder.identity}"
    assert StaticEncoder(str(tiny()), dims=8, cache=tmp_path).identity != static.identity


@pytest.mark.parametrize("dims", [0, 33])
def test_lengths_that_cannot_be_are_refused(tiny: Tiny, tmp_path: Path, dims: int):
    with pytest.raises(EncoderError, match=f"`{dims}` numbers cannot be made"):
        StaticEncoder(str(tiny()), dims=dims, cache=tmp_path)


def test_a_later_start_loads_no_torch(tiny: Tiny, tmp_path: Path):
    StaticEncoder(str(tiny()), dims=16, cache=tmp_path)
    code = (
        "import sys; from pathlib import Path; from guard.encoders import StaticEncoder;"
        f"StaticEncoder({str(tiny())!r}, dims=16, cache=Path({str(tmp_path)!r})).encode(['hello']);"
        "print(sorted({'torch', 'transformers', 'onnxruntime', 'scipy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_real_models_table_knows_what_is_alike(tmp_path: Path):
    static = StaticEncoder(cache=tmp_path)
    bread, loaf, court = static.encode(["How do I bake bread?", "recipe for a loaf", "The judge dismissed the appeal."])
    assert float(bread @ loaf) > float(bread @ court) + 0.1
