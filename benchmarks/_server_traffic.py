"""Mixed traffic for the soak: three APIs, streams and whole answers, harmless and breaking, each answer checked."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks._server_client import Answer, Connection, post
from benchmarks._server_texts import BREAKING, MARK, REPLY, SECRET, prompt

PATHS = {"chat_completions": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


@dataclass(frozen=True)
class Asked:
    """One request of the mix."""

    api: str
    stream: bool
    kind: str
    """`clean`, `prompt` (it breaks a rule) or `answer` (it is answered with what breaks one)."""
    raw: bytes


@dataclass
class Tally:
    """What came of all of it."""

    answered: int = 0
    ids: set[str] = field(default_factory=set)
    """Of the decisions that clients were told of."""
    kinds: Counter[str] = field(default_factory=Counter)
    digests: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)
    """The beginning of the first answer with each error."""
    took: list[tuple[float, float]] = field(default_factory=list)
    """When, and how many milliseconds: harmless whole answers of chat completions alone, which are all alike."""


def mixed(address: str, apis: tuple[str, ...], seed: int) -> Iterator[Asked]:
    """Requests without end."""
    draw = random.Random(seed)
    number = seed * 10_000_000
    while True:
        number += 1
        api, stream = draw.choice(apis), draw.random() < 0.5
        kind = draw.choices(("clean", "prompt", "answer"), (8, 1, 1))[0]
        text = prompt(draw.choice((200, 200, 1000, 4000)), number)
        if kind != "clean":
            text += f" {BREAKING if kind == 'prompt' else MARK}"
        body: dict[str, Any] = {"model": "mock"}
        if api == "responses":
            body["input"] = text
        else:
            body["messages"] = [{"role": "user", "content": text}]
        if api == "messages":
            body["max_tokens"] = 400
        if stream:
            body["stream"] = True
        yield Asked(api, stream, kind, post(address + PATHS[api], body))


def heard(answer: Answer, asked: Asked) -> str:
    """All text that a client of the API would show."""
    if asked.stream:
        events = (orjson.loads(data) for _, data in answer.events() if data.startswith(b"{"))
        return "".join(said for event in events for said in _said(event, asked.api))
    data = orjson.loads(answer.body()[0])
    if asked.api == "chat_completions":
        return "".join(choice["message"].get("content") or "" for choice in data["choices"])
    blocks = (
        data["content"] if asked.api == "messages" else [part for item in data["output"] for part in item["content"]]
    )
    return "".join(block.get("text") or "" for block in blocks)


def _parts(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for item in data["output"] for part in item.get("content") or ()]


def _said(event: dict[str, Any], api: str) -> Iterator[str]:
    if api == "chat_completions":
        yield from (choice["delta"].get("content") or "" for choice in event.get("choices") or ())
    elif api == "messages" and event.get("type") == "content_block_delta":
        yield event["delta"].get("text") or ""
    elif api == "responses" and event.get("type") == "response.output_text.delta":
        yield event["delta"]


def fault_of(answer: Answer, asked: Asked) -> str:
    """What is wrong with an answer; empty where nothing is."""
    if answer.fault:
        return answer.fault
    if answer.status != 200:
        return f"status {answer.status}"
    if SECRET.encode() in answer.raw:
        return "a secret came through"
    try:
        text = heard(answer, asked)
    except (ValueError, KeyError, TypeError) as error:
        return f"unreadable: {type(error).__name__}"
    if SECRET in text:
        return "a secret came through in pieces"
    if asked.kind == "clean" and not (len(text) == REPLY and text.startswith("Note ")):
        return "a harmless answer was changed"
    if asked.kind != "clean" and not text:
        return "no reply where something was withheld"
    return ""


async def drive(port: int, apis: tuple[str, ...], concurrency: int, until: float, tally: Tally) -> None:
    """Keep so many requests in hand until the time has come, each to its end."""
    loop = asyncio.get_running_loop()
    address = f"http://127.0.0.1:{port}"

    async def client(seed: int) -> None:
        requests = mixed(address, apis, seed)
        connection: Connection | None = None
        while time.perf_counter() < until:
            if connection is None or connection.closed:
                try:
                    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
                except OSError as error:
                    tally.errors[f"connecting: {type(error).__name__}"] += 1
                    await asyncio.sleep(0.1)
                    continue
            asked = next(requests)
            answer = await connection.ask(asked.raw)
            _note(answer, asked, tally)
        if connection is not None:
            connection.close()

    await asyncio.gather(*(client(seed + 1) for seed in range(concurrency)))


def _note(answer: Answer, asked: Asked, tally: Tally) -> None:
    name = f"{asked.api}, {'stream' if asked.stream else 'whole'}, {asked.kind}"
    tally.kinds[name] += 1
    wrong = fault_of(answer, asked)
    if wrong:
        tally.errors[f"{name}: {wrong}"] += 1
        tally.samples.setdefault(f"{name}: {wrong}", answer.raw[:1500].decode("utf-8", "replace"))
    if answer.status:
        tally.answered += 1
        headers = answer.headers
        if "x-wardlaw-decision" in headers:
            tally.ids.add(headers["x-wardlaw-decision"])
            tally.digests[headers.get("x-wardlaw-constitution", "")] += 1
    if not wrong and (asked.api, asked.stream, asked.kind) == ("chat_completions", False, "clean"):
        tally.took.append((answer.sent, answer.took * 1000))
