"""The ways in which a server is measured, and what a measurement brings."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import uvloop

from benchmarks._server_client import Answer, Connection, Run, load, post
from benchmarks._server_process import Server, ask_mock
from benchmarks._server_texts import BREAKING, MARK, REPLY, SECRET, pieces, prompt, words

CHUNKS = 20
PAUSE_MS = 10.0
TEMPLATES = 512
"""Prompts made before the clock runs; each request puts its own number into one of them."""

Row = dict[str, float]
Taken = dict[tuple[str, str], list[Row]]
"""Server and cell -> a row a round."""


@dataclass(frozen=True)
class Cell:
    """One way of asking."""

    name: str
    title: str
    chars: int
    concurrency: int
    stream: bool = False
    paced: bool = False


CELLS = (
    Cell("whole-200-1", "Whole answers, prompts of 200 characters, one at a time", 200, 1),
    Cell("whole-4000-1", "Whole answers, prompts of 4,000 characters, one at a time", 4000, 1),
    Cell("whole-200-32", "Whole answers, prompts of 200 characters, 32 at a time", 200, 32),
    Cell("whole-4000-32", "Whole answers, prompts of 4,000 characters, 32 at a time", 4000, 32),
    Cell("stream-200-1", "Streams as fast as they go, 200 characters, one at a time", 200, 1, stream=True),
    Cell("stream-4000-1", "Streams as fast as they go, 4,000 characters, one at a time", 4000, 1, stream=True),
    Cell("stream-200-32", "Streams as fast as they go, 200 characters, 32 at a time", 200, 32, stream=True),
    Cell("paced-200-1", "Streams of 20 chunks of 10 ms, one at a time", 200, 1, stream=True, paced=True),
    Cell("paced-200-32", "Streams of 20 chunks of 10 ms, 32 at a time", 200, 32, stream=True, paced=True),
)


def requests(url: str, cell: Cell) -> Callable[[int], bytes]:
    """Makes the request of a number, at next to no cost."""
    body = {"model": "mock", "stream": True} if cell.stream else {"model": "mock"}
    made = []
    for number in range(TEMPLATES):
        messages = [{"role": "user", "content": prompt(cell.chars, number)}]
        before, _, after = post(url, {**body, "messages": messages}).partition(words(number).encode())
        made.append((before, after))

    def request(number: int) -> bytes:
        before, after = made[number % TEMPLATES]
        return before + words(number).encode() + after

    return request


def take(server: Server, mock: Server, cell: Cell, seconds: float, number: int) -> Row:
    """Measure one server in one way once, after a third of the time to warm up."""
    ask_mock(mock, f"/set?chunks={CHUNKS}&chunk_ms={PAUSE_MS if cell.paced else 0}")
    request = requests(server.url, cell)
    address = ("127.0.0.1", server.port)
    cpu = [0.0]
    spread = CHUNKS * PAUSE_MS / 1000 if cell.paced else 0.0

    def begin() -> None:
        cpu[0], _ = server.used()

    gc.collect()
    gc.disable()  # a collection here would look like a pause of the server
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            asking = load(
                address,
                request,
                cell.concurrency,
                seconds,
                first=(number + 1) * 10_000_000,
                warm=max(spread, seconds / 3),
                begin=begin,
                spread=spread,
            )
            run = runner.run(asking)
    finally:
        gc.enable()
    after, resident = server.used()
    row = {
        "rate": run.rate,
        "answers": run.done,
        "faults": sum(run.faults.values()),
        "cpu_ms": (after - cpu[0]) * 1000 / max(1, run.done),
        "mb": resident,
        **shares("took", [answer.took for answer in run.answers]),
    }
    return row | (of_streams(run, cell) if cell.stream else of_wholes(run))


def of_wholes(run: Run) -> Row:
    """Answers that are not what the mock said."""
    texts = (answer.text(stream=False) for answer in run.answers)
    return {"wrong": sum(not is_reply(text) for text in texts)}


def of_streams(run: Run, cell: Cell) -> Row:
    """First text, pauses, and how far behind the mock's own time each piece of text comes."""
    first: list[float] = []
    behind: list[float] = []
    gaps: list[float] = []
    wrong = 0
    for answer in run.answers:
        texts = answer.texts()
        wrong += not is_reply("".join(said for _, said in texts))
        if not texts:
            continue
        first.append(texts[0][0] - answer.sent)
        gaps += [after - before for (before, _), (after, _) in pairwise(texts)]
        behind += lags(answer, texts, PAUSE_MS / 1000 if cell.paced else 0.0)
    return {
        "wrong": wrong,
        **shares("first", first),
        **shares("behind", behind),
        **shares("gap", gaps),
    }


def lags(answer: Answer, texts: Sequence[tuple[float, str]], pause: float) -> list[float]:
    """Seconds from when the mock was due to say each piece, counted from the request, until its end had come."""
    whole = "".join(said for _, said in texts)
    ends: list[tuple[int, float]] = []
    length = 0
    for when, said in texts:
        length += len(said)
        ends.append((length, when))
    found = []
    length = at = 0
    for number, piece in enumerate(pieces(whole, CHUNKS)):
        length += len(piece)
        while ends[at][0] < length:
            at += 1
        found.append(ends[at][1] - answer.sent - number * pause)
    return found


def is_reply(text: str) -> bool:
    """Whether a text is the mock's, whole."""
    return len(text) == REPLY and text.startswith("Note ")


def shares(name: str, values: Sequence[float]) -> Row:
    """Percentiles in milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        f"{name}{share}": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1000 for share in (50, 95, 99)
    }


def let_through(server: Server, mock: Server) -> dict[str, str]:
    """What becomes of a breaking prompt, answer and stream."""
    ask_mock(mock, f"/set?chunks={CHUNKS}&chunk_ms=0")
    server.go_on()
    try:
        seen = json.loads(ask_mock(mock, "/stats"))["secrets"]
        _ask(server, f"{prompt(200, 0)} {BREAKING}", stream=False)
        reached = json.loads(ask_mock(mock, "/stats"))["secrets"] > seen
        whole = _ask(server, f"Tell me. {MARK}", stream=False)
        streamed = _ask(server, f"Tell me. {MARK}", stream=True)
    finally:
        server.pause()
    return {
        "prompt": "reached the model" if reached else "stopped",
        "answer": "came through" if SECRET.encode() in whole.raw else "stopped",
        "stream": "came through" if SECRET in _heard(streamed) else "stopped",
    }


def _heard(answer: Answer) -> str:
    """All that a reader could put together of a stream."""
    try:
        return answer.text(stream=True) + answer.raw.decode(errors="replace")
    except ValueError:
        return answer.raw.decode(errors="replace")


def _ask(server: Server, text: str, *, stream: bool) -> Answer:
    body: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    until = time.perf_counter() + 20
    while True:
        run, faults = asyncio.run(_once(server, post(server.url, body)))
        if run is not None and run.status not in (429, 503):  # after a pause it thinks itself late for a moment
            return run
        time.sleep(0.1)
        if time.perf_counter() > until:
            raise SystemExit(f"`{server.name}` does not answer: {dict(faults)}\n{server.said()}")


async def _once(server: Server, request: bytes) -> tuple[Answer | None, Counter[str]]:
    try:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", server.port)
    except OSError as error:
        return None, Counter([type(error).__name__])
    answer = await connection.ask(request)
    connection.close()
    return answer, Counter()
