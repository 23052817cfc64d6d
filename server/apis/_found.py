"""What the two APIs on decisions share: the database behind the audit, and a decision that a caller may see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote

import orjson
from pydantic import BaseModel

from server.apis._small import Asked, Told
from server.audit.database import Database
from server.audit.errors import Unreachable
from server.audit.keeper import Keeper
from server.audit.query import Decisions, Found
from server.dialects.base import Fault
from server.dialects.chat_completions.faults import fault_body
from server.parts import Denied, Door, Parts
from server.record import Caller

T = TypeVar("T")
Given = ParamSpec("Given")

_THREADS = 4
_LOOK_UP_S = 10.0
_FRESH_S = 15.0
_STEPS = 10
_STEP_S = 0.1


class EitherDoor:
    """Lets in who has one of several scopes."""

    def __init__(self, door: Door, *scopes: str) -> None:
        """Args: scopes: in the order in which they are tried."""
        self._door = door
        self._scopes = scopes

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Who asks.

        Raises:
            Denied: as the door behind does for the first of the scopes.
        """
        first: Denied | None = None
        for each in self._scopes:
            try:
                return self._door.caller(headers, each)
            except Denied as error:
                if error.status != 403:
                    raise
                first = first or error
        raise first or Denied(403, "no scope is enough")


def with_scopes(parts: Parts, *scopes: str) -> Parts:
    """The parts, with a door for any of these scopes."""
    return replace(parts, door=EitherDoor(parts.door, *scopes))


def database_of(parts: Parts) -> Database | None:
    """The database behind the audit; None where the audit has none, as in a test of another piece."""
    return parts.audit.database if isinstance(parts.audit, Keeper) else None


async def looked_up(function: Callable[Given, T], *args: Given.args, **more: Given.kwargs) -> T:
    """Call a function that blocks on the database, in one of a few threads of its own.

    A database that hangs holds each of them for many seconds. In the threads that all share, the audit's waits for the
    disk and the reading of keys would stand behind them.

    Raises:
        Unreachable: it took too long.
    """
    call = asyncio.get_running_loop().run_in_executor(_threads(), partial(function, *args, **more))
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            return await call
    except TimeoutError:
        raise Unreachable("the database does not answer in time", "see that it runs") from None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "wardlaw-look-up")


async def found_for(caller: Caller, decisions: Decisions, decision: str) -> Found | None:
    """A decision that a caller may see: its own, or any with the scope `audit`.

    Another's is as good as not there: that it exists is no one else's business. One that was made a moment ago may
    still be on its way to the database, from whichever worker made it, so it is waited for.

    Raises:
        AuditError: the database cannot be used.
    """
    found = await looked_up(decisions.one, decision)
    for _ in range(_STEPS if found is None and _is_fresh(decision) else 0):
        await asyncio.sleep(_STEP_S)
        found = await looked_up(decisions.one, decision)
        if found is not None:
            break
    if found is None or (found.key != caller.key and "audit" not in caller.scopes):
        return None
    return found


def _is_fresh(decision: str) -> bool:
    """Whether an id says that it was made a moment ago."""
    try:
        made = int(decision[2:14], 16) / 1000
    except ValueError:
        return False
    return decision.startswith("d_") and abs(time.time() - made) < _FRESH_S


def last_of_path(asked: Asked) -> str:
    """The last piece of a request's path."""
    return unquote(asked.path.partition("?")[0].rpartition("/")[2])


def described(*models: type[BaseModel]) -> dict[str, Any]:
    """The models as schemas of an OpenAPI document."""
    schemas: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    return {"schemas": schemas}


def refused(status: int, kind: str, message: str, where: str = "", retry_after: float | None = None) -> Told:
    """An error, in the shape of all others."""
    return Told(status, orjson.dumps(fault_body(Fault(status, kind, message, retry_after, where))))


def away() -> Told:
    """The answer while the database is away."""
    return refused(503, "overloaded", "the audit's database cannot be read now; ask again later")
