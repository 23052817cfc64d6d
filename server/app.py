"""The application: parts come in as arguments or are opened from the settings; routes are files of `server.apis`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException

import server.apis
from server.opening import Opened, open_parts
from server.parts import Parts
from server.settings import ServerSettings
from server.unrouted import unrouted


def create_app(settings: ServerSettings, parts: Parts | None = None) -> FastAPI:
    """The server's application.

    Args:
        settings: everything that can be set.
        parts: ready parts, which stay the caller's to close. Without them the application opens its own when it
            starts, and closes them when it stops.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if parts is not None:
            yield
            return
        opened = await open_parts(settings)
        try:
            _mount(app, opened.parts)
            async with opened.running():
                yield
        finally:
            await opened.close()

    from importlib.metadata import version

    app = FastAPI(
        title="Wardlaw",
        summary="A guard in front of a language model, which keeps a constitution of rules.",
        version=version("wardlaw"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Behind a proxy that ends TLS it would send a client, with its key, to plain HTTP.
        redirect_slashes=False,
        exception_handlers={HTTPException: unrouted},
    )
    if parts is not None:
        _mount(app, parts)
    return app


def app_of(settings: ServerSettings, opened: Opened) -> FastAPI:
    """The application of parts that are open already, so that what is wrong with them is told before anyone listens.

    It runs their tasks while it runs, and leaves closing them to the caller.
    """
    app = create_app(settings, opened.parts)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with opened.running():
            yield

    app.router.lifespan_context = lifespan
    return app


def apis() -> Iterator[ModuleType]:
    """The files of `server.apis`: each offers `routes(parts)`, and perhaps `OPENAPI`."""
    for info in sorted(pkgutil.iter_modules(server.apis.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{server.apis.__name__}.{info.name}")


def _mount(app: FastAPI, parts: Parts) -> None:
    """Add all routes, and what they say of themselves to the OpenAPI document."""
    found = [(module, module.routes(parts)) for module in apis()]
    for _, routes in found:
        app.router.routes.extend(routes)
    app.state.parts = parts
    described = [module.OPENAPI for module, _ in found if hasattr(module, "OPENAPI")]
    from_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            document = from_fastapi()
            for each in described:
                _laid_over(document, each)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _laid_over(document: dict[str, Any], part: dict[str, Any]) -> None:
    """Lay a part of an OpenAPI document (`paths`, `components`, `tags`) over the whole."""
    for key, value in part.items():
        there = document.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            _laid_over(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            there.extend(value)
        else:
            document[key] = value
