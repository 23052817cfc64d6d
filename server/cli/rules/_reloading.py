"""Asking a running server to load its rules again."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from rules.errors import WardlawError

PATIENCE_S = 120.0
"""A reload builds a gate and runs the rules' tests."""


def ask_to_reload(server: str, key: str | None) -> dict[str, Any]:
    """What a server says to `POST /admin/reload`; under `error`, why it could not be asked.

    Raises:
        WardlawError: it is no address.
    """
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WardlawError(f"`--server`: `{server}` is no address", "give it as http://127.0.0.1:8080")
    url = f"{parts.scheme}://{parts.netloc}/admin/reload"
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, data=b"", headers=headers, method="POST")  # noqa: S310
    # A proxy of the environment would make the request a stranger's, which the server refuses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as response:
            told = json.load(response)
    except urllib.error.HTTPError as error:
        told = _read(error)
    except (OSError, HTTPException, ValueError) as error:
        return {"error": f"`{server}` cannot be asked: {getattr(error, 'reason', None) or error}"}
    return told if isinstance(told, dict) else {"error": "its answer is none of this server"}


def _read(error: urllib.error.HTTPError) -> Any:
    """The answer of a server that refuses."""
    try:
        told = json.load(error)
    except (OSError, HTTPException, ValueError):
        return {"error": f"it answers {error.code}"}
    fault = told.get("error") if isinstance(told, dict) else None
    if isinstance(fault, dict):
        return {"error": f"it answers {error.code}: {fault.get('message', '')}"}
    return told
