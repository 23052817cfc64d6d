"""Clients of the three APIs, as many at once as wanted, that note all that came to them."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.server.serving import Served

PHRASE = "summon the kraken"
PATHS = {
    "chat_completions": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
}
APIS = tuple(PATHS)
LIMIT_S = 30.0
"""Seconds after which a request counts as one that hangs."""


def body_of(api: str, text: str, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A plain request."""
    turns = [{"role": "user", "content": text}]
    body: dict[str, Any] = {"model": "fake"}
    body |= {"input": turns} if api == "responses" else {"messages": turns}
    if api == "messages":
        body["max_tokens"] = 500
    return {**body, **({"stream": True} if stream else {}), **more}


@dataclass
class Came:
    """What came to a client for one request."""

    api: str = "chat_completions"
    stream: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    broken: str = "it goes on"
    """Why it has no proper end; empty where it has one."""
    sent_at: float = 0.0
    ended_at: float = 0.0

    @property
    def decision(self) -> str:
        return self.headers.get("x-wardlaw-decision", "")

    @property
    def digest(self) -> str:
        return self.headers.get("x-wardlaw-constitution", "")

    @property
    def action(self) -> str:
        return self.headers.get("x-wardlaw-action", "")

    @property
    def seconds(self) -> float:
        return self.ended_at - self.sent_at

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of a stream's events. A line that is cut off, or no JSON, is a failure."""
        lines = [line for line in self.raw.decode().split("\n") if line.startswith("data: ")]
        return [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]

    @property
    def data(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))

    @property
    def text(self) -> str:
        """What the model or the guard says in it."""
        if not self.stream or self.status != 200:
            return _whole_text(self.api, self.data) if self.status == 200 else ""
        return "".join(_delta(self.api, event) for event in self.events)

    @property
    def error(self) -> str:
        """The message of the error that it is, or that its stream ends with; empty where it is none."""
        for each in [self.data] if self.status != 200 or not self.stream else self.events[-1:]:
            told = each.get("error") or (each.get("response") or {}).get("error")
            if each.get("type") == "error":
                told = told or each
            if told:
                return str(told["message"])
        return ""

    @property
    def is_whole(self) -> bool:
        """Whether it ends as an answer of its API that is no error ends."""
        if self.broken or self.status != 200:
            return False
        if not self.stream:
            return bool(self.text)
        if self.api == "chat_completions":
            return self.raw.endswith(b"data: [DONE]\n\n") and not self.error
        last = self.events[-1]["type"] if self.events else ""
        return last in ("message_stop", "response.completed", "response.incomplete")

    def is_clean(self) -> bool:
        """Whether the phrase is nowhere in it, nor in its texts put together."""
        said = self.text if self.status == 200 and not self.broken else _loose_text(self)
        return PHRASE not in self.raw.decode("utf-8", "replace").lower() and PHRASE not in said.lower()


def _whole_text(api: str, data: dict[str, Any]) -> str:
    if api == "chat_completions":
        return "".join(choice["message"]["content"] or "" for choice in data["choices"])
    if api == "messages":
        return "".join(block.get("text", "") for block in data["content"])
    parts = [part for item in data["output"] for part in item.get("content", [])]
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)


def _delta(api: str, event: dict[str, Any]) -> str:
    if api == "chat_completions":
        return "".join((choice.get("delta") or {}).get("content") or "" for choice in event.get("choices", []))
    if api == "messages":
        return str((event.get("delta") or {}).get("text", ""))
    kinds = ("response.output_text.delta", "response.refusal.delta")
    return str(event["delta"]) if event.get("type") in kinds else ""


def _loose_text(came: Came) -> str:
    """Of an answer that was cut anywhere: what can be read."""
    said = ""
    for line in came.raw.decode("utf-8", "replace").split("\n"):
        try:
            said += _delta(came.api, json.loads(line.removeprefix("data: ")))
        except (ValueError, AttributeError):
            continue
    return said


class Clients:
    """Sends requests to one server."""

    def __init__(self, served: Served, session: aiohttp.ClientSession) -> None:
        self.served = served
        self.url = served.url
        self.session = session
        self.came: list[Came] = []

    async def send(self, api: str, body: Any, *, key: str = "", note: bool = True) -> Came:
        """Send one request, and read all that comes. What happens is noted and not raised, unless it hangs."""
        is_json = isinstance(body, dict)
        came = Came(api, bool(is_json and body.get("stream")), sent_at=time.monotonic())
        data = io.BytesIO(json.dumps(body).encode() if is_json else body)  # bytes that long would draw a warning
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        if note:
            self.came.append(came)
        async with asyncio.timeout(LIMIT_S):
            try:
                async with self.session.post(self.url + PATHS[api], data=data, headers=headers) as response:
                    came.status = response.status
                    came.headers = {name.lower(): value for name, value in response.headers.items()}
                    async for chunk in response.content.iter_any():
                        came.raw += chunk
                came.broken = ""
            except (aiohttp.ClientError, OSError) as error:
                came.broken = type(error).__name__
        came.ended_at = time.monotonic()
        return came

    async def ask(self, text: str = "hello", api: str = "chat_completions", **more: Any) -> Came:
        """Send a plain request."""
        key = more.pop("key", "")
        return await self.send(api, body_of(api, text, **more), key=key)

    async def load(self, asks: Iterable[Callable[[], Awaitable[Came]]], at_once: int = 8) -> list[Came]:
        """Make requests, so many at once, each when one before it has ended."""
        waiting = iter(asks)
        done: list[Came] = []

        async def one_after_another() -> None:
            for ask in waiting:
                came = await ask()
                done.append(came)

        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        return done

    @property
    def told(self) -> set[str]:
        """The decisions that clients were told of."""
        return {came.decision for came in self.came if came.decision}


@asynccontextmanager
async def clients_of(served: Served) -> AsyncIterator[Clients]:
    """Clients that share a pool of connections, and forget it afterwards."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        yield Clients(served, session)


async def until(true: Callable[[], Any], within_s: float = LIMIT_S) -> None:
    """Wait until something is true that other tasks of this loop bring about."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
