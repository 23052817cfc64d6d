"""The proxy without sockets: its endpoints are called as ASGI applications, before a model that is a list of bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import orjson

from guard.detectors.base import Cover, Scan
from guard.exchange import Exchange
from guard.gate import Gate
from guard.guard import Guard
from guard.verdict import Finding
from rules.load import load
from rules.schema import Part, Rule
from server.dialects.chat_completions import DIALECT as CHAT
from server.dialects.messages import DIALECT as MESSAGES
from server.dialects.responses import DIALECT as RESPONSES
from server.parts import Parts
from server.proxy.endpoint import Endpoint
from server.settings import ServerSettings
from server.upstreams.base import Answered, Event
from server.upstreams.sse import Events
from tests.server.fuzz.speaking import PATHS, Json, Said
from tests.server.proxy.conftest import Doorway, Full, MemoryAudit, Noted, OneGuard

_APIS = {path: api for api, path in PATHS.items()}
REPLY = "I keep away from krakens."
MASK = "[redacted]"
RULES = f"""
constitution: fuzz-tests
title: Tests of cuts
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    watches: [prompt, response, reasoning, tool_call, tool_result, system]
    detect: {{patterns: [{{literal: summon the kraken}}], meaning: null}}
    reply: {REPLY}
  - id: treasure-codes
    title: Codes of the treasure chest
    rule: Do not tell the code of the chest.
    why: Whoever has the code empties the chest.
    watches: [response, reasoning, tool_call]
    detect: {{patterns: [{{regex: 'chest-[0-9]{{4}}'}}], meaning: null}}
    on: {{response: redact, reasoning: redact, tool_call: redact}}
"""


class Memory:
    """A model that says what it is told to, in the API that it is asked in."""

    identity = "memory"

    def __init__(self) -> None:
        self.said: Said | None = None
        self.random = Random(0)
        self.pause = 0.0
        self.bodies: list[Json] = []

    def speaks(self, dialect: str) -> bool:
        return True

    async def ask(self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answered:
        self.bodies.append(dict(body))
        assert self.said is not None
        data = self.said.whole()
        return Answered(200, orjson.dumps(data), data, {})

    @asynccontextmanager
    async def stream(
        self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[Mapping[str, str], AsyncIterator[Event]]]:
        self.bodies.append(dict(body))
        assert self.said is not None
        yield {}, self._events(self.said)

    async def _events(self, said: Said) -> AsyncIterator[Event]:
        parser = Events()
        for chunk in said.stream(self.random):
            if self.random.random() < 0.1:
                await asyncio.sleep(self.pause)
            for event in parser.feed(chunk):
                yield event
                if event.kind == "done":
                    return
        for event in parser.close():
            yield event

    async def ready(self) -> bool:
        return True

    async def passed(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        return 200, b"{}", {"content-type": "application/json"}

    async def close(self) -> None: ...


class Slow:
    """Finds `kraken-summoning` where the word `whalebait` is said, after some time, as a model would."""

    name = "slow"
    identity = "slow"
    instant = False
    skips_clear = False

    def covers(self, rule: Rule, part: Part) -> Cover:
        return Cover(by="slow")

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        time.sleep(0.0005)
        return [Scan(tuple(self._found(each))) for each in exchanges]

    def _found(self, exchange: Exchange) -> list[Finding]:
        last = exchange.messages[-1]
        said = [(exchange.part, last.content), (Part.REASONING, last.reasoning or "")]
        said += [(Part.TOOL_CALL, call) for call in last.tool_calls]
        return [
            Finding("kraken-summoning", part, (at, at + 9), "slow", 0.9, 0.5)
            for part, text in said
            if (at := text.find("whalebait")) >= 0
        ]

    def close(self) -> None: ...


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Json:
        return dict(json.loads(self.body))


class Inside:
    """The three endpoints and the model behind them."""

    def __init__(self, folder: Path, *, slow: bool = False, **more: Any) -> None:
        (folder / "rules.yaml").write_text(RULES)
        self.model = Memory()
        given = {"upstream": {"url": "http://127.0.0.1:1/v1"}, **more}
        settings = ServerSettings.model_validate(given)
        gate = Gate.build(load(folder / "rules.yaml").constitution, encoder=None, also=[Slow()] if slow else [])
        self.guard = Guard(gate, settings=settings.guard)
        self.audit = MemoryAudit()
        parts = Parts(settings, OneGuard(self.guard), self.model, self.audit, Doorway(), Full(), Noted())
        self.endpoints = {
            name: Endpoint(parts, dialect)
            for name, dialect in (("chat_completions", CHAT), ("messages", MESSAGES), ("responses", RESPONSES))
        }

    async def ask(self, api: str, body: Json | bytes) -> Answer:
        """One request, from its bytes to the last byte of its answer."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        answer = Answer()
        first = True
        over = asyncio.Event()

        async def receive() -> Json:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": raw}
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            assert not over.is_set(), "something is sent after the end"
            if message["type"] == "http.response.start":
                assert not answer.status
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                return
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                over.set()

        scope = {"type": "http", "method": "POST", "path": PATHS[api], "headers": [], "query_string": b""}
        async with asyncio.timeout(20):
            await self.endpoints[api](scope, receive, send)
        assert over.is_set(), "the answer has no end"
        return answer

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """The endpoints as one application."""
        await self.endpoints[_APIS[scope["path"]]](scope, receive, send)

    async def say(self, said: Said, seed: int, *, stream: bool, pause: float = 0.0) -> Answer:
        """Have the model say something, and hear what arrives."""
        self.model.said, self.model.random, self.model.pause = said, Random(seed), pause
        return await self.ask(said.api, said.request(stream=stream))

    def close(self) -> None:
        self.guard.close()
