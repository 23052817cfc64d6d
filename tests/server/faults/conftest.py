"""For tests of faults: servers in processes of their own, clients that note all that came, and what the audit kept."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any

import pytest

from tests.server.audit.conftest import postgres
from tests.server.faults.clients import Clients, clients_of
from tests.server.serving import Served, serve

__all__ = ["postgres", "serve"]

Row = dict[str, Any]


def rows_of(served: Served, url: str = "") -> dict[str, Row]:
    """Id -> what the audit's database has of a decision now. Args: url: of a PostgreSQL, else it is the usual file."""
    query = "select id, key, constitution, digest, action, state, status, fault, degraded from decisions"
    if url:
        import psycopg

        with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
            return {row["id"]: row for row in connection.execute(query)}
    with closing(sqlite3.connect(served.folder / "data" / "audit.sqlite")) as file:
        file.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in file.execute(query)}


async def kept(served: Served, ids: Iterable[str], url: str = "", within_s: float = 20.0) -> dict[str, Row]:
    """The rows of some decisions, as soon as all are in the database and none of them is open."""
    wanted = set(ids)
    until = time.monotonic() + within_s
    while True:
        rows = await asyncio.to_thread(rows_of, served, url)
        if wanted <= {each for each, row in rows.items() if row["state"] != "open"}:
            return {each: rows[each] for each in wanted}
        assert time.monotonic() < until, f"not kept: {wanted - set(rows)}"
        await asyncio.sleep(0.03)


@pytest.fixture
def watched() -> Callable[[Served], AbstractAsyncContextManager[Clients]]:
    """Clients of a server; in the end it is seen that it still answers, that what should not leave has not, and that
    the audit has what was told (with `keep=False` that is left to the test: the audit writes some times a second)."""

    @asynccontextmanager
    async def with_clients(
        served: Served, *, key: str = "", url: str = "", after: bool = True, keep: bool = True
    ) -> AsyncIterator[Clients]:
        async with clients_of(served) as clients:
            yield clients
            if after:
                came = await clients.ask("say: all is well", key=key)
                assert came.is_whole
                assert came.text == "all is well"
            assert (await asyncio.to_thread(served.health))["status"] == "ok"
            assert [came for came in clients.came if not came.is_clean()] == []
            ids = [came.decision for came in clients.came if came.decision]
            assert len(ids) == len(set(ids))
            if keep:
                await kept(served, ids, url)

    return with_clients
