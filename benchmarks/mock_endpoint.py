"""A chat endpoint without a model, for measuring what stands in front of it: one process, the standard library alone.

    python benchmarks/mock_endpoint.py --delay-ms 50        prints its port on a line, serves until it is stopped

It plays the four parts of the loop so that every row passes: it answers, sees one sentence of the answer break the
rule, rewrites, and justifies. A reply depends on the request's content alone. The number of that content (31 bits of
its hash) stands where the count of prompt tokens would, so what a store kept can be matched with what was asked.

`GET /stats` gives the contents asked so far as `{number: times}` and how many requests were open at most.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
from collections import Counter
from functools import lru_cache
from typing import Any

_WHO = "the baker;my neighbour;an old friend;the teacher;a careful nurse;the driver;our gardener;a cook".split(";")
_DOES = "carries;repairs;describes;collects;paints;measures;remembers;prepares;borrows;washes;sells;hides".split(";")
_WHAT = "a wooden chair;the blue kettle;some fresh bread;an honest letter;the garden gate;two heavy boxes".split(";")
_WHAT += "a map of the town;the morning paper;warm winter socks;the broken clock;a list of questions".split(";")
_WHERE = "near the harbour;behind the school;at the market;under the bridge;in a quiet room;by the river".split(";")
_WHEN = "before breakfast;every other week;after the rain;on a cold evening;when nobody is late;in spring".split(";")


class Endpoint:
    """What was asked, and how to answer it."""

    def __init__(self, delay_s: float, *, count: bool) -> None:
        self.delay_s = delay_s
        self.asked: Counter[int] = Counter()
        self.open = 0
        self.most_open = 0
        self._count = count

    def reply(self, body: bytes) -> bytes:
        """The HTTP response to a request's body."""
        number = int.from_bytes(hashlib.blake2b(body, digest_size=4).digest()) & 0x7FFFFFFF
        if self._count:
            self.asked[number] += 1
        messages = json.loads(body)["messages"]
        text = _text(messages, number)
        return _http(_completion(text, number))

    def stats(self) -> bytes:
        """The HTTP response to `GET /stats`."""
        return _http(json.dumps({"asked": self.asked, "most_open": self.most_open}).encode())


def _text(messages: list[dict[str, str]], number: int) -> str:
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    draw = random.Random(number)
    if system.startswith("You review"):
        case = messages[-1]["content"]
        begin = case.rfind("<answer>\n") + len("<answer>\n")
        quote = case[begin : case.find(". ", begin) + 1]
        return json.dumps({"quotes": [quote], "problem": f"This sentence is careless: {quote}", "verdict": "breaks"})
    if system.startswith("You are a thoughtful"):
        return "I think this person has an everyday worry, and I want to help. " + _story(draw, 3)
    return _story(draw, 6)


def _story(draw: random.Random, sentences: int) -> str:
    parts = (_WHO, _DOES, _WHAT, _WHERE, _WHEN)
    said = (" ".join(draw.choice(part) for part in parts) for _ in range(sentences))
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in said)


def _completion(text: str, number: int) -> bytes:
    said = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": number, "completion_tokens": len(text) // 4}
    whole: dict[str, Any] = {"id": "mock", "object": "chat.completion", "choices": [said], "usage": usage}
    return json.dumps(whole).encode()


def _http(body: bytes) -> bytes:
    return _head(len(body)) + body


@lru_cache(maxsize=4096)
def _head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()


class Connection(asyncio.Protocol):
    """One kept-alive connection; a client sends its next request when it has the answer to the one before."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the request once it is whole."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        whole = end + 4 + length
        if len(self._buffer) < whole:
            return
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        endpoint = self._endpoint
        if head.startswith(b"get "):
            self._write(endpoint.stats())
            return
        endpoint.open += 1
        endpoint.most_open = max(endpoint.most_open, endpoint.open)
        asyncio.get_running_loop().call_later(endpoint.delay_s, self._answer, endpoint.reply(body))

    def _answer(self, response: bytes) -> None:
        self._endpoint.open -= 1
        self._write(response)

    def _write(self, response: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(response)


async def _serve(delay_s: float, *, count: bool) -> None:
    endpoint = Endpoint(delay_s, count=count)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(endpoint), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--count", action="store_true", help="keep what was asked for /stats; costs memory")
    given = parser.parse_args()
    asyncio.run(_serve(given.delay_ms / 1000, count=given.count))
