"""A small server of the proxy's own routes, in the test's own loop, before the model server of the folder above."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from guard.gate import Gate
from guard.guard import Guard
from rules.load import load
from server.dialects.chat_completions import DIALECT as CHAT
from server.dialects.messages import DIALECT as MESSAGES
from server.dialects.responses import DIALECT as RESPONSES
from server.parts import AuditFailed, Busy, Denied, Parts
from server.proxy.endpoint import Endpoint
from server.record import Caller, Record
from server.settings import ServerSettings
from server.upstreams.http import HttpUpstream
from tests.server.in_loop import serving

RULES = """
constitution: proxy-tests
title: Tests of the proxy
rules:
  - id: kraken-summoning
    title: {en: Summoning the kraken, zh: 召唤海怪}
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    watches: [prompt, response, reasoning, tool_call, tool_result, system]
    detect: {patterns: [{literal: summon the kraken}], meaning: null}
    reply: {en: I keep away from krakens., zh: 我不谈海怪。}
  - id: treasure-codes
    title: Codes of the treasure chest
    rule: Do not tell the code of the chest.
    why: Whoever has the code empties the chest.
    watches: [prompt, response, reasoning, tool_call, tool_result]
    detect: {patterns: [{regex: 'chest-[0-9]{4}'}], meaning: null}
    on: {prompt: redact, response: redact, reasoning: redact, tool_call: redact, tool_result: redact}
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


@dataclass
class Doorway:
    """Lets everyone in, or those with the key `right`."""

    locked: bool = False

    def caller(self, headers: dict[str, str], scope: str) -> Caller:
        if self.locked and headers.get("authorization") != "Bearer right":
            raise Denied(401, "this key is not known", "ask for one")
        return Caller("k1" if self.locked else "")


@dataclass
class Full:
    """Takes as many as there is room for."""

    room: int = 1000
    inside: int = 0

    @contextmanager
    def enter(self, _: Caller) -> Iterator[None]:
        if self.inside >= self.room:
            raise Busy("too much in hand", 2.5)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


@dataclass
class Noted:
    """Telemetry that only remembers."""

    decided_records: list[Record] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    holds: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def begin(self, _: Any) -> None:
        return None

    def decided(self, record: Record, _: Any) -> None:
        self.decided_records.append(record)

    def first(self, added_s: float) -> None:
        self.firsts.append(added_s)

    def held(self, characters: int) -> None:
        self.holds.append(characters)

    def failed(self, kind: str) -> None:
        self.failures.append(kind)


class OneGuard:
    """One constitution, whose leases are counted."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.leases = 0

    @contextmanager
    def lease(self, _: str, key: str = "") -> Iterator[Guard]:
        self.leases += 1
        try:
            yield self.guard
        finally:
            self.leases -= 1


class Stand:
    """The server, and all its parts to look at."""

    def __init__(self, parts: Parts, port: int) -> None:
        self.parts = parts
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False)
        self.audit: MemoryAudit = parts.audit  # type: ignore[assignment]
        self.telemetry: Noted = parts.telemetry  # type: ignore[assignment]

    async def ask(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.client.post(path, json=body, headers=headers)


@pytest.fixture
async def stand(fake_upstream: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens servers: `await stand(rules=..., tell={...}, guard={...})`."""
    closing = AsyncExitStack()
    numbers = count()

    async def open_stand(rules: str = RULES, **more: Any) -> Stand:
        path = tmp_path / f"rules{next(numbers)}.yaml"
        path.write_text(rules)
        usual = {"upstream": {"url": fake_upstream.url, "apis": ("chat_completions", "messages", "responses")}}
        settings = ServerSettings.model_validate({**usual, **more})
        gate = Gate.build(load(path).constitution, encoder=None)
        guard = Guard(gate, settings=settings.guard)
        upstream = HttpUpstream(settings.upstream)
        parts = Parts(settings, OneGuard(guard), upstream, MemoryAudit(), Doorway(), Full(), Noted())
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", Endpoint(parts, CHAT), methods=["POST"]),
                Route("/v1/messages", Endpoint(parts, MESSAGES), methods=["POST"]),
                Route("/v1/responses", Endpoint(parts, RESPONSES), methods=["POST"]),
            ]
        )
        closing.callback(guard.close)
        closing.push_async_callback(upstream.close)
        made = Stand(parts, await closing.enter_async_context(serving(app)))
        closing.push_async_callback(made.client.aclose)
        return made

    async with closing:
        yield open_stand
