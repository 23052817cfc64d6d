"""The address of an upstream: what is checked of it beyond the settings, and the way there."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from rules.errors import WardlawError

_ENDPOINTS = ("/chat/completions", "/messages", "/responses", "/embeddings", "/models")


def checked(url: str) -> str:
    """The address without a slash at its end.

    Args:
        url: as `UpstreamSettings` takes it: http or https, a host, no login, no query.

    Raises:
        WardlawError: its host can be looked up nowhere, or its path is that of one endpoint.
    """
    address = url.rstrip("/")
    try:
        # look-up encodes the name so, and what it cannot encode would fail as late as the first call
        (urlsplit(address).hostname or "").encode("idna")
    except ValueError:
        address = ""
    if not address or re.search(r"[\s\x00-\x1f\x7f]", address):
        raise WardlawError(f"the upstream's url `{url}` is no address", "write it as `http://host:port/v1`")
    for endpoint in _ENDPOINTS:
        if address.endswith(endpoint):
            hint = f"write `{address.removesuffix(endpoint)}`"
            raise WardlawError(f"the upstream's url `{url}` is that of one endpoint", hint)
    return address


def proxy_for(address: str) -> str | None:
    """The proxy that the environment names for an address; never one for loopback."""
    import urllib.request

    parts = urlsplit(address)
    host = parts.hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1" or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def is_plain(path: str) -> bool:
    """Whether a path is below the address for whoever reads it: without what climbs, however it is written.

    Servers differ in how often they decode a path before they resolve its dots. A client that climbs from a model's
    name would reach all that the server's key opens, answers that were kept for others among it.

    Args:
        path: as it stands in a request, a query with it.
    """
    name = path.partition("?")[0]
    while (decoded := unquote(name)) != name:
        name = decoded
    pieces = name.removeprefix("/").split("/")
    plain = all(piece.partition(";")[0].strip(". ") for piece in pieces) and not re.search(r"[\\\x00-\x1f\x7f]", name)
    return path.isascii() and "#" not in path and name.startswith("/") and plain
