"""The front of the application: requests for the chat APIs go straight to them, all else by FastAPI.

Going through FastAPI's layers and list of routes takes a sixth of the processor time of a guarded request.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from server.proxy.endpoint import Endpoint


class Front:
    """An ASGI application in front of another, which it passes on what is not its own."""

    def __init__(self, app: FastAPI) -> None:
        """Find the chat APIs among the application's routes."""
        self._app = app
        self._direct: dict[str, ASGIApp] = {
            route.path: route.endpoint
            for route in app.router.routes
            if isinstance(route, Route) and isinstance(route.endpoint, Endpoint)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or the life of the application."""
        if scope["type"] == "http" and scope["method"] == "POST":
            direct = self._direct.get(scope["path"])
            if direct is not None:
                await direct(scope, receive, send)
                return
        await self._app(scope, receive, send)
