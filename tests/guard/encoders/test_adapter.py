"""Adapters: what they do to an encoder by torch and by ONNX, and which are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from guard.encoders import Adapter, EncoderError, open_encoder
from guard.encoders.source import find

Tiny = Callable[..., Path]
QUERY = "encoder.layer.0.attention.self.query.weight"
DENSE = "encoder.layer.1.output.dense.weight"
NORM = "encoder.layer.1.output.LayerNorm.bias"
TEXTS = ["How do I bake bread?", "The road was closed.", "怎么学游泳", "x = 3"]


def adapter_for(folder: Path, **more: object) -> Adapter:
    rng = np.random.default_rng(3)
    pairs = {
        QUERY: (rng.normal(size=(32, 4)), rng.normal(size=(4, 32))),
        DENSE: (rng.normal(size=(32, 2)), rng.normal(size=(2, 64))),
    }
    found = find(str(folder)).weights
    return Adapter(**{"encoder": found, "matrices": pairs, "vectors": {NORM: rng.normal(size=32)}, **more})  # type: ignore[arg-type]


def test_torch_and_onnx_agree_on_the_tuned_encoder_and_not_with_the_plain_one(tiny: Tiny, tmp_path: Path):
    folder = tiny()
    adapter = adapter_for(folder)
    by_torch = open_encoder(str(folder), adapter=adapter, backend="torch")
    by_onnx = open_encoder(str(folder), adapter=adapter, backend="onnx", cache=tmp_path)
    plain = open_encoder(str(folder), backend="torch")
    tuned = by_torch.encode(TEXTS)
    assert (tuned * by_onnx.encode(TEXTS)).sum(1).min() > 0.97
    assert (tuned * plain.encode(TEXTS)).sum(1).max() < 0.9
    assert by_torch.identity == by_onnx.identity == f"{plain.identity}+adapter:{adapter.digest}"
    by_onnx.close()


def test_the_weights_are_those_of_the_sum(tiny: Tiny):
    folder = tiny()
    adapter = adapter_for(folder)
    plain, tuned = (open_encoder(str(folder), adapter=each, backend="torch") for each in (None, adapter))
    before, after = (dict(each.model[0].auto_model.named_parameters()) for each in (plain, tuned))  # type: ignore[attr-defined]
    a, b = adapter.matrices[DENSE]
    delta = (after[DENSE] - before[DENSE]).detach().numpy()
    assert np.allclose(delta, a.astype(np.float32) @ b.astype(np.float32), atol=1e-5)
    assert np.allclose((after[NORM] - before[NORM]).detach().numpy(), adapter.vectors[NORM], atol=1e-5)
    untouched = set(before) - {QUERY, DENSE, NORM}
    assert all(bool((before[name] == after[name]).all()) for name in untouched)


def test_a_saved_adapter_comes_back_the_same(tiny: Tiny, tmp_path: Path):
    adapter = adapter_for(tiny())
    adapter.save(tmp_path / "deep" / "a.safetensors")
    again = Adapter.load(tmp_path / "deep" / "a.safetensors")
    assert again.digest == adapter.digest
    assert again.encoder == adapter.encoder
    assert np.array_equal(again.matrices[QUERY][0], adapter.matrices[QUERY][0])
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def test_a_transposed_view_is_saved_as_it_reads(tmp_path: Path):
    a, b = np.arange(6.0).reshape(2, 3).T, np.ones((2, 5))
    Adapter("some", {"w": (a, b)}).save(tmp_path / "a.safetensors")
    assert np.array_equal(Adapter.load(tmp_path / "a.safetensors").matrices["w"][0], a)


def test_the_digest_tells_adapters_apart():
    pair = (np.ones((3, 1)), np.ones((1, 3)))
    digests = {
        Adapter("one", {"w": pair}).digest,
        Adapter("two", {"w": pair}).digest,
        Adapter("one", {"v": pair}).digest,
        Adapter("one", {"w": (pair[0] * 2, pair[1])}).digest,
        Adapter("one", {}, {"w": np.ones(3)}).digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize("backend", ["torch", "onnx", "auto"])
def test_an_adapter_of_another_encoder_is_refused(tiny: Tiny, tmp_path: Path, backend: str):
    adapter = adapter_for(tiny(), encoder="files:0000")
    with pytest.raises(EncoderError, match="adapter is for encoder `files:0000`"):
        open_encoder(str(tiny()), adapter=adapter, backend=backend, cache=tmp_path)  # type: ignore[arg-type]


def test_a_parameter_of_another_shape_is_refused_and_nothing_is_changed(tiny: Tiny):
    encoder = open_encoder(str(tiny()), backend="torch")
    net = encoder.model[0].auto_model  # type: ignore[attr-defined]
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    fits = (np.ones((32, 1)), np.ones((1, 32)))
    for wrong in ({QUERY: fits, DENSE: (np.ones((31, 1)), np.ones((1, 64)))}, {QUERY: fits, "no.such.weight": fits}):
        with pytest.raises(EncoderError, match="adapter"):
            Adapter("any", wrong).merge(net)
    assert all(bool((before[name] == value).all()) for name, value in net.named_parameters())


def test_factors_that_do_not_fit_each_other_are_refused():
    with pytest.raises(EncoderError, match="do not fit"):
        Adapter("any", {"w": (np.ones((4, 2)), np.ones((3, 4)))})
    with pytest.raises(EncoderError, match="no vector"):
        Adapter("any", {}, {"w": np.ones((2, 2))})


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e9])
def test_numbers_that_are_not_finite_in_half_precision_are_refused(number: float):
    with pytest.raises(EncoderError, match="not finite"):
        Adapter("any", {}, {"w": np.array([1.0, number])})


def test_files_that_are_no_adapters_are_refused(tiny: Tiny, tmp_path: Path):
    file = tmp_path / "a.safetensors"
    with pytest.raises(EncoderError, match="is not there"):
        Adapter.load(file)
    adapter_for(tiny()).save(file)
    whole = file.read_bytes()
    for cut in (0, 4, 40, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(EncoderError, match="does not load"):
            Adapter.load(file)
    with pytest.raises(EncoderError, match="has format `pt`"):
        Adapter.load(tiny() / "model.safetensors")


def test_half_a_pair_is_refused(tmp_path: Path):
    from safetensors.numpy import save_file

    about = {"format": "wardlaw-adapter/1", "encoder": "any"}
    for name in ("w.a", "w.b", "w"):
        save_file({name: np.ones((2, 2), np.float16)}, tmp_path / "a.safetensors", about)
        with pytest.raises(EncoderError, match="without its other half"):
            Adapter.load(tmp_path / "a.safetensors")
