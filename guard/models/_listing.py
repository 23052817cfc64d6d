"""What `GET /models` of an OpenAI-compatible endpoint tells: which models it serves, and from which weights."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.models._endpoint import Endpoint
from guard.models._faults import fault_of
from guard.models._patience import Passing
from guard.models._refusals import NotThere, meaning, read_refusal
from guard.models._responses import read_body
from guard.models.base import ModelConfigError, ModelError

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class Listed:
    """One model of the list."""

    name: str
    root: str
    """Folder or repository of its weights, as vLLM tells it; empty where the server does not say."""


async def list_models(session: aiohttp.ClientSession, endpoint: Endpoint, deadline: float) -> tuple[Listed, ...] | None:
    """The models that an endpoint serves; None where it answers and has no such list.

    Args:
        session: with the endpoint's key in its headers.
        endpoint: where.
        deadline: seconds.

    Raises:
        Passing: no answer, not in time, or one that says that it is busy or broken.
        ModelConfigError: the key is refused, or it has moved.
    """
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=deadline)
    fault: Passing | ModelError
    try:
        async with session.get(f"{endpoint.base}/models", timeout=timeout, allow_redirects=False) as response:
            raw = await read_body(response)
            if response.status == 200:
                return _read(raw)
            fault = meaning(read_refusal(response.status, raw), response.headers, endpoint)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        fault = fault_of(error, deadline, endpoint)
    if isinstance(fault, Passing) or (isinstance(fault, ModelConfigError) and not isinstance(fault, NotThere)):
        raise fault
    return None


def not_there(error: NotThere, served: Sequence[Listed], endpoint: Endpoint) -> ModelConfigError:
    """Say which models the endpoint has, after it did not know the one asked for."""
    names = sorted(listed.name for listed in served)
    if not names or endpoint.model in names:
        hint = f"check the address: most end in `/v1`, and `{endpoint.base}/models` should list the models"
        return ModelConfigError(error.what, hint)
    near = difflib.get_close_matches(endpoint.model, names, n=1, cutoff=0.5)
    offered = endpoint.scrub(", ".join(names[:20]))
    hint = f"did you mean `{near[0]}`? it offers: {offered}" if near else f"it offers: {offered}"
    return ModelConfigError(f"`{endpoint.base}` has no model `{endpoint.model}`", hint)


def _read(raw: bytes) -> tuple[Listed, ...] | None:
    try:
        entries: Any = json.loads(raw)["data"]
        return tuple(Listed(str(entry["id"]), str(entry.get("root") or "")) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
