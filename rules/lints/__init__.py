"""Lints: what is no fault of the file, but a weakness of the rule. One short function a lint, a family a file.

A lint is a function under `lint`, in a file of this folder, which finds it there. Its name, with hyphens, is its code;
its docstring is its line in docs/rule-format.md; it yields a `Found` for each weakness.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from rules.check import Company
    from rules.schema import Rule

Found: TypeAlias = tuple[tuple[str | int, ...], str, str]
"""Keys from the rule to the weak place, what is weak, and what to do."""

Finder: TypeAlias = "Callable[[Rule, Company], Iterable[Found]]"


@dataclass(frozen=True, slots=True)
class Lint:
    """A lint that can be run."""

    code: str
    severity: Literal["error", "warning"]
    find: Finder

    @property
    def about(self) -> str:
        """What it looks for, in one sentence."""
        return " ".join((self.find.__doc__ or "").split())


def lint(severity: Literal["error", "warning"]) -> Callable[[Finder], Lint]:
    """Make a function a lint."""
    return lambda find: Lint(find.__name__.replace("_", "-"), severity, find)


@cache
def lints() -> tuple[Lint, ...]:
    """All lints, in the order of the files of this folder and, in a file, of its functions."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(each for module in modules for each in vars(module).values() if isinstance(each, Lint))
