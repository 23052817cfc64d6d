"""Stands in for the command `vllm`: `serve MODEL --host H --port P [options]`, ready after a moment."""

import argparse
import asyncio
import sys

from aiohttp import web


async def serve(given: argparse.Namespace) -> None:
    """Serve until it is ended. A model called `broken` ends while it loads, one told `die` ends when it is asked."""
    print(f"INFO loading {given.model} with {given.max_model_len}", flush=True)
    await asyncio.sleep(0.3)
    if given.model == "broken":
        sys.exit("ValueError: the weights of `broken` are not there")

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        said = body["messages"][-1]["content"]
        if said == "die":
            print("ERROR engine core died", flush=True)
            import os

            os._exit(3)
        message = {"role": "assistant", "content": f"{body['model']} at {given.max_model_len}: {said}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"object": "chat.completion", "choices": [choice], "usage": {}})

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, given.host, given.port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--max-model-len", type=int, default=0)
    parser.add_argument("--enforce-eager", action="store_true")
    asyncio.run(serve(parser.parse_args()))
