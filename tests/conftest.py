"""For tests that teach: a small encoder with weights drawn by a seed, since the real one takes minutes, and quiet."""

from __future__ import annotations

import string
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

WORDS = """
how do i the a in and near to of my me tell what is with for who where make hurt steal burn break poison mend clean
paint wash kettle ladder basket candle mirror pencil saddle blanket window bridge kitchen garden station library
harbour museum bakery stable neighbour teacher house car money please weapon knife sorry sure here help no first then
""".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture
def quiet_torch() -> Iterator[None]:
    """Lets torch's own C extensions announce themselves with types that lack `__module__`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        yield


@pytest.fixture(scope="module")
def cache_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made of encoders goes to a folder of this run, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sentence-transformers model of one layer and some two hundred tokens."""
    folder = tmp_path_factory.mktemp("small-encoder")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Pooling, Transformer
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        letters = string.ascii_lowercase + string.digits
        tokens = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *string.punctuation, *WORDS]
        vocabulary = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
        plain = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        plain.normalizer = normalizers.BertNormalizer()
        plain.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        plain.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
        )
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, **dict(zip(names, SPECIAL, strict=True)))
        torch.manual_seed(7)
        sizes = {"hidden_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128}
        net = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=128, **sizes))
        net.save_pretrained(folder / "net")
        tokenizer.save_pretrained(folder / "net")
        part = Transformer(str(folder / "net"), max_seq_length=64)
        SentenceTransformer(modules=[part, Pooling(256)], device="cpu").save(str(folder / "whole"))
    return folder / "whole"
