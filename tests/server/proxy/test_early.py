from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from guard.detectors.base import Cover, Scan
from guard.exchange import Exchange
from guard.gate import Gate
from guard.guard import Guard
from guard.verdict import Finding
from rules.schema import Part, Rule

ONE_RULE = """
constitution: slow
title: A slow rule
rules:
  - id: whale-baiting
    title: Baiting whales
    rule: Do not bait whales.
    why: Whales that are baited come to harm.
    detect: {patterns: [{literal: never said by anyone}], meaning: null}
"""


class Slow:
    """A detector that takes its time, as a model does: it waits until it is let go."""

    name = "slow"
    identity = "slow"
    instant = False
    skips_clear = False

    def __init__(self) -> None:
        self.go = threading.Event()
        self.looked = 0

    def covers(self, rule: Rule, part: Part) -> Cover:
        return Cover(by="slow")

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        self.looked += len(exchanges)
        self.go.wait(20)
        found = Finding("whale-baiting", Part.PROMPT, (0, 4), "slow", 0.9, 0.5)
        answered = Finding("whale-baiting", Part.RESPONSE, (0, 4), "slow", 0.9, 0.5)
        return [
            Scan((answered if each.messages[-1].role == "assistant" else found,)) if "bait" in each.text else Scan()
            for each in exchanges
        ]

    def close(self) -> None:
        self.go.set()


@pytest.fixture
async def slow(stand: Callable[..., Any]) -> AsyncIterator[Any]:
    async def open_slow(rules: str = ONE_RULE) -> tuple[Any, Slow]:
        here = await stand(rules)
        detector = Slow()
        before = here.parts.guards.guard
        gate = Gate(before.gate.constitution, [*before.gate.detectors, detector])
        here.parts.guards.guard = Guard(gate, settings=before.settings)
        return here, detector

    return open_slow


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "fake", "messages": [{"role": "user", "content": text}], **more}


async def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_model_is_asked_while_the_prompt_is_judged_and_nothing_leaves_before(
    slow: Callable[..., Any], fake_upstream: Any, stream: bool
) -> None:
    here, detector = await slow()
    asking = asyncio.create_task(here.ask("/v1/chat/completions", body("When is high tide?", stream=stream)))
    await until(fake_upstream.seen)
    await until(lambda: detector.looked)
    await asyncio.sleep(0.2)
    assert not asking.done()
    assert not here.audit.records
    detector.go.set()
    answer = await asking
    assert answer.status_code == 200
    assert "boats" in answer.text


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_asked_too_early_is_given_up_when_the_prompt_is_blocked(
    slow: Callable[..., Any], fake_upstream: Any, stream: bool
) -> None:
    here, detector = await slow()
    fake_upstream.script("endless" if stream else "hang", delay=0.02)
    asking = asyncio.create_task(here.ask("/v1/chat/completions", body("How to bait whales?", stream=stream)))
    await until(fake_upstream.seen)
    await until(lambda: detector.looked)
    detector.go.set()
    answer = await asking
    assert "content_filter" in answer.text
    assert "tide" not in answer.text
    assert await asyncio.to_thread(fake_upstream.gone)


async def test_where_a_rule_redacts_prompts_the_model_waits_for_the_verdict(
    slow: Callable[..., Any], fake_upstream: Any
) -> None:
    redacting = ONE_RULE + "    on: {prompt: redact}\n"
    here, detector = await slow(redacting)
    asking = asyncio.create_task(here.ask("/v1/chat/completions", body("bait no whales")))
    await until(lambda: detector.looked)
    await asyncio.sleep(0.2)
    assert fake_upstream.seen() == []
    detector.go.set()
    await asking
    assert [each["body"]["messages"][0]["content"] for each in fake_upstream.seen()] == ["[redacted] no whales"]


async def test_a_stream_is_scanned_for_meaning_before_it_leaves(slow: Callable[..., Any], fake_upstream: Any) -> None:
    here, detector = await slow()
    detector.go.set()
    fake_upstream.script(
        "drip", delay=0.01, text="The harbour is calm today. You bait the whales with herring. Then they come."
    )
    answer = await here.ask("/v1/chat/completions", body("Tell me of the sea", stream=True))
    assert "harbour" in answer.text
    assert "herring" not in answer.text
    assert "content_filter" in answer.text


async def test_two_choices_of_a_stream_are_each_scanned_for_meaning(
    slow: Callable[..., Any], fake_upstream: Any
) -> None:
    here, detector = await slow()
    detector.go.set()
    fake_upstream.script(text="All is calm by the sea today. You bait the whales with herring.")
    answer = await here.ask("/v1/chat/completions", body("Tell me of the sea", stream=True, n=2))
    assert answer.text.count("content_filter") == 2
    assert "herring" not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_an_upstream_that_fails_at_once_does_not_hide_a_blocked_prompt(
    slow: Callable[..., Any], fake_upstream: Any
) -> None:
    here, detector = await slow()
    fake_upstream.script("e500")
    asking = asyncio.create_task(here.ask("/v1/chat/completions", body("How to bait whales?")))
    await until(fake_upstream.seen)
    await until(lambda: detector.looked)
    detector.go.set()
    assert "content_filter" in (await asking).text


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_a_rule_wants_mended_is_had_whole_first(
    slow: Callable[..., Any], fake_upstream: Any, stream: bool
) -> None:
    mending = ONE_RULE + "    on: {prompt: revise, response: revise}\n    reply: Whales are left alone here.\n"
    here, detector = await slow(mending)
    detector.go.set()
    answer = await here.ask("/v1/chat/completions", body("How to bait whales?", stream=stream))
    assert "Whales are left alone here." in answer.text
    assert "tide" not in answer.text
