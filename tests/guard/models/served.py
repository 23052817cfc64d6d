"""An OpenAI-compatible endpoint in a process of its own, to be killed. Prints its port; writes a log of its calls.

    python served.py [--port N] [--model NAME] [--root PATH] [--delay-ms N] [--log FILE]

A line of the log: `+ NUMBER` when a call came in, `- NUMBER` when it was answered; NUMBER is a hash of its JSON.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from mock_endpoint import _text  # it plays all parts of the loop


def note(log: int | None, line: str) -> None:
    """In one write, so that what stands there at a kill is whole."""
    if log is not None:
        os.write(log, f"{line}\n".encode())


async def serve(given: argparse.Namespace) -> None:
    """Serve until it is killed."""
    log = os.open(given.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if given.log else None

    async def chat(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        number = int.from_bytes(hashlib.blake2b(raw, digest_size=4).digest()) & 0x7FFFFFFF
        note(log, f"+ {number}")
        await asyncio.sleep(given.delay_ms / 1000)
        text = _text(json.loads(raw)["messages"], number)
        said = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = json.dumps({"object": "chat.completion", "choices": [said], "usage": {}}).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body)
        await response.write_eof()
        note(log, f"- {number}")  # only now: one killed before has not answered
        return response

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": given.model, "root": given.root}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", given.port).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="mock")
    parser.add_argument("--root", default="")
    parser.add_argument("--delay-ms", type=float, default=5)
    parser.add_argument("--log")
    asyncio.run(serve(parser.parse_args()))
