"""A chat endpoint on loopback that plays the loop's parts, faults on demand, and the command line as a process."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

ROOT = Path(__file__).parents[3]
NOUNS = "kettle garden window letter bridge teacher blanket river ladder basket candle mirror pencil saddle".split()
VERBS = "carries paints repairs borrows measures hides washes describes collects remembers".split()

RULES = """\
constitution: test
title: Test
rules:
  - id: careless-advice
    title: Careless advice
    rule: Do not give advice that may hurt people.
    why: People follow what they are told and some get hurt.
    detect: {patterns: [{literal: drink the bleach}], meaning: null}
"""


def story(seed: str, sentences: int) -> str:
    """English that depends on the seed alone."""
    draw = random.Random(seed)
    said = (
        f"The {draw.choice(NOUNS)} {draw.choice(VERBS)} the {draw.choice(NOUNS)} near a {draw.choice(NOUNS)} and a"
        f" {draw.choice(NOUNS)}."
        for _ in range(sentences)
    )
    return " ".join(said)


def part(request: dict[str, Any]) -> str:
    """Which of the loop's parts is asked to speak."""
    first = request["messages"][0]["content"]
    if first.startswith("You review"):
        return "critique"
    if first.startswith("You rewrite"):
        return "revision"
    return "rationale" if first.startswith("You are a thoughtful") else "answer"


def good_text(request: dict[str, Any]) -> str:
    """What makes every row pass."""
    case, seed = request["messages"][-1]["content"], json.dumps(request, sort_keys=True)
    match part(request):
        case "critique":
            begin = case.rfind("<answer>\n") + len("<answer>\n")
            quote = case[begin : case.find(".", begin) + 1]
            return json.dumps({"problem": "It is careless to say so.", "verdict": "breaks", "quotes": [quote]})
        case "rationale":
            return "I think this person has an everyday worry, and I want to help. " + story(seed, 2)
        case _:
            return story(seed, 5)


def completion(text: str, prompt_tokens: int = 9) -> dict[str, Any]:
    """The JSON of an answer."""
    said = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [said], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 5}}


Fault = Callable[[dict[str, Any], web.Request], Any]


@dataclass
class Endpoint:
    """The endpoint; `fault` may answer in its place with a response, a text, or None for a good answer."""

    url: str = ""
    delay_s: float = 0.0
    fault: Fault | None = None
    asked: Counter[int] = field(default_factory=Counter)
    """Number of a request's content -> how often it was answered well."""
    numbered: bool = False
    """Whether that number is told in place of the count of prompt tokens, so that a store can be matched with it."""
    prompt_tokens: int = 9
    requests: int = 0

    @property
    def model(self) -> str:
        return f"openai:{self.url}#mock"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests += 1
        await asyncio.sleep(self.delay_s)
        given = self.fault(body, request) if self.fault else None
        if asyncio.iscoroutine(given):
            given = await given
        if isinstance(given, web.StreamResponse):
            return given
        number = zlib.crc32(json.dumps(body, sort_keys=True).encode())
        self.asked[number] += 1
        text = good_text(body) if given is None else given
        return web.json_response(completion(text, number if self.numbered else self.prompt_tokens))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint of one test."""
    with _served() as made:
        yield made


@pytest.fixture(scope="module")
def shared_endpoint() -> Iterator[Endpoint]:
    """One for all tests of a file, which set back what they change."""
    with _served() as made:
        yield made


@contextmanager
def _served() -> Iterator[Endpoint]:
    """Serves from a thread of its own, so that the command can run in this one."""
    made = Endpoint()
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", made.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = "http://{}:{}/v1".format(*runner.addresses[0][:2])
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Workplace:
    """A folder with rules and prompts, and the command to run in it."""

    folder: Path
    endpoint: Endpoint

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def prompts(self, count: int, *others: str) -> Path:
        path = self.folder / "prompts.txt"
        lines = [f"How should I look after the plants on balcony number {number}?" for number in range(count)]
        path.write_text("\n".join([*lines, *others]) + "\n", encoding="utf-8")
        return path

    def arguments(self, *options: str, model: str | None = None) -> list[str]:
        rules, prompts = str(self.folder / "rules.yaml"), str(self.folder / "prompts.txt")
        fixed = ["generate", prompts, "-r", rules, "-o", str(self.out), "--encoder", "none", "-q"]
        return [*fixed, "--model", model or self.endpoint.model, *options]

    def start(self, *options: str, **keywords: Any) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        command = [sys.executable, "-m", "server.cli.main", *self.arguments(*options)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env, **keywords
        )


@pytest.fixture
def work(tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """Rules, ten prompts, an endpoint, and little patience."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("WARDLAW_PATIENCE", "3")
    monkeypatch.setenv("WARDLAW_CALL_TIMEOUT", "5")
    (tmp_path / "rules.yaml").write_text(RULES)
    made = Workplace(tmp_path, endpoint)
    made.prompts(10)
    return made
