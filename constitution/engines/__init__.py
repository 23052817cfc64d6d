"""What the rows of `generate` are made on, one file each, found by their folder: this process, or a Ray cluster."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Protocol, cast

from constitution.generate import Generation
from constitution.settings import Settings
from rules.errors import WardlawError
from rules.schema import Constitution
from rules.words import did_you_mean


class EngineError(WardlawError):
    """There is no such engine, or it cannot do what it was asked."""


@dataclass(frozen=True, slots=True)
class Where:
    """On how much of what the rows are made; the local engine needs none of it."""

    address: str | None = None
    """Of a cluster; None begins one on this machine."""
    workers: int | None = None
    """Processes; by default one a processor, or one a GPU where a model runs in the worker itself."""
    gpus: float | None = None
    """GPUs of a worker; by default one where a model runs in it and the cluster has any."""


class Engine(Protocol):
    """What the module of an engine offers."""

    def generation(self, settings: Settings, constitution: Constitution, where: Where) -> Generation:
        """A run on this engine.

        Raises:
            EngineError: the settings are such that it cannot.
            PromptError, FormatError, TemplateError: as Generation.
        """


def engines() -> list[str]:
    """Names of the engines: the files of this folder."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def open_engine(name: str) -> Engine:
    """The module of an engine.

    Raises:
        EngineError: there is none of that name.
    """
    if name not in engines():
        raise EngineError(f"unknown engine `{name}`", did_you_mean(name, engines()))
    return cast("Engine", importlib.import_module(f"{__name__}.{name}"))
