"""The whole application, put together from settings, in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from rules.errors import WardlawError
from server.app import apis, app_of, create_app
from server.keys.store import KeyStore
from server.opening import Opened, open_parts
from server.settings import ServerSettings

RULES = """\
constitution: {name}-tests
title: Tests of the application
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    detect: {{patterns: [{{literal: summon the {name}}}], meaning: null}}
"""


class Running:
    """An application with its parts."""

    def __init__(self, opened: Opened, client: httpx.AsyncClient, folder: Path) -> None:
        self.opened = opened
        self.client = client
        self.folder = folder

    async def ask(self, text: str, **headers: str) -> httpx.Response:
        body = {"model": "fake", "messages": [{"role": "user", "content": text}]}
        return await self.client.post("/v1/chat/completions", json=body, headers=headers)

    def write(self, name: str, literal: str) -> None:
        (self.folder / f"{name}.yaml").write_text(RULES.format(name=name).replace(f"summon the {name}", literal))


@pytest.fixture
async def start(tmp_path: Path, fake_upstream: Any) -> AsyncIterator[Callable[..., Any]]:
    """Starts applications: `await start(auth="keys")`."""
    async with AsyncExitStack() as stack:

        async def started(peer: str = "127.0.0.1", **settings: Any) -> Running:
            for name in ("default", "bank"):
                (tmp_path / f"{name}.yaml").write_text(RULES.format(name=name))
            usual = {
                "folder": tmp_path / "data",
                "constitutions": {name: (str(tmp_path / f"{name}.yaml"),) for name in ("default", "bank")},
                "upstream": {"url": fake_upstream.url},
                "gate": {"meaning": False},
                "reload": {"watch": False},
            }
            given = ServerSettings.model_validate({**usual, **settings})
            opened = await open_parts(given)
            stack.push_async_callback(opened.close)
            await stack.enter_async_context(opened.running())
            transport = httpx.ASGITransport(app_of(given, opened), client=(peer, 1))
            client = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
            )
            return Running(opened, client, tmp_path)

        yield started


def keys(tmp_path: Path) -> KeyStore:
    (tmp_path / "data").mkdir(exist_ok=True)
    return KeyStore(f"sqlite:///{tmp_path / 'data' / 'audit.sqlite'}")


async def test_health_tells_rules_audit_and_what_is_degraded(start: Callable[..., Any]) -> None:
    running = await start()
    health = (await running.client.get("/healthz")).json()
    assert (health["status"], health["reload"], health["degraded"]) == ("ok", "ok", {})
    assert set(health["constitutions"]) == {"default", "bank"}
    assert health["audit"] == {"waiting_bytes": 0, "lost": 0, "set_aside": 0}
    assert health["upstream"].startswith("openai:http://127.0.0.1:")


REVISES = RULES + "    on: {{prompt: revise, response: revise}}\n"


async def test_without_a_reviser_a_prompt_that_asks_for_one_is_answered_at_once_and_the_log_says_so(
    start: Callable[..., Any], tmp_path: Path, fake_upstream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "soft.yaml").write_text(REVISES.format(name="soft"))
    running = await start(constitutions={"default": (str(tmp_path / "soft.yaml"),)}, tell={"body": "always"})
    assert "1 rule says `revise` in the constitution `default`, and no reviser is set" in caplog.text
    answer = await running.ask("summon the soft")
    told = answer.json()["wardlaw"]
    assert (told["action"], told["amend"]) == ("block", "no reviser")
    assert not [request for request in fake_upstream.seen() if request["path"].endswith("/chat/completions")]
    decision = (await running.client.get(f"/v1/decisions/{told['decision']}")).json()
    assert (decision["action"], decision["amend"]) == ("block", "no reviser")


async def test_a_reviser_that_is_down_is_left_alone_and_health_says_so(
    start: Callable[..., Any], tmp_path: Path, fake_upstream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "soft.yaml").write_text(REVISES.format(name="soft"))
    fake_upstream.script(text="first summon the soft")
    running = await start(
        constitutions={"default": (str(tmp_path / "soft.yaml"),)},
        reviser="openai:http://127.0.0.1:9/v1#none",
        guard={"amend_s": 0.05},
        tell={"body": "always"},
    )
    assert "no reviser is set" not in caplog.text
    told = [(await running.ask("hello")).json()["wardlaw"]["amend"] for _ in range(4)]
    assert told[0] == "out of time" or told[0].startswith("the reviser did not answer")
    assert told[3] == "the reviser is left alone after failing"
    health = (await running.client.get("/healthz")).json()
    assert health["degraded"]["reviser"].startswith("the reviser failed too often in a row")


async def test_it_is_not_ready_while_the_upstream_does_not_answer(start: Callable[..., Any]) -> None:
    running = await start(upstream={"url": "http://127.0.0.1:9/v1"})
    answer = await running.client.get("/readyz")
    assert (answer.status_code, answer.json()["why_not"]) == (503, ["the upstream does not answer"])
    assert (await running.client.get("/healthz")).status_code == 200


async def test_a_key_decides_which_constitution_judges_and_a_client_cannot(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    store = keys(tmp_path)
    _, plain = store.add("plain")
    _, bank = store.add("bank", constitution="bank")
    _, lost = store.add("lost", constitution="gone")
    running = await start(auth="keys")

    async def done(secret: str, text: str, **headers: str) -> str:
        answer = await running.ask(text, authorization=f"Bearer {secret}", **headers)
        return str(answer.headers["x-wardlaw-action"])

    assert await done(plain, "summon the default") == "block"
    assert await done(plain, "summon the bank") == "allow"
    assert await done(bank, "summon the bank") == "block"
    assert await done(bank, "summon the default", **{"x-wardlaw-constitution": "default"}) == "allow"
    assert (await running.ask("hello", authorization=f"Bearer {lost}")).status_code == 403
    assert (await running.ask("hello")).status_code == 401


async def test_a_clients_key_of_ours_never_reaches_the_upstream(
    start: Callable[..., Any], tmp_path: Path, fake_upstream: Any
) -> None:
    _, secret = keys(tmp_path).add("a client")
    running = await start(auth="keys")
    named = {"x-api-key": secret}
    for headers in ({"authorization": f"Bearer {secret}"}, named, {**named, "api-key": secret}):
        assert (await running.ask("hello", **headers)).status_code == 200
    seen = fake_upstream.seen()
    assert len(seen) == 3
    assert secret not in str(seen)


async def test_without_keys_the_clients_own_credentials_reach_the_upstream(
    start: Callable[..., Any], fake_upstream: Any
) -> None:
    running = await start()
    await running.ask("hello", authorization="Bearer sk-of-the-client")
    assert "Bearer sk-of-the-client" in str(fake_upstream.seen())


async def test_limits_of_a_key_are_told_with_when_to_come_again(start: Callable[..., Any], tmp_path: Path) -> None:
    _, secret = keys(tmp_path).add("a client", requests_per_minute=1)
    running = await start(auth="keys")
    assert (await running.ask("hello", **{"x-api-key": secret})).status_code == 200
    refused = await running.ask("hello", **{"x-api-key": secret})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_an_administrator_reloads_and_is_told_what_changed(start: Callable[..., Any], tmp_path: Path) -> None:
    store = keys(tmp_path)
    _, admin = store.add("admin", scopes=["admin"])
    _, plain = store.add("plain")
    running = await start(auth="keys")
    running.write("bank", "rob the bank")
    for headers, status in (({}, 401), ({"x-api-key": plain}, 403)):
        assert (await running.client.post("/admin/reload", headers=headers)).status_code == status
    answer = await running.client.post("/admin/reload", headers={"x-api-key": admin})
    told = answer.json()
    assert (answer.status_code, told["ok"]) == (200, True)
    assert told["constitutions"]["default"]["outcome"] == "unchanged"
    assert told["constitutions"]["bank"]["rules"]["changed"] == ["kraken-summoning"]
    (tmp_path / "bank.yaml").write_text("rules: [")
    failed = await running.client.post("/admin/reload", headers={"x-api-key": admin})
    assert failed.status_code == 422
    assert failed.json()["constitutions"]["bank"]["where"].startswith(str(tmp_path / "bank.yaml"))
    assert (await running.client.get("/healthz")).json()["reload"] == "failed"


async def test_without_keys_only_the_machine_itself_reloads(start: Callable[..., Any]) -> None:
    near, far = await start(), await start(peer="10.0.0.7")
    assert (await near.client.post("/admin/reload")).status_code == 200
    assert (await far.client.post("/admin/reload")).status_code == 403
    for name in ("x-forwarded-for", "forwarded", "origin", "host"):
        assert (await near.client.post("/admin/reload", headers={name: "x"})).status_code == 403
    assert (await near.client.post("/admin/reload", headers={"host": "localhost:1"})).status_code == 200


async def test_only_administrators_are_told_why_something_fails(start: Callable[..., Any], tmp_path: Path) -> None:
    _, admin = keys(tmp_path).add("admin", scopes=["admin"])
    running = await start(auth="keys")
    running.write("bank", "rob the bank")
    (tmp_path / "bank.yaml").write_text((tmp_path / "bank.yaml").read_text().replace("why:", "wy:"))
    await running.opened.reloader.reload("file")
    running.opened.parts.running.faults["keys"] = lambda: "the host db-7 is away"
    stranger = await running.client.get("/healthz")
    told = stranger.json()
    assert (told["reload"], set(told["degraded"])) == ("failed", {"keys"})
    assert told["constitutions"]["bank"]["reload"].keys() == {"outcome", "at"}
    for hidden in ("wy", "bank.yaml", "db-7", "openai:http"):
        assert hidden not in stranger.text
    known = (await running.client.get("/healthz", headers={"x-api-key": admin})).json()
    assert "did you mean `why`" in known["constitutions"]["bank"]["reload"]["error"]
    assert known["degraded"]["keys"] == "the host db-7 is away"
    assert known["upstream"].startswith("openai:http")


async def test_metrics_are_open_for_administrators_or_off(start: Callable[..., Any], tmp_path: Path) -> None:
    _, admin = keys(tmp_path).add("admin", scopes=["admin"])
    running = await start()
    await running.ask("summon the default")
    page = (await running.client.get("/metrics")).text
    assert 'wardlaw_findings_total{action="block",part="prompt",rule="kraken-summoning"} 1.0' in page
    closed = await start(auth="keys", metrics="admin")
    assert (await closed.client.get("/metrics")).status_code == 401
    assert (await closed.client.get("/metrics", headers={"x-api-key": admin})).status_code == 200
    off = await start(metrics="off")
    assert (await off.client.get("/metrics")).status_code == 404


async def test_every_route_is_in_the_openapi_document(start: Callable[..., Any]) -> None:
    running = await start()
    document = (await running.client.get("/openapi.json")).json()
    served = {
        (route.path.replace(":path}", "}"), method.lower())
        for module in apis()
        for route in module.routes(running.opened.parts)
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert served - described == set()


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1/chat/completions/", "/V1/chat/completions", "//v1/chat/completions", "/v1/decisions/"]
)
async def test_a_path_that_is_no_apis_is_refused_as_openai_does(start: Callable[..., Any], path: str) -> None:
    running = await start()
    answer = await running.client.post(f"http://127.0.0.1:8080{path}", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_a_path_below_messages_is_refused_as_anthropic_does(start: Callable[..., Any]) -> None:
    running = await start()
    answer = await running.client.post("/v1/messages/batches", json={})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", {"POST"}),
        ("PUT", "/v1/messages", {"POST"}),
        ("DELETE", "/v1/decisions/d_1", {"GET", "HEAD"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_refused_with_those_it_takes(
    start: Callable[..., Any], method: str, path: str, allowed: set[str]
) -> None:
    running = await start()
    answer = await running.client.request(method, path)
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, allowed)
    assert "does not take" in answer.json()["error"]["message"]


async def test_the_openapi_document_names_every_way_to_give_a_key(start: Callable[..., Any]) -> None:
    document = (await (await start()).client.get("/openapi.json")).json()
    needed = {name for way in document["paths"]["/v1/messages"]["post"]["security"] for name in way}
    assert needed <= set(document["components"]["securitySchemes"])


async def test_the_end_lets_go_of_the_keys_as_well(
    start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(tmp_path).add("a client")
    running = await start(auth="keys")
    closed: list[KeyStore] = []
    monkeypatch.setattr(KeyStore, "close", lambda store: closed.append(store))
    await running.opened.close()
    assert len(closed) == 1


async def test_parts_that_are_given_are_not_closed_with_the_application(start: Callable[..., Any]) -> None:
    running = await start()
    app = create_app(running.opened.parts.settings, running.opened.parts)
    async with app.router.lifespan_context(app):
        pass
    assert (await running.ask("hello")).status_code == 200


async def test_an_application_without_parts_opens_its_own_and_closes_them(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    settings = (await start()).opened.parts.settings
    app = create_app(settings.model_copy(update={"folder": tmp_path / "other"}))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://w") as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"


async def test_without_keys_there_must_be_a_constitution_for_everybody(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "bank.yaml").write_text(RULES.format(name="bank"))
    with pytest.raises(WardlawError, match="there is none") as raised:
        await start(constitutions={"bank": (str(tmp_path / "bank.yaml"),)})
    assert "auth: keys" in raised.value.hint
