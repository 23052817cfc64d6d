"""A small server of the APIs that carry no conversation, before the model server of the folder above."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.applications import Starlette

from guard.gate import Gate
from guard.guard import Guard
from rules.load import load
from server.apis import embeddings, models, moderations
from server.parts import AuditFailed, Busy, Denied, Parts
from server.record import Caller, Record
from server.settings import ServerSettings
from server.upstreams.http import HttpUpstream
from tests.server.in_loop import serving

RULES = """
constitution: api-tests
title: Tests of the APIs
rules:
  - id: kraken-summoning
    title: {en: Summoning the kraken, zh: 召唤海怪}
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    hazards: ["mlcommons-1.0:violent-crimes", "sea-1:K1"]
    watches: [prompt, response]
    detect: {patterns: [{literal: summon the kraken}], meaning: null}
  - id: harassment-and-threats
    title: Harassment
    rule: Do not harass anyone.
    why: It drives people away who did nothing wrong.
    hazards: ["mlcommons-1.0:violent-crimes"]
    watches: [response]
    detect: {patterns: [{literal: you bilge rat}], meaning: null}
    on: {response: redact}
  - id: naming-nobody
    title: Naming nobody
    rule: Do not name nobody.
    why: Nobody likes to be named in front of strangers.
    watches: [response]
    detect: {patterns: [{literal: the model `nobody`}], meaning: null}
  - id: idle-gossip
    title: Gossip
    rule: Do not gossip about the captain.
    why: It is unkind, and most of it is not true.
    hazards: ["mlcommons-1.0:hate"]
    mode: shadow
    detect: {patterns: [{literal: psst the captain}], meaning: null}
"""


class MemoryAudit:
    """Keeps records in a list; refuses them where it is told to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.fails = False

    async def keep(self, record: Record) -> None:
        if self.fails:
            raise AuditFailed("the disk is full", "make room")
        self.records.append(record)


class Scoped:
    """Lets in those whose key is the name of the scope that they want."""

    def __init__(self) -> None:
        self.locked = False

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        if not self.locked:
            return Caller()
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if key not in {"chat", "moderate", "embed"}:
            raise Denied(401, "this key is not known", "ask for one")
        if key != scope:
            raise Denied(403, f"this key may not `{scope}`", "ask for one that may")
        return Caller("k1")


class Room:
    """Takes as many as there is room for."""

    def __init__(self) -> None:
        self.full = False

    @contextmanager
    def enter(self, _: Caller) -> Iterator[None]:
        if self.full:
            raise Busy("too much in hand", 2.5)
        yield


class OneGuard:
    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    @contextmanager
    def lease(self, _: str, key: str = "") -> Iterator[Guard]:
        yield self.guard


class Noted:
    """Telemetry that only remembers."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failures: list[str] = []

    def begin(self, _: Any) -> None:
        return None

    def decided(self, record: Record, _: Any) -> None:
        self.records.append(record)

    def failed(self, kind: str) -> None:
        self.failures.append(kind)


class Stand:
    """The server, and its parts to look at."""

    def __init__(self, parts: Parts, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.parts = parts
        self.audit: Any = parts.audit
        self.door: Any = parts.door
        self.limits: Any = parts.limits
        self.telemetry: Any = parts.telemetry
        self.http = httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False)
        self._clients: list[openai.AsyncOpenAI] = []
        self.client = self.as_key("k")

    def as_key(self, key: str) -> openai.AsyncOpenAI:
        """The official client, with a key."""
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        await self.http.aclose()
        for client in self._clients:
            await client.close()


@pytest.fixture
async def stand(fake_upstream: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens servers: `await stand(guard={...}, limits={...})`."""
    closing = AsyncExitStack()

    async def open_stand(**more: Any) -> Stand:
        path = tmp_path / "rules.yaml"
        path.write_text(RULES)
        settings = ServerSettings.model_validate({"upstream": {"url": fake_upstream.url}, **more})
        guard = Guard(Gate.build(load(path).constitution, encoder=None), settings=settings.guard)
        upstream = HttpUpstream(settings.upstream)
        parts: Any = Parts(settings, OneGuard(guard), upstream, MemoryAudit(), Scoped(), Room(), Noted())
        app = Starlette(routes=[route for api in (moderations, models, embeddings) for route in api.routes(parts)])
        closing.callback(guard.close)
        closing.push_async_callback(upstream.close)
        made = Stand(parts, await closing.enter_async_context(serving(app)))
        closing.push_async_callback(made.close)
        return made

    async with closing:
        yield open_stand
