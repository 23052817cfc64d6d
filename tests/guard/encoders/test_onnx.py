"""The ONNX backend beside torch, its cache, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.behind import behind
from guard.encoders import EncoderError, open_encoder
from guard.encoders import cache as files
from guard.encoders.onnx import LOWEST, MEAN, OnnxEncoder
from guard.encoders.torch import SentenceEncoder

UNSEEN = [
    "Where can I renew a fishing licence on a Sunday?",
    "how would someone get past the alarm of a jewellery shop",
    "WHY IS MY WIFI SO SLOW???",
    "我想学做红烧肉，第一步是什么？",
    "import os; os.remove('a.txt')  # 🙂",
    "The river rose in the night. " * 30,
]
Tiny = Callable[..., Path]


def cosines(one: Any, other: Any) -> Any:
    return (np.asarray(one) * np.asarray(other)).sum(axis=1)


def test_its_vectors_are_near_torchs_on_texts_it_was_not_checked_on(onnx: OnnxEncoder, encoder: SentenceEncoder):
    near = cosines(onnx.encode(UNSEEN), encoder.encode(UNSEEN))
    assert near.min() > LOWEST
    assert near.mean() > MEAN


def test_it_says_how_near_it_is_and_has_the_identity_of_the_model(onnx: OnnxEncoder, encoder: SentenceEncoder):
    assert LOWEST <= onnx.checked["lowest"] <= onnx.checked["mean"] <= 1.0
    assert onnx.checked["texts"] >= 40
    assert onnx.identity == encoder.identity
    assert (onnx.backend, encoder.backend) == ("onnx-int8", "torch")
    assert onnx.dim == encoder.dim == 384


def test_a_vector_does_not_hang_on_the_texts_beside_it(onnx: OnnxEncoder):
    together = onnx.encode(UNSEEN)
    assert np.array_equal(together, np.concatenate([onnx.encode([text]) for text in UNSEEN]))
    assert np.array_equal(together[::-1], onnx.encode(UNSEEN[::-1]))


def test_threads_get_what_one_gets_alone(onnx: OnnxEncoder):
    alone = onnx.encode(UNSEEN)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: (onnx.encode(UNSEEN), onnx.windows(UNSEEN[-1] * 3)), range(16)))
    assert all(np.array_equal(vectors, alone) for vectors, _ in got)
    assert len({str(spans) for _, spans in got}) == 1


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800 lone", "\u200b" * 50, "a" * 5000, "é" * 3000])
def test_any_text_has_a_vector_of_length_one(onnx: OnnxEncoder, text: str):
    vectors = onnx.encode([text])
    assert vectors.shape == (1, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-4)


def test_no_texts_have_no_vectors(onnx: OnnxEncoder):
    assert onnx.encode([]).shape == (0, 384)


def test_it_gives_the_same_windows_as_torch(onnx: OnnxEncoder, encoder: SentenceEncoder):
    text = "Die Straße, 长城 und der naïve Plan 🙂. " * 200
    assert onnx.windows(text) == encoder.windows(text)


def test_a_later_start_loads_neither_torch_nor_its_friends(onnx: OnnxEncoder, cache: Path):
    code = (
        "import sys; from pathlib import Path; from guard.encoders import open_encoder;"
        f"e = open_encoder(backend='onnx', cache=Path({str(cache)!r}));"
        "e.encode(['hello', 'you']); e.windows('a b ' * 999); e.close();"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'onnx', 'scipy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("kind,pooling", [("mpnet", "cls"), ("xlm-roberta", "mean")])
def test_other_kinds_of_models_and_poolings_are_exported(tiny: Tiny, tmp_path: Path, kind: str, pooling: str):
    folder = str(tiny(kind, pooling=pooling))
    here = open_encoder(folder, backend="onnx", cache=tmp_path)
    there = open_encoder(folder, backend="torch")
    assert cosines(here.encode(UNSEEN), there.encode(UNSEEN)).min() > LOWEST
    here.close()


def test_the_library_fills_nobodys_log_while_it_exports(tiny: Tiny, tmp_path: Path, caplog: Any):
    caplog.set_level("INFO")
    open_encoder(str(tiny("bert", pooling="mean")), backend="onnx", cache=tmp_path).close()
    assert [record.getMessage() for record in caplog.records if "onnxruntime" in record.pathname] == []


def test_a_pooling_that_onnx_cannot_do_is_left_to_torch_and_said(tiny: Tiny, tmp_path: Path, caplog: Any):
    folder = str(tiny("bert", pooling="max"))
    taken = open_encoder(folder, cache=tmp_path)
    assert taken.backend == "torch"
    assert "pooling is `max`" in taken.notes[0]
    assert "pooling is `max`" in caplog.text
    with pytest.raises(EncoderError, match="pooling is `max`"):
        open_encoder(folder, backend="onnx", cache=tmp_path)


def test_a_refusal_is_remembered_until_the_libraries_change(tiny: Tiny, tmp_path: Path):
    folder = str(tiny("bert", pooling="max"))
    with pytest.raises(EncoderError):
        open_encoder(folder, backend="onnx", cache=tmp_path)
    (card,) = tmp_path.glob("*/*/card.json")
    first = card.stat().st_mtime_ns
    with pytest.raises(EncoderError):
        open_encoder(folder, backend="onnx", cache=tmp_path)
    assert card.stat().st_mtime_ns == first
    card.write_text(json.dumps({**json.loads(card.read_text()), "versions": {"torch": "0.1"}}))
    with pytest.raises(EncoderError):
        open_encoder(folder, backend="onnx", cache=tmp_path)
    assert json.loads(card.read_text())["versions"] != {"torch": "0.1"}


def test_a_file_that_was_cut_off_is_found_out_and_made_anew(tiny: Tiny, tmp_path: Path, caplog: Any):
    folder = str(tiny())
    first = open_encoder(folder, backend="onnx", cache=tmp_path)
    (model,) = tmp_path.glob("*/*/encoder.onnx")
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    again = open_encoder(folder, backend="onnx", cache=tmp_path)
    assert "damaged" in caplog.text
    assert np.array_equal(first.encode(UNSEEN), again.encode(UNSEEN))
    assert len(model.read_bytes()) == len(whole)


def test_another_processor_is_checked_anew(onnx: OnnxEncoder, cache: Path, tmp_path: Path):
    card = moved(cache, tmp_path)
    open_encoder(backend="onnx", cache=tmp_path).close()
    assert json.loads(card.read_text())["checked"] == onnx.checked


def test_vectors_far_from_the_reference_are_refused_at_every_start(onnx: OnnxEncoder, cache: Path, tmp_path: Path):
    card = moved(cache, tmp_path)
    made = files.kept(card.parent, "onnx-int8/1", lambda: pytest.fail("the copy is whole"))
    turned = dict(made.files)
    reference = np.load(card.parent / "reference.npy")
    np.save(tmp_path / "turned.npy", np.roll(reference, 1, axis=0))
    turned["reference.npy"] = (tmp_path / "turned.npy").read_bytes()
    files.write(card.parent, "onnx-int8/1", files.Made(made.card, turned))
    for _ in range(2):
        with pytest.raises(EncoderError, match="cosine"):
            open_encoder(backend="onnx", cache=tmp_path)


def test_a_closed_encoder_says_so_and_can_be_closed_again(onnx: OnnxEncoder, cache: Path):
    mine = open_encoder(backend="onnx", cache=cache)
    mine.close()
    mine.close()
    with pytest.raises(RuntimeError, match="closed"):
        mine.encode(["hello"])


@pytest.mark.gpu
def test_a_gpu_is_taken_where_there_is_one(cache: Path):
    assert open_encoder(cache=cache).backend == "torch"


def moved(cache: Path, to: Path) -> Path:
    """A copy of the cache, as another machine would find it; gives the card of the default encoder."""
    shutil.copytree(cache, to, dirs_exist_ok=True)
    (card,) = to.glob("*/onnx-int8/card.json")
    told = json.loads(card.read_text())
    told["checked"] = {**told["checked"], "where": "another processor", "lowest": 0.0}
    card.write_text(json.dumps(told))
    return card


def test_a_request_does_not_wait_for_texts_that_nobody_waits_for(onnx: OnnxEncoder):
    """The pool is first come, first served: a long text judged for the record would stand before all of a request's."""
    texts = [f"{text} {n}" for n in range(8) for text in UNSEEN]
    used: list[str] = []
    submit = onnx._pool.submit

    def noted(*args: Any, **more: Any) -> Any:
        used.append("pool")
        return submit(*args, **more)

    onnx._pool.submit = noted  # type: ignore[method-assign]
    try:
        with behind():
            quietly = onnx.encode(texts)
        assert used == []
        assert np.array_equal(quietly, onnx.encode(texts))
    finally:
        del onnx._pool.submit


def test_torch_too_gives_the_same_vectors_to_what_nobody_waits_for(encoder: SentenceEncoder):
    with behind():
        quietly = encoder.encode(UNSEEN)
    assert cosines(quietly, encoder.encode(UNSEEN)).min() > 0.9999
