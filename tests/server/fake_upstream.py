"""A model server that does what it is told, faults and all: `python fake_upstream.py [--port N]`.

It prints its address, then serves until it is ended. It speaks chat completions, messages and responses, whole and
streamed, with any key.

    POST /script   {"model": "m", "mode": "cut", "text": "..."}   how requests for a model are answered; "" for all
    GET  /seen     {"requests": [{"path", "headers", "body", "stream", "mode", "ended", "port"}]}
    DELETE /seen   forgets them, and the scripts

`ended` is `sent`, `cut` (by the mode), `gone` (the client left first) or null while it is still answering; `gone_at`
and `at` are seconds of the machine's clock. A user's last message `say: ...` is answered by what stands after `say: `.
A script may have: mode, text, reasoning, refusal, arguments (of one tool call), delay (seconds), finish, headers, body
(of a whole answer), raw (its bytes, as text), events (of a stream, each as text), message (of an error).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

TEXT = "The tide comes in twice a day, and the harbour fills with small boats."
NON_ASCII = "Über den Dächern – 潮は一日に二度満ちる 🌊 и снова уходит."

STATUSES = {
    "e400": (400, "messages: too few of them"),
    "e401": (401, "Incorrect API key provided"),
    "e404": (404, "the model `nobody` does not exist"),
    "e413": (413, "the request is too large"),
    "e422": (422, "temperature: too high"),
    "e429": (429, "too many requests"),
    "e500": (500, "the server had an error of its own"),
    "e503": (503, "still loading"),
}
MODES = (
    *STATUSES,
    "ok",  # as it should be
    "slow",  # nothing for `delay` seconds, then ok
    "hang",  # nothing, ever
    "hang_mid",  # headers and half of the answer, then nothing
    "close",  # the connection is closed without an answer
    "garbage",  # half of a JSON object; in a stream, an event that is none
    "array",  # JSON, but no object
    "html",  # a page
    "redirect",  # to another address
    "cut",  # the connection is closed after half of the answer
    "no_end",  # a stream that stops between two events, the connection ended as it should be
    "error_event",  # a stream whose third event is an error
    "endless",  # a stream that goes on for ever; a whole answer of 64 MB
    "one_byte",  # every byte is a chunk of its own
    "utf8_cut",  # text outside of ASCII, in chunks of three bytes
    "drip",  # `delay` seconds (0.05) before every event
    "crlf",  # lines end with \r\n
    "comments",  # keep-alive comments between the events
    "not_a_stream",  # a whole answer where a stream was asked for
    "gzip",  # compressed
)


class Fake:
    """What it was told and what it saw."""

    def __init__(self) -> None:
        self.scripts: dict[str, dict[str, Any]] = {}
        self.seen: list[dict[str, Any]] = []

    async def script(self, request: web.Request) -> web.Response:
        script = await request.json()
        if script.get("mode", "ok") not in MODES:
            return web.json_response({"error": f"no such mode; there are {MODES}"}, status=400)
        self.scripts[script.get("model", "")] = script
        return web.json_response({})

    async def show(self, _: web.Request) -> web.Response:
        return web.json_response({"requests": self.seen})

    async def forget(self, _: web.Request) -> web.Response:
        self.seen.clear()
        self.scripts.clear()
        return web.json_response({})

    async def models(self, request: web.Request) -> web.StreamResponse:
        return await self._noted(request, b"", listed)

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._noted(request, await request.read(), embedded)

    async def converse(self, request: web.Request) -> web.StreamResponse:
        return await self._noted(request, await request.read(), answered)

    async def _noted(self, request: web.Request, raw: bytes, handler: Any) -> web.StreamResponse:
        body = json.loads(raw) if raw else {}
        model = str(body.get("model", ""))
        script = self.scripts.get(model) or self.scripts.get("") or {}
        peer = request.transport.get_extra_info("peername") if request.transport else None
        note = {
            "path": request.path_qs,
            "method": request.method,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": body,
            "raw": raw.decode("utf-8", "replace"),
            "stream": bool(body.get("stream")),
            "mode": script.get("mode", "ok"),
            "ended": None,
            "at": time.time(),
            "port": peer[1] if peer else None,
        }
        self.seen.append(note)
        try:
            response: web.StreamResponse = await handler(request, body, script, note)
        except (asyncio.CancelledError, ConnectionError):
            note["ended"] = "gone"
            note["gone_at"] = time.time()
            raise
        note["ended"] = note["ended"] or "sent"
        return response


async def listed(*_: Any) -> web.Response:
    models = [{"id": "fake", "object": "model", "created": 1, "owned_by": "tests"}]
    return web.json_response({"object": "list", "data": models})


async def embedded(_: web.Request, body: dict[str, Any], script: dict[str, Any], __: Any) -> web.Response:
    if (mode := script.get("mode", "ok")) in STATUSES:
        return error(mode, "/embeddings")
    vectors = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
    return web.json_response({"object": "list", "data": vectors, "model": body.get("model")})


async def answered(
    request: web.Request, body: dict[str, Any], script: dict[str, Any], note: dict[str, Any]
) -> web.StreamResponse:
    mode = script.get("mode", "ok")
    await before(request, script, mode, note)
    if mode in STATUSES:
        return error(mode, request.path, script.get("message"))
    if mode == "html":
        return web.Response(text="<html>busy</html>", content_type="text/html")
    if mode == "redirect":
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"})
    said = Said(request.path, body, script)
    if body.get("stream") and mode not in ("not_a_stream", "array"):
        return await streamed(request, said, script, note)
    return await whole(request, said, script, note)


async def before(request: web.Request, script: dict[str, Any], mode: str, note: dict[str, Any]) -> None:
    if mode == "slow":
        await asyncio.sleep(script.get("delay", 1.0))
    if mode == "hang":
        await asyncio.sleep(3600)
    if mode == "close" and request.transport is not None:
        note["ended"] = "cut"
        request.transport.close()
        await asyncio.sleep(3600)


def error(mode: str, path: str, said: str | None = None) -> web.Response:
    status, message = STATUSES[mode]
    message = said or message
    headers = {"retry-after": "7", "x-ratelimit-remaining-requests": "0"} if status == 429 else {}
    inner = {"message": message, "type": "made_up", "param": None, "code": None}
    shaped = {"type": "error", "error": inner} if path.endswith("/messages") else {"error": inner}
    return web.json_response(shaped, status=status, headers={"x-request-id": "req-fake", **headers})


async def whole(request: web.Request, said: Said, script: dict[str, Any], note: dict[str, Any]) -> web.StreamResponse:
    mode = script.get("mode", "ok")
    data = (script.get("raw") or json.dumps(script.get("body") or said.whole())).encode()
    headers = {"Content-Type": "application/json", "x-request-id": "req-fake", **script.get("headers", {})}
    headers["set-cookie"] = "tracking=1"
    if mode == "garbage":
        data = data[: len(data) // 2]
    if mode == "array":
        data = b"[" + data + b"]"
    if mode == "endless":
        data = b'{"filler": "' + b"x" * (64 * 2**20) + b'"}'
    if mode == "gzip":
        data = gzip.compress(data)
        headers["Content-Encoding"] = "gzip"
    response = web.StreamResponse(headers=headers)
    if mode in ("cut", "hang_mid"):
        response.content_length = len(data)
        data = data[: len(data) // 2]
    await response.prepare(request)
    if mode in ("one_byte", "utf8_cut"):
        for byte in range(len(data)):
            await response.write(data[byte : byte + 1])
            if byte % 16 == 0:
                await asyncio.sleep(0)
    else:
        for start in range(0, len(data), 2**18):
            await response.write(data[start : start + 2**18])
    await leave_off(request, mode, note)
    await response.write_eof()
    return response


async def leave_off(request: web.Request, mode: str, note: dict[str, Any]) -> None:
    if mode == "hang_mid":
        await asyncio.sleep(3600)
    if mode == "cut" and request.transport is not None:
        note["ended"] = "cut"
        request.transport.close()


async def streamed(
    request: web.Request, said: Said, script: dict[str, Any], note: dict[str, Any]
) -> web.StreamResponse:
    mode = script.get("mode", "ok")
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "x-request-id": "req-fake"}
    response = web.StreamResponse(headers=headers | script.get("headers", {}))
    response.enable_chunked_encoding()
    await response.prepare(request)
    events = [event.encode() for event in script.get("events", ())] or list(said.events())
    half = len(events) // 2
    for number, event in enumerate(events):
        if mode in ("cut", "hang_mid", "no_end") and number == half:
            break
        if mode == "garbage" and number == half:
            event = b'data: {"choices": [{"delta"\n\n'
        if mode == "error_event" and number == 2:
            event = (
                b'event: error\ndata: {"type":"error","error":{"type":"server_error","message":"out of memory"}}\n\n'
            )
        if mode == "crlf":
            event = event.replace(b"\n", b"\r\n")
        if mode == "comments":
            event = b": still here\n\n" + event
        if mode == "drip":
            await asyncio.sleep(script.get("delay", 0.05))
        while mode == "endless" and number == half:
            await response.write(event)
            await asyncio.sleep(script.get("delay", 0.0))
        step = {"one_byte": 1, "utf8_cut": 3}.get(mode, len(event))
        for start in range(0, len(event), step):
            await response.write(event[start : start + step])
            if mode in ("one_byte", "utf8_cut"):
                await asyncio.sleep(0)
    await leave_off(request, mode, note)
    with contextlib.suppress(ConnectionError):
        await response.write_eof()
    return response


class Said:
    """One answer in the shape of the API that it was asked by."""

    def __init__(self, path: str, body: dict[str, Any], script: dict[str, Any]) -> None:
        self.path = path
        self.body = body
        self.model = str(body.get("model", "fake"))
        asked = last_user(body)
        usual = NON_ASCII if script.get("mode") == "utf8_cut" else TEXT
        self.text: str = asked[5:] if asked.startswith("say: ") else script.get("text", usual)
        self.reasoning: str = script.get("reasoning", "")
        self.refusal: str = script.get("refusal", "")
        self.arguments: str | None = script.get("arguments")
        self.finish: str = script.get("finish", "")
        self.choices = int(body.get("n") or 1)

    def whole(self) -> dict[str, Any]:
        if self.path.endswith("/messages"):
            return self._message()
        if self.path.endswith("/responses"):
            return self._response()
        return self._completion()

    def events(self) -> Iterator[bytes]:
        if self.path.endswith("/messages"):
            return self._message_events()
        if self.path.endswith("/responses"):
            return self._response_events()
        return self._completion_events()

    def _completion(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": self.refusal or None}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.arguments is not None:
            call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": self.arguments}}
            message["tool_calls"] = [call]
        choices = [
            {"index": n, "message": message, "logprobs": None, "finish_reason": self._finish("stop", "tool_calls")}
            for n in range(self.choices)
        ]
        shape = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": self.model}
        return {**shape, "choices": choices, "usage": USAGE, "made_up_field": {"kept": True}}

    def _completion_events(self) -> Iterator[bytes]:
        shape = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": self.model}

        def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
            return sse({**shape, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})

        for n in range(self.choices):
            yield chunk(n, {"role": "assistant", "content": ""})
        for piece in pieces(self.reasoning):
            for n in range(self.choices):
                yield chunk(n, {"reasoning_content": piece})
        for piece in pieces(self.text):
            for n in range(self.choices):
                yield chunk(n, {"content": piece})
        for piece in pieces(self.refusal):
            for n in range(self.choices):
                yield chunk(n, {"refusal": piece})
        if self.arguments is not None:
            for n in range(self.choices):
                call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up"}}
                yield chunk(n, {"tool_calls": [call]})
                for piece in pieces(self.arguments):
                    yield chunk(n, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        for n in range(self.choices):
            yield chunk(n, {}, self._finish("stop", "tool_calls"))
        if (self.body.get("stream_options") or {}).get("include_usage"):
            yield sse({**shape, "choices": [], "usage": USAGE})
        yield b"data: [DONE]\n\n"

    def _blocks(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if self.reasoning:
            blocks.append({"type": "thinking", "thinking": self.reasoning, "signature": "c2lnbmVk"})
        if self.text or not self.arguments:
            blocks.append({"type": "text", "text": self.text})
        if self.arguments is not None:
            called = json.loads(self.arguments)
            blocks.append({"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": called})
        return blocks

    def _message(self) -> dict[str, Any]:
        shape = {"id": "msg_fake", "type": "message", "role": "assistant", "model": self.model}
        ending = {"stop_reason": self._finish("end_turn", "tool_use"), "stop_sequence": None}
        return {**shape, "content": self._blocks(), **ending, "usage": {"input_tokens": 9, "output_tokens": 12}}

    def _message_events(self) -> Iterator[bytes]:
        message = self._message()
        begun = {**message, "content": [], "stop_reason": None}
        yield named({"type": "message_start", "message": begun})
        yield named({"type": "ping"})
        for n, block in enumerate(message["content"]):
            kind = block["type"]
            field = {"thinking": "thinking", "text": "text", "tool_use": "input"}[kind]
            empty = {**block, field: {} if kind == "tool_use" else ""}
            yield named({"type": "content_block_start", "index": n, "content_block": empty})
            told = {"thinking": "thinking_delta", "text": "text_delta", "tool_use": "input_json_delta"}[kind]
            key = {"thinking": "thinking", "text": "text", "tool_use": "partial_json"}[kind]
            for piece in pieces((self.arguments or "") if kind == "tool_use" else block[field]):
                yield named({"type": "content_block_delta", "index": n, "delta": {"type": told, key: piece}})
            yield named({"type": "content_block_stop", "index": n})
        ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        yield named({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 12}})
        yield named({"type": "message_stop"})

    def _items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if self.reasoning:
            summary = [{"type": "summary_text", "text": self.reasoning}]
            items.append({"id": "rs_1", "type": "reasoning", "summary": summary})
        if self.text or self.refusal or self.arguments is None:
            part: dict[str, Any] = {"type": "output_text", "text": self.text, "annotations": []}
            if self.refusal:
                part = {"type": "refusal", "refusal": self.refusal}
            message = {"id": "item_1", "type": "message", "role": "assistant", "status": "completed"}
            items.append({**message, "content": [part]})
        if self.arguments is not None:
            call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
            items.append({**call, "name": "look_up", "arguments": self.arguments})
        return items

    def _response(self) -> dict[str, Any]:
        shape = {"id": "resp_fake", "object": "response", "created_at": 1, "status": "completed", "model": self.model}
        told = {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}}
        options = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0}
        usage = {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 12,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 21,
        }
        return {**shape, **told, **options, "output": self._items(), "usage": usage}

    def _response_events(self) -> Iterator[bytes]:
        response = self._response()
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        for n, item in enumerate(response["output"]):
            events += item_events(n, item)
        events.append({"type": "response.completed", "response": response})
        for number, event in enumerate(events):
            yield named({**event, "sequence_number": number})

    def _finish(self, plain: str, called: str) -> str:
        return self.finish or (plain if self.arguments is None else called)


USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*$|\s*\S+", text)


def item_events(n: int, item: dict[str, Any], pieces: Callable[[str], list[str]] = pieces) -> Iterator[dict[str, Any]]:
    place = {"output_index": n, "item_id": item["id"]}
    if item["type"] == "function_call":
        yield {"type": "response.output_item.added", "output_index": n, "item": {**item, "arguments": ""}}
        start = "response.function_call_arguments"
        yield from ({"type": f"{start}.delta", **place, "delta": piece} for piece in pieces(item["arguments"]))
        yield {"type": f"{start}.done", **place, "arguments": item["arguments"]}
    elif item["type"] == "reasoning":
        yield {"type": "response.output_item.added", "output_index": n, "item": {**item, "summary": []}}
        text, place = item["summary"][0]["text"], {**place, "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": part}
        start = "response.reasoning_summary_text"
        yield from ({"type": f"{start}.delta", **place, "delta": piece} for piece in pieces(text))
        yield {"type": f"{start}.done", **place, "text": text}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": {**part, "text": text}}
    else:
        yield {"type": "response.output_item.added", "output_index": n, "item": {**item, "content": []}}
        part, place = item["content"][0], {**place, "content_index": 0}
        kind = "refusal" if part["type"] == "refusal" else "text"
        start = "response.refusal" if kind == "refusal" else "response.output_text"
        yield {"type": "response.content_part.added", **place, "part": {**part, kind: ""}}
        more = {} if kind == "refusal" else {"logprobs": []}
        yield from ({"type": f"{start}.delta", **place, "delta": piece, **more} for piece in pieces(part[kind]))
        yield {"type": f"{start}.done", **place, kind: part[kind], **more}
        yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "output_index": n, "item": item}


def sse(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def named(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\n".encode() + sse(data)


def last_user(body: dict[str, Any]) -> str:
    turns = body.get("messages") or body.get("input") or []
    if isinstance(turns, str):
        return turns
    users = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    content = users[-1].get("content") if users else ""
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def application() -> web.Application:
    fake = Fake()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/script", fake.script)
    app.router.add_get("/seen", fake.show)
    app.router.add_delete("/seen", fake.forget)
    app.router.add_get("/v1/models", fake.models)
    app.router.add_post("/v1/embeddings", fake.embeddings)
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
        app.router.add_post(path, fake.converse)
    return app


async def serve(port: int) -> None:
    runner = web.AppRunner(application(), handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    print(f"http://127.0.0.1:{bound}", flush=True)
    await asyncio.sleep(1e9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))
