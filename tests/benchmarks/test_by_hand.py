"""The endpoint whose replies people write: a real client asks it, and files answer."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from guard.exchange import Message
from guard.models import open_model
from guard.models.base import Ask, Sampling

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "by_hand.py"
SPEC = importlib.util.spec_from_file_location("by_hand", PATH)
assert SPEC is not None
assert SPEC.loader is not None
by_hand: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(by_hand)


@pytest.fixture
async def model(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    runner = web.AppRunner(by_hand.application(tmp_path, look_s=0.02))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened = open_model(f"openai:http://127.0.0.1:{runner.addresses[0][1]}/v1#reader")
    yield opened
    await opened.close()
    await runner.cleanup()


def ask(text: str) -> Ask:
    return Ask((Message("system", "Be kind."), Message("user", text)), Sampling(max_tokens=16))


async def until_asked(queue: Path, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while len(by_hand.asks(queue)) < count:  # noqa: ASYNC110  # what is awaited happens in a file
            await asyncio.sleep(0.01)
    return by_hand.asks(queue)


async def test_a_call_waits_until_its_line_is_written_and_the_same_one_is_asked_once(model, tmp_path):
    calls = [asyncio.create_task(model.chat(ask(text))) for text in ("one", "one", "two")]
    asked = await until_asked(tmp_path, 2)
    assert not any(call.done() for call in calls)
    said = {each["messages"][-1]["content"]: each["id"] for each in asked}
    file = tmp_path / "answers" / "me.jsonl"
    file.write_text(json.dumps({"id": said["one"], "content": {"verdict": "keeps"}}) + '\n{"id": "')
    assert [(await call).text for call in calls[:2]] == ['{"verdict": "keeps"}'] * 2
    assert not calls[2].done()
    file.write_text(file.read_text() + f'{said["two"]}", "content": "Two."}}\n')
    assert (await calls[2]).text == "Two."
    assert (await model.chat(ask("one"))).text == '{"verdict": "keeps"}'
    assert len(by_hand.asks(tmp_path)) == 2


async def test_the_parts_hold_each_open_ask_once_and_tell_what_stands_before_it_once(model, tmp_path):
    calls = [asyncio.create_task(model.chat(ask(f"Question {number}."))) for number in range(20)]
    asked = await until_asked(tmp_path, 20)
    parts = [by_hand.mine(tmp_path, f"{part}/3")[0] for part in (1, 2, 3)]
    assert sorted(each["id"] for part in parts for each in part) == sorted(each["id"] for each in asked)
    page = by_hand.told(*by_hand.mine(tmp_path, "1/1"), 40)
    assert page.count("Be kind.") == 1
    assert all(f"Question {number}." in page for number in range(20))
    lines = [json.dumps({"id": each["id"], "content": "Yes."}) for each in asked]
    (tmp_path / "answers" / "me.jsonl").write_text("\n".join(lines))
    await asyncio.gather(*calls)
    assert by_hand.mine(tmp_path, "1/1") == ([], 0)
