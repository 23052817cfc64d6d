"""A cache of the session, the real MiniLM in it, and tiny models of other kinds with random weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.encoders import open_encoder
from guard.encoders.onnx import OnnxEncoder
from guard.encoders.source import find


@pytest.fixture(autouse=True)
def _torch_announces_itself() -> Iterator[None]:
    with warnings.catch_warnings():
        # torch's own C extensions announce themselves with types that lack `__module__`.
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        yield


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoders")


@pytest.fixture(scope="session")
def onnx(cache: Path) -> Iterator[OnnxEncoder]:
    """The default encoder by ONNX, exported once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        made = open_encoder(backend="onnx", cache=cache)
    assert isinstance(made, OnnxEncoder)
    yield made
    made.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a small model: `tiny("bert", pooling="cls")` is its folder."""
    made: dict[tuple[str, str], Path] = {}

    def make(kind: str = "bert", *, pooling: str = "mean") -> Path:
        if (kind, pooling) not in made:
            made[kind, pooling] = _build(kind, pooling, tmp_path_factory.mktemp(f"{kind}-{pooling}"))
        return made[kind, pooling]

    return make


def _build(kind: str, pooling: str, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Pooling, Transformer
        from transformers import (
            AutoTokenizer,
            BertConfig,
            BertModel,
            MPNetConfig,
            MPNetModel,
            XLMRobertaConfig,
            XLMRobertaModel,
        )

        kinds: dict[str, Any] = {
            "bert": (BertConfig, BertModel),
            "mpnet": (MPNetConfig, MPNetModel),
            "xlm-roberta": (XLMRobertaConfig, XLMRobertaModel),
        }
        config, model = kinds[kind]
        tokenizer = AutoTokenizer.from_pretrained(str(find("default").folder))
        torch.manual_seed(7)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        net = model(
            config(vocab_size=len(tokenizer), max_position_embeddings=140, pad_token_id=tokenizer.pad_token_id, **sizes)
        )
        net.save_pretrained(folder / "net")
        tokenizer.save_pretrained(folder / "net")
        part = Transformer(str(folder / "net"), max_seq_length=128)
        SentenceTransformer(modules=[part, Pooling(32, pooling_mode=pooling)], device="cpu").save(str(folder / "whole"))
    return folder / "whole"
