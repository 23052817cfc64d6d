"""A chat model whose replies people write: an OpenAI-compatible endpoint between a run and a folder of files.

    python benchmarks/by_hand.py serve QUEUE --port 8971
    wardlaw generate ... --critic 'openai:http://127.0.0.1:8971/v1?timeout=7200&patience=7200#reader' --concurrency 256
    python benchmarks/by_hand.py open QUEUE [--part 2/5]

What is asked comes into QUEUE/asks.jsonl, a line a call. A call is answered when a line `{"id": ..., "content": ...}`
with its id stands in any file of QUEUE/answers/*.jsonl; `content` is the reply's text, or an object where JSON is
asked for. `open` prints what has no answer yet, what stands before several asks told once; `--part` deals them out
among several people. The same conversation is asked once: stop everything and go on as you like. For critics, judges
and labels by people, or by any model that has no endpoint; log-probabilities are not given.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

Ask = dict[str, Any]


def main() -> None:
    """Serve a queue, or print what is open in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    serving = verbs.add_parser("serve", help="be the endpoint, on loopback")
    serving.add_argument("queue", type=Path)
    serving.add_argument("--port", type=int, default=8971)
    serving.set_defaults(work=lambda given: serve(given.queue, given.port))
    telling = verbs.add_parser("open", help="print what waits for an answer")
    telling.add_argument("queue", type=Path)
    telling.add_argument("--part", default="1/1", help="which part of how many is yours, as 2/5")
    telling.add_argument("--most", type=int, default=40)
    telling.set_defaults(work=lambda given: print(told(*mine(given.queue, given.part), given.most)))
    given = parser.parse_args()
    given.work(given)


def serve(queue: Path, port: int) -> None:
    """Answer calls from the files until stopped."""
    from aiohttp import web

    web.run_app(application(queue), host="127.0.0.1", port=port)


def application(queue: Path, *, look_s: float = 1.0) -> Any:
    """The endpoint.

    Args:
        queue: the folder.
        look_s: seconds between looks at the answers.
    """
    from aiohttp import web

    (queue / "answers").mkdir(parents=True, exist_ok=True)
    known = {ask["id"] for ask in asks(queue)}
    waiting: dict[str, asyncio.Future[str]] = {}

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        ask = {name: body.get(name) for name in ("messages", "response_format")}
        name = hashlib.sha256(json.dumps(ask, sort_keys=True).encode()).hexdigest()[:12]
        if name not in known:
            known.add(name)
            with (queue / "asks.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"id": name, **ask}, ensure_ascii=False) + "\n")
        future = waiting.setdefault(name, asyncio.get_running_loop().create_future())
        content = await asyncio.shield(future)
        told_in = sum(len(str(message.get("content"))) for message in body["messages"]) // 4
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        usage = {"prompt_tokens": told_in, "completion_tokens": len(content) // 4}
        return web.json_response({"object": "chat.completion", "choices": [choice], "usage": usage})

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "reader", "object": "model"}]})

    async def looking(app: web.Application) -> AsyncIterator[None]:
        async def look() -> None:
            while True:
                if waiting:
                    found = answers(queue)
                    for name in [name for name in waiting if name in found]:
                        waiting.pop(name).set_result(found[name])
                await asyncio.sleep(look_s)

        task = asyncio.create_task(look())
        yield
        task.cancel()

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.cleanup_ctx.append(looking)
    return app


def asks(queue: Path) -> list[Ask]:
    """All that was ever asked."""
    path = queue / "asks.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def answers(queue: Path) -> Mapping[str, str]:
    """What was answered; a line that is no answer, as one half written, is passed over."""
    found = {}
    for path in sorted((queue / "answers").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                said = json.loads(line)
                name, content = said["id"], said["content"]
            except (ValueError, TypeError, KeyError):
                continue
            found[name] = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return found


def mine(queue: Path, part: str) -> tuple[list[Ask], int]:
    """The open asks of one part, those that begin alike together, and how many lines of answers cannot be read."""
    which, of = (int(number) for number in part.split("/"))
    done = answers(queue)
    left = [ask for ask in asks(queue) if ask["id"] not in done and int(ask["id"], 16) % of == which - 1]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (queue / "answers").glob("*.jsonl"))
    return sorted(left, key=_before), lines - len(done)


def told(left: list[Ask], unread: int, most: int) -> str:
    """Open asks as a page to read."""
    page = [f"{len(left)} open" + (f"; {unread} lines of answers are no answers, or second ones" if unread else "")]
    for before, alike in groupby(left[:most], key=_before):
        page += ["", "=" * 20, before, "=" * 20]
        for ask in alike:
            page += ["", f"--- {ask['id']}", ask["messages"][-1]["content"]]
            if ask["response_format"]:
                page.append(json.dumps(ask["response_format"], ensure_ascii=False))
    return "\n".join(page)


def _before(ask: Ask) -> str:
    return "\n".join(f"[{message['role']}] {message['content']}" for message in ask["messages"][:-1])


if __name__ == "__main__":
    main()
