"""The address of an upstream, checked when the server starts and not when the first client asks."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from rules.errors import WardlawError

_EXAMPLE = "write it as `http://host:port/v1`"
_ENDPOINTS = ("/chat/completions", "/messages", "/responses", "/embeddings", "/models")


def checked(url: str) -> str:
    """The address without a slash at its end.

    Raises:
        WardlawError: it is no http address, or has a login, a query, a fragment or an endpoint's path.
    """
    given = url.strip()
    shown = re.sub(r"//[^/@]*@", "//[login]@", given)[:200]
    try:
        parts = urlsplit(given)
        _ = parts.port
        # look-up encodes the name so, and what it cannot encode would fail there as late as the first call
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise WardlawError(f"the upstream's url `{shown}` is no address: {error}", _EXAMPLE) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f]", given):
        raise WardlawError(f"the upstream's url `{shown}` is no http address", _EXAMPLE)
    if "@" in parts.netloc:
        hint = "a key stands in the setting `upstream.key`, never in the address"
        raise WardlawError(f"the upstream's url `{shown}` has a login in it", hint)
    if parts.query or parts.fragment:
        raise WardlawError(f"the upstream's url `{shown.partition('?')[0]}` has a query or a fragment", _EXAMPLE)
    address = given.rstrip("/")
    for endpoint in _ENDPOINTS:
        if address.endswith(endpoint):
            short = address.removesuffix(endpoint)
            raise WardlawError(f"the upstream's url `{shown}` is that of one endpoint", f"write `{short}`")
    return address


def proxy_for(address: str) -> str | None:
    """The proxy that the environment names for an address; never one for loopback."""
    import urllib.request

    parts = urlsplit(address)
    host = parts.hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1" or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)
