"""The front: what goes straight to an API is what the application's own routes would take there, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.app import app_of
from server.front import Front
from server.opening import open_parts
from server.settings import ServerSettings

RULES = """\
constitution: front-tests
title: Tests of the front
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    detect: {patterns: [{literal: summon the kraken}], meaning: null}
"""
ASKED = {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "summon the kraken"}]}


@pytest.fixture
async def asked(tmp_path: Path, fake_upstream: Any) -> Any:
    """Asks both the front and the application behind it: `await asked(method, path)`."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    settings = ServerSettings.model_validate(
        {
            "folder": tmp_path / "data",
            "constitutions": {"default": (str(rules),)},
            "upstream": {"url": fake_upstream.url},
            "gate": {"meaning": False},
            "reload": {"watch": False},
        }
    )
    opened = await open_parts(settings)
    app = app_of(settings, opened)

    async def both(method: str, path: str) -> list[httpx.Response]:
        found = []
        for each in (Front(app), app):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(each), base_url="http://127.0.0.1") as client:
                found.append(await client.request(method, path, json=ASKED))
        return found

    async with opened.running():
        yield both
    await opened.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/chat/completions", 200),
        ("POST", "/v1/chat/completions?a=b", 200),
        ("POST", "/v1/chat%2Fcompletions", 200),
        ("POST", "/v1/messages", 200),
        ("POST", "/v1/messages/count_tokens", 400),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1//chat/completions", 404),
        ("POST", "/v1/Chat/Completions", 404),
        ("POST", "/v1/models/../chat/completions", 200),
        ("POST", "/v1/chat/completions%00", 404),
        ("PUT", "/v1/chat/completions", 405),
        ("GET", "/v1/responses", 405),
    ],
)
async def test_every_spelling_of_a_path_is_guarded_or_refused(
    asked: Callable[..., Any], fake_upstream: Any, method: str, path: str, status: int
) -> None:
    front, behind = await asked(method, path)
    assert (front.status_code, behind.status_code) == (status, status)
    if status == 200:
        assert front.headers["x-wardlaw-action"] == "block"
    assert fake_upstream.seen() == []
