"""What a guard does to a model: `python benchmarks/guard_effect.py MODEL --out DIR [--limit N] [--max-tokens N] ...`.

The model is evaluated as it is. Then the guard server stands before the very answers that it gave (an upstream that
gives them from the first evaluation's items, and asks the model only where the guard has changed a prompt), and is
evaluated in the same way, paired with the first: the guard alone differs. Both run again where they were stopped; the
table is that of `wardlaw evaluate`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks._bench import HERE, environment
from benchmarks._server_process import free_port
from guard.exchange import Message
from guard.models import open_model
from guard.models.base import Ask, ChatModel, Sampling

CRITERIA = "rule-violations,over-refusal,evasiveness"
"""Criteria of one answer to one conversation, which the items' file tells whole."""
START_S = 300.0
NAME = "kept"


def main() -> None:
    """Evaluate twice, and print the second evaluation beside the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="any model of docs/models.md")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rules", default="base")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--concurrency", type=int, default=4)
    given = parser.parse_args()
    options = ["-r", given.rules, "--criteria", CRITERIA, "--limit", str(given.limit)]
    options += ["--max-tokens", str(given.max_tokens), "--concurrency", str(given.concurrency)]
    options += ["--data", str(given.data)] if given.data else []
    plain, guarded = given.out / "plain", given.out / "guarded"
    options += ["--anew"]  # rules or settings of an earlier run in the folder may have been other ones
    evaluate(given.model, plain, options)
    with (
        upstream(answers_of(plain / "items.jsonl"), given.model) as behind,
        guard(behind, given.rules, given.out) as address,
    ):
        evaluate(f"{address}/v1#{NAME}", guarded, [*options, "--compare", str(plain)])


def evaluate(model: str, out: Path, options: Sequence[str]) -> None:
    """Run `wardlaw evaluate`; its table goes to standard output."""
    command = [sys.executable, "-m", "server.cli.main", "evaluate", model, "-o", str(out), *options]
    ended = subprocess.run(command, env=environment(), cwd=HERE.parent, check=False)
    if ended.returncode:
        sys.exit(ended.returncode)


def answers_of(path: Path) -> dict[str, str]:
    """What was asked, as a key -> what was answered."""
    items = (json.loads(line)["item"] for line in path.read_text(encoding="utf-8").splitlines())
    return {key_of(item["prompt"]): item["answer"] for item in items}


def key_of(messages: Sequence[dict[str, Any]]) -> str:
    """A conversation as one text."""
    return json.dumps([[turn["role"], turn["content"]] for turn in messages])


@contextmanager
def upstream(answers: dict[str, str], model: str) -> Iterator[str]:
    """A server that answers what it knows, and asks the model what the guard has changed; gives its address."""
    opened: list[ChatModel] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        key = key_of(body["messages"])
        if key not in answers:
            if not opened:
                opened.append(open_model(model, concurrency=1))
            turns = tuple(Message(turn["role"], turn["content"]) for turn in body["messages"])
            sampling = Sampling(body.get("temperature", 0.0), max_tokens=body.get("max_tokens", 48))
            answers[key] = (await opened[0].chat(Ask(turns, sampling))).text
        message = {"role": "assistant", "content": answers[key]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"id": "kept", "object": "chat.completion", "model": NAME, "choices": [choice]})

    async def begin() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    loop = asyncio.new_event_loop()
    runner = loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield "http://{}:{}/v1".format(*runner.addresses[0][:2])
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@contextmanager
def guard(behind: str, rules: str, folder: Path) -> Iterator[str]:
    """`wardlaw serve` before the upstream; gives its address once it is ready."""
    port = free_port()
    command = [sys.executable, "-m", "server.cli.main", "serve", "--upstream", behind, "-c", rules, "--no-watch"]
    command += ["--port", str(port), "--auth", "none", "--folder", str(folder / "audit")]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(), cwd=HERE.parent, stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/readyz", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()  # our own, on loopback
        except OSError:
            time.sleep(0.5)
        else:
            return
    sys.exit("the guard server did not come up: see serve.log")


if __name__ == "__main__":
    main()
