"""Adapters to guard models, one file a family, found by this folder. A file offers its versions as `ADAPTERS`."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Sequence

from guard.adapters.base import Adapter
from guard.models.base import ModelConfigError
from rules.words import nearest

_NOT_FAMILIES = frozenset({"base"})


def adapters() -> dict[str, Adapter]:
    """All adapters by name: of this folder, and of entry points of the group `wardlaw.adapters`."""
    found: list[Adapter] = []
    for info in pkgutil.iter_modules(__path__):
        if info.name not in _NOT_FAMILIES and not info.name.startswith("_"):
            found += importlib.import_module(f"{__name__}.{info.name}").ADAPTERS
    for point in importlib.metadata.entry_points(group="wardlaw.adapters"):
        plugged: Sequence[Adapter] = point.load()
        found += plugged
    return {adapter.name: adapter for adapter in sorted(found, key=lambda adapter: adapter.name)}


def choose_adapter(name: str, model: str) -> Adapter:
    """The adapter called `name`, or, for `auto`, the one that knows the model.

    Args:
        name: as `llama-guard-3`, or `auto`.
        model: the model's identity, as `openai:http://127.0.0.1:8000/v1#meta-llama/Llama-Guard-3-8B`.

    Raises:
        ModelConfigError: there is no such adapter, or none, or more than one, knows the model.
    """
    known = adapters()
    if name != "auto":
        if name in known:
            return known[name]
        near = nearest(name, list(known))
        hint = f"did you mean `{near}`?" if near else f"the adapters are {', '.join(known)}"
        raise ModelConfigError(f"there is no adapter `{name}`", hint)
    # of an endpoint the model's name alone: its address says nothing of what it serves
    called = (model.partition("#")[2] if model.startswith(("openai:", "pool:")) else model).lower()
    fitting = [adapter for adapter in known.values() if adapter.knows(called)]
    if len(fitting) == 1:
        return fitting[0]
    which = "no adapter knows" if not fitting else "more than one adapter knows"
    names = ", ".join(adapter.name for adapter in fitting or known.values())
    raise ModelConfigError(f"{which} the guard model `{model}`", f"name the adapter; there are {names}")
