"""What is said at the start, and what strangers and administrators are told of a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rules.errors import WardlawError
from server.opening import open_parts
from server.settings import ServerSettings
from tests.server.test_app import keys, start

__all__ = ["start"]


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"auth": "keys", "upstream": {"url": "http://model.invalid:8000/v1"}}, True),
        ({"auth": "keys", "upstream": {"url": "http://model.invalid:8000/v1", "key": "sk-1"}}, False),
        ({"auth": "keys"}, False),
        ({"auth": "none", "upstream": {"url": "http://model.invalid:8000/v1"}}, False),
    ],
)
async def test_an_upstream_elsewhere_that_gets_no_key_is_warned_of(
    start: Callable[..., Any], caplog: pytest.LogCaptureFixture, settings: dict[str, Any], warned: bool
) -> None:
    await start(**settings)
    assert ("the upstream is asked without a key" in caplog.text) is warned


async def test_a_reviser_that_is_none_is_told_with_those_that_there_are(tmp_path: Path, fake_upstream: Any) -> None:
    given = {"upstream": {"url": fake_upstream.url}, "reviser": "foo", "folder": tmp_path, "gate": {"meaning": False}}
    with pytest.raises(WardlawError) as raised:
        await open_parts(ServerSettings.model_validate(given))
    assert raised.value.what == "`reviser`: unknown kind of model `foo`"
    assert raised.value.hint.startswith("`none`, `upstream`, or another model: ")


async def test_strangers_are_told_no_process_address_path_or_test_in_health(
    start: Callable[..., Any], tmp_path: Path, fake_upstream: Any
) -> None:
    _, admin = keys(tmp_path).add("admin", scopes=["admin"])
    running = await start(auth="keys")
    rules = (tmp_path / "bank.yaml").read_text()
    tested = "    tests: {breaks: [words of a test]}\n"
    (tmp_path / "bank.yaml").write_text(rules + tested)
    await running.client.post("/admin/reload", headers={"x-api-key": admin})
    (tmp_path / "bank.yaml").write_text(rules.replace("watches", "wtches").replace("why:", "wy:"))
    await running.client.post("/admin/reload", headers={"x-api-key": admin})
    told = await running.client.get("/healthz")
    assert told.json()["reload"] == "failed"
    assert not {"pid", "upstream"} & set(told.json())
    for secret in ("words of a test", str(tmp_path), "127.0.0.1", "bank.yaml"):
        assert secret not in told.text
    known = (await running.client.get("/healthz", headers={"x-api-key": admin})).json()
    assert {"pid", "upstream"} <= set(known)
    assert "bank.yaml" in str(known)


async def test_a_dry_reload_lists_failing_tests_and_changes_nothing(start: Callable[..., Any], tmp_path: Path) -> None:
    running = await start()
    path = tmp_path / "bank.yaml"
    path.write_text(path.read_text() + "    tests: {breaks: [words of a test]}\n")
    before = (await running.client.get("/healthz")).json()["constitutions"]
    told = (await running.client.post("/admin/reload?dry=true")).json()
    bank = told["constitutions"]["bank"]
    assert bank["outcome"] == "ready"
    assert bank["tests"]["listed"] == [{"rule": "kraken-summoning", "kind": "breaks", "text": "words of a test"}]
    assert told["workers"] == {"reloaded": 0, "told_to_reload": 0}
    assert (await running.client.get("/healthz")).json()["constitutions"] == before


async def test_metrics_for_administrators_are_for_this_machine_where_there_are_no_keys(
    start: Callable[..., Any],
) -> None:
    near, far = await start(metrics="admin"), await start(peer="10.0.0.7", metrics="admin")
    assert (await near.client.get("/metrics")).status_code == 200
    assert (await far.client.get("/metrics")).status_code == 403


@pytest.mark.parametrize("stream", [False, True])
async def test_a_field_that_a_local_model_cannot_take_is_named(
    start: Callable[..., Any], tmp_path: Path, stream: bool
) -> None:
    (tmp_path / "answers.yaml").write_text("- {text: The tide comes in.}\n")
    running = await start(upstream={"model": f"scripted:{tmp_path / 'answers.yaml'}"})
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": "hot", "stream": stream}
    answer = await running.client.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "temperature")
    assert error["message"] == "temperature: a number from 0 to 2 is needed"
