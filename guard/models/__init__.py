"""Chat models, one file each. The file's name is the scheme: `openai:http://host/v1#name` is opened by `openai.py`."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import re
from collections.abc import Sequence
from typing import Protocol, cast

from guard.models.base import ChatModel, ModelConfigError
from rules.words import nearest

_NOT_SCHEMES = frozenset({"base"})


class Opener(Protocol):
    """What a backend module offers as `open_model`."""

    def __call__(self, spec: str, *, concurrency: int) -> ChatModel:
        """Open the model that `spec` (the name without its scheme) stands for; at most `concurrency` calls at once."""


def schemes() -> list[str]:
    """The schemes that can be opened: the files of this folder, and entry points of the group `wardlaw.models`."""
    own = [info.name for info in pkgutil.iter_modules(__path__) if info.name not in _NOT_SCHEMES]
    own = [name for name in own if not name.startswith("_")]
    plugged = [point.name for point in importlib.metadata.entry_points(group="wardlaw.models")]
    return sorted({*own, *plugged})


def open_model(name: str, *, concurrency: int = 64) -> ChatModel:
    """Open a chat model by its one string, as `openai:http://127.0.0.1:8000/v1#qwen`, `gguf:model.gguf`, `embedded`.

    Args:
        name: `scheme` or `scheme:spec`.
        concurrency: the most calls the model may have in flight.

    Raises:
        ModelConfigError: no such scheme, or the backend cannot open `spec`.
    """
    scheme, _, spec = name.partition(":")
    known = schemes()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", scheme) or scheme not in known:
        raise ModelConfigError(f"unknown kind of model `{name}`", _meant(name, scheme, known))
    for point in importlib.metadata.entry_points(group="wardlaw.models", name=scheme):
        return cast("Opener", point.load())(spec, concurrency=concurrency)
    module = importlib.import_module(f"{__name__}.{scheme}")
    return cast("Opener", module.open_model)(spec, concurrency=concurrency)


def _meant(name: str, scheme: str, known: Sequence[str]) -> str:
    """What was probably meant by a name of no known kind."""
    path = name.partition("?")[0].partition("#")[0]
    if path.lower().endswith(".gguf"):
        return f"write `gguf:{name}`"
    if name.startswith(("http://", "https://")):
        return f"write `openai:{name}`" if "#" in name else f"write `openai:{name}#NAME` with the model's name there"
    if "/" in scheme:
        return f"write `hf:{name}` for a folder or an id of the Hugging Face hub, `gguf:FILE` for a GGUF file"
    near = nearest(scheme, known)
    if near is not None:
        return f"did you mean `{near}{name[len(scheme) :]}`?"
    return f"a model is named `kind:what`; the kinds are {', '.join(known)}"
