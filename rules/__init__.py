"""What a rule is: the YAML that people write, checked and compiled into a `Constitution`.

Everything of `__all__` is imported when it is first asked for: `from rules.errors import WardlawError` must not load
pydantic, or every command would start late.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rules.check import Issue as Issue
    from rules.check import check as check
    from rules.digest import constitution_digest as constitution_digest
    from rules.digest import rule_digest as rule_digest
    from rules.errors import Location as Location
    from rules.errors import RuleError as RuleError
    from rules.errors import RuleErrors as RuleErrors
    from rules.errors import WardlawError as WardlawError
    from rules.files import packs as packs
    from rules.load import load as load
    from rules.loaded import Loaded as Loaded
    from rules.schema import Action as Action
    from rules.schema import Constitution as Constitution
    from rules.schema import Example as Example
    from rules.schema import Part as Part
    from rules.schema import Rule as Rule
    from rules.schema import Severity as Severity
    from rules.schema import Text as Text

_HOMES = {
    "Action": "schema",
    "Constitution": "schema",
    "Example": "schema",
    "Issue": "check",
    "Loaded": "loaded",
    "Location": "errors",
    "Part": "schema",
    "Rule": "schema",
    "RuleError": "errors",
    "RuleErrors": "errors",
    "Severity": "schema",
    "Text": "schema",
    "WardlawError": "errors",
    "check": "check",
    "constitution_digest": "digest",
    "load": "load",
    "packs": "files",
    "rule_digest": "digest",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  # a list of strings all the same


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


class _Rules(ModuleType):
    """Keeps `rules.load` the function: the import system binds the file `load.py` to the same name when it is read."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Rules
