"""The floor to measure against: the loop's four dependent calls a row by bare asyncio and aiohttp, and nothing else.

    python benchmarks/bare_loop.py PORT PROMPTS RULES CONCURRENCY        prints rows, seconds from first to last

It sends what `wardlaw generate` sends (the texts are rendered once with marks in them, and the marks replaced a row)
and stores, judges, checks, meters and retries nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from constitution.critique import critique_messages, critique_schema
from constitution.rationale import rationale_messages
from constitution.revise import revision_messages
from constitution.settings import SAMPLING
from constitution.templates import TemplateSet
from guard.exchange import Message
from rules import load
from rules.schema import Critique

PROMPT, ANSWER, QUOTE, PROBLEM = "@PROMPT@", "@ANSWER@", "@QUOTE@", "@PROBLEM@"


def frames(rules: str) -> dict[str, list[dict[str, str]]]:
    """The messages of each stage with marks in them."""
    rule = load(rules).constitution.rules[0]
    texts = TemplateSet.read().of("en")
    asked = (Message("user", PROMPT),)
    seen = Critique(quotes=(QUOTE,), problem=PROBLEM, verdict="breaks")
    made = {
        "critique": critique_messages(texts, rule, asked, ANSWER),
        "revision": revision_messages(texts, rule, asked, ANSWER, seen),
        "rationale": rationale_messages(texts, rule, asked, ANSWER, PROBLEM),
    }
    return {name: [{"role": m.role, "content": m.content} for m in messages] for name, messages in made.items()}


def lists_of(mark: str, value: Any) -> Iterator[list[str]]:
    """The lists in a schema that hold nothing but `mark`."""
    if value == [mark]:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from lists_of(mark, part)


async def work(port: str, prompts: list[str], rules: str, concurrency: int) -> float:
    """Seconds from the first row's beginning to the last one's end."""
    stages = frames(rules)
    schema = critique_schema(ANSWER)
    quotable = list(lists_of(ANSWER, schema))
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    encode = json.JSONEncoder(separators=(",", ":")).encode
    todo = iter(enumerate(prompts))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(role: Any, messages: list[dict[str, str]], seed: int, **more: Any) -> str:
            drawn = SAMPLING[role]
            body = {
                "model": "mock",
                "messages": messages,
                "temperature": drawn.temperature,
                "top_p": drawn.top_p,
                "max_tokens": drawn.max_tokens,
                "seed": seed,
                **more,
            }
            data = encode(body).encode()
            async with session.post(url, data=data, headers={"Content-Type": "application/json"}) as response:
                return str(json.loads(await response.read())["choices"][0]["message"]["content"])

        async def row(number: int, prompt: str) -> None:
            def filled(stage: str, *marks: tuple[str, str]) -> list[dict[str, str]]:
                *shots, case = stages[stage]
                text = case["content"].replace(PROMPT, prompt)
                for mark, value in marks:
                    text = text.replace(mark, value)
                return [*shots, {"role": "user", "content": text}]

            answer = await ask("answerer", [{"role": "user", "content": prompt}], number)
            sentences = [f"{part.rstrip('.')}." for part in answer.split(". ")]
            for choices in quotable:
                choices[:] = sentences  # read before the next row can write here: encoding awaits nothing
            form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
            said = await ask("critic", filled("critique", (ANSWER, answer)), number, response_format=form)
            found = json.loads(said)
            quote, problem = found["quotes"][0], found["problem"]
            marks = ((ANSWER, answer), (QUOTE, quote), (PROBLEM, problem))
            final = await ask("reviser", filled("revision", *marks), number)
            await ask("reviser", filled("rationale", (ANSWER, final), (PROBLEM, problem)), number)

        async def worker() -> None:
            for number, prompt in todo:
                await row(number, prompt)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
        return time.perf_counter() - began


if __name__ == "__main__":
    port, file, rules, concurrency = sys.argv[1:]
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    print(json.dumps({"rows": len(lines), "seconds": asyncio.run(work(port, lines, rules, int(concurrency)))}))
