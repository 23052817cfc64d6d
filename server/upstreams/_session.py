"""The connections to one upstream, and which request opened which of them."""

from __future__ import annotations

import socket
from contextvars import ContextVar
from typing import TYPE_CHECKING

from server.upstreams._address import proxy_for
from server.upstreams._headers import ANTHROPIC_VERSION

if TYPE_CHECKING:
    import aiohttp

    from server.upstreams.settings import UpstreamSettings

_new_sockets: ContextVar[list[bool] | None] = ContextVar("new sockets of a request", default=None)
"""Where a request that opens a connection notes that it does; aiohttp's own tracing would cost every request a fifth
of its time."""


def open_session(settings: UpstreamSettings, address: str, key: str) -> aiohttp.ClientSession:
    """A session of the running loop.

    Args:
        settings: of the upstream.
        address: of the upstream.
        key: of the server for it; empty where clients bring their own.
    """
    import aiohttp

    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "wardlaw"}
    if settings.kind == "anthropic":
        headers["anthropic-version"] = ANTHROPIC_VERSION
        if key:
            headers["x-api-key"] = key
    elif key:
        headers["Authorization"] = f"Bearer {key}"
    return aiohttp.ClientSession(
        headers=headers,
        proxy=proxy_for(address),
        timeout=aiohttp.ClientTimeout(total=settings.total_s, connect=settings.connect_s, sock_read=settings.first_s),
        connector=aiohttp.TCPConnector(limit=settings.connections, ttl_dns_cache=60, socket_factory=_noted_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def new_sockets() -> list[bool]:
    """A list that gets an entry for each connection that the request sent next opens."""
    fresh: list[bool] = []
    _new_sockets.set(fresh)
    return fresh


def _noted_socket(address: aiohttp.connector.AddrInfoType) -> socket.socket:
    """A socket for a new connection, noted for the request that needs it."""
    sockets = _new_sockets.get()
    if sockets is not None:
        sockets.append(True)
    family, kind, protocol = address[:3]
    return socket.socket(family, kind, protocol)
