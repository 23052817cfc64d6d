"""A model's name that misses is answered with what was probably meant."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from guard.models import open_model
from guard.models._hub import _hushed
from guard.models.base import ModelConfigError


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("embeded", "did you mean `embedded`?"),
        ("scriptd:a.yaml", "did you mean `scripted:a.yaml`?"),
        ("/no/such.gguf", "write `gguf:/no/such.gguf`"),
        ("such.gguf?slots=2", "write `gguf:such.gguf?slots=2`"),
        ("org/model", "write `hf:org/model`"),
        ("http://127.0.0.1:1/v1#name", "write `openai:http://127.0.0.1:1/v1#name`"),
        ("telepathy:x", "the kinds are "),
    ],
)
def test_a_name_of_no_known_kind_is_answered_with_the_name_that_was_meant(name: str, hint: str) -> None:
    with pytest.raises(ModelConfigError, match="unknown kind of model") as caught:
        open_model(name)
    assert hint in caught.value.hint


def test_a_file_that_is_not_there_is_answered_with_what_is_there_or_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "model-q4.gguf").touch()
    for name, hint in (
        (f"{tmp_path}/modle-q4.gguf", f"did you mean `{tmp_path}/model-q4.gguf`?"),
        (f"{tmp_path}/x.gguf", "holds `model-q4.gguf`"),
        (f"{tmp_path}/gone/x.gguf", f"there is no folder `{tmp_path}/gone` either"),
    ):
        with pytest.raises(ModelConfigError) as caught:
            open_model(f"gguf:{name}")
        assert hint in caught.value.hint


def test_the_hubs_warnings_are_hushed_only_while_it_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some_hub.utils")
    with _hushed("some_hub"):
        logger.warning("trying again in 1 s")
    logger.warning("said afterwards")
    assert caplog.messages == ["said afterwards"]
