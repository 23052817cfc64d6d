"""The APIs' own JSON, one file or folder each: how a request and an answer are read, rewritten and refused in it.

A file or folder here offers its dialect as `DIALECT`, and is found by its name.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Mapping
from functools import cache

from rules.errors import WardlawError
from server.dialects.base import Dialect


class DialectError(WardlawError):
    """There is no such dialect, or a plug-in is not one."""


def dialects() -> list[str]:
    """Names of the dialects: what lies in this folder, and entry points of the group `wardlaw.dialects`."""
    own = [info.name for info in pkgutil.iter_modules(__path__)]
    return sorted({name for name in (*own, *_plugged()) if name != "base" and not name.startswith("_")})


@cache
def _plugged() -> Mapping[str, importlib.metadata.EntryPoint]:
    # Once a process: each reading goes through the metadata of every distribution there is.
    points = importlib.metadata.entry_points(group="wardlaw.dialects")
    return {point.name: point for point in reversed(tuple(points))}  # of two of one name the first


def open_dialect(name: str) -> Dialect:
    """The dialect of an API.

    Raises:
        DialectError: there is no such dialect, or a plug-in is not one.
    """
    if name not in dialects():
        raise DialectError(f"unknown dialect `{name}`", f"the dialects are {', '.join(dialects())}")
    point = _plugged().get(name)
    found = importlib.import_module(f"{__name__}.{name}").DIALECT if point is None else point.load()
    missing = [method for method in _OFFERS if not hasattr(found, method)]
    if missing:
        raise DialectError(f"`{name}` is no dialect: it has no `{missing[0]}`", f"it offers {', '.join(_OFFERS)}")
    dialect: Dialect = found
    return dialect


_OFFERS = ("name", "read", "streams", "edited", "answers", "ruled", "redrawn", "reply", "fault", "stream")
