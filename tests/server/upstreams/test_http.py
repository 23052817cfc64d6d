"""Whole answers by HTTP, from a model server in another process, faults and all."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from server.upstreams.base import UpstreamFault
from server.upstreams.http import HttpUpstream

DIALECTS = ("chat_completions", "messages", "responses")
Open = Callable[..., HttpUpstream]


async def fault(upstream: HttpUpstream, body: dict[str, Any], dialect: str = "chat_completions") -> UpstreamFault:
    with pytest.raises(UpstreamFault) as caught:
        await upstream.ask(dialect, body, {})
    assert caught.value.__context__ is None  # an error of aiohttp there would carry the key
    return caught.value


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_answer_comes_as_it_was_sent(http: Open, bodies: Any, fake_upstream: Any, dialect: str) -> None:
    answered = await http().ask(dialect, bodies[dialect], {})
    assert answered.status == 200
    assert answered.data == orjson.loads(answered.body)
    assert answered.headers == {"x-request-id": "req-fake"}  # no cookie among them
    (request,) = fake_upstream.seen()
    assert request["body"] == bodies[dialect]
    assert request["headers"]["content-type"] == "application/json"


async def test_a_request_of_several_megabytes_is_sent_whole(http: Open, fake_upstream: Any) -> None:
    content = "harbour " * 400_000
    await http().ask("chat_completions", {"messages": [{"role": "user", "content": content}]}, {})
    assert fake_upstream.seen()[0]["body"]["messages"][0]["content"] == content


async def test_only_headers_that_are_listed_reach_the_upstream(http: Open, bodies: Any, fake_upstream: Any) -> None:
    handed = {
        "openai-organization": "org-1",
        "openai-project": "proj-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "idempotency-key": "once",
        "user-agent": "client/1.0",
    }
    kept = {
        "cookie": "session=1",
        "x-wardlaw-tell": "body",
        "connection": "upgrade",
        "transfer-encoding": "chunked",
        "content-length": "3",
        "host": "elsewhere",
        "proxy-authorization": "Basic x",
        "x-forwarded-for": "10.0.0.1",
    }
    await http().ask("chat_completions", bodies["chat_completions"], handed | kept)
    sent = fake_upstream.seen()[0]["headers"]
    assert {name: sent.get(name) for name in handed} == handed
    assert not {"cookie", "x-wardlaw-tell", "proxy-authorization", "x-forwarded-for", "connection"} & set(sent)
    assert sent["host"].startswith("127.0.0.1:")


async def test_the_servers_key_takes_the_place_of_the_clients(http: Open, bodies: Any, fake_upstream: Any) -> None:
    client = {"authorization": "Bearer of-the-client", "x-api-key": "of-the-client"}
    body = bodies["chat_completions"]
    await http(key="of-the-server").ask("chat_completions", body, client)
    await http(key="of-the-server", kind="anthropic").ask("messages", bodies["messages"], client)
    await http().ask("chat_completions", body, client)
    await http(kind="anthropic").ask("messages", bodies["messages"], {"x-api-key": "of-the-client"})
    sent = [request["headers"] for request in fake_upstream.seen()]
    assert [(h.get("authorization"), h.get("x-api-key")) for h in sent] == [
        ("Bearer of-the-server", None),
        (None, "of-the-server"),
        ("Bearer of-the-client", None),
        (None, "of-the-client"),
    ]


async def test_an_anthropic_upstream_is_told_a_version_and_the_clients_betas(
    http: Open, bodies: Any, fake_upstream: Any
) -> None:
    upstream = http(kind="anthropic")
    await upstream.ask("messages", bodies["messages"], {})
    told = {"anthropic-version": "2024-01-01", "anthropic-beta": "b-1,b-2"}
    await upstream.ask("messages", bodies["messages"], told)
    first, second = (request["headers"] for request in fake_upstream.seen())
    assert first["anthropic-version"] == "2023-06-01"
    assert {name: second[name] for name in told} == told


@pytest.mark.parametrize(
    ("mode", "status", "kind"),
    [
        ("e400", 400, "invalid_request"),
        ("e401", 401, "authentication"),
        ("e404", 404, "not_found"),
        ("e413", 413, "too_large"),
        ("e422", 422, "invalid_request"),
        ("e429", 429, "rate_limit"),
        ("e500", 502, "upstream"),
        ("e503", 503, "overloaded"),
        ("garbage", 502, "upstream"),
        ("array", 502, "upstream"),
        ("html", 502, "upstream"),
        ("redirect", 502, "upstream"),
        ("cut", 502, "upstream"),
        ("close", 502, "upstream"),
        ("endless", 502, "upstream"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_goes_wrong_is_told_by_status_and_kind(
    http: Open, bodies: Any, fake_upstream: Any, mode: str, status: int, kind: str, dialect: str
) -> None:
    fake_upstream.script(mode)
    found = await fault(http(answer_bytes=2**20), bodies[dialect], dialect)
    assert (found.status, found.kind) == (status, kind)
    assert "tide" not in str(found)


async def test_a_refusal_says_what_the_upstream_said_and_when_to_come_again(
    http: Open, bodies: Any, fake_upstream: Any
) -> None:
    fake_upstream.script("e429")
    found = await fault(http(), bodies["chat_completions"])
    assert found.told == "too many requests"
    assert "too many" not in str(found)
    assert found.retry_after == 7.0
    assert found.headers["x-ratelimit-remaining-requests"] == "0"


async def test_a_refused_key_of_the_server_is_no_fault_of_the_client(
    http: Open, bodies: Any, fake_upstream: Any
) -> None:
    fake_upstream.script("e401")
    found = await fault(http(key="sk-secret-0123456789"), bodies["chat_completions"])
    assert (found.status, found.told) == (502, "")
    assert "key" in found.hint
    assert "sk-secret" not in str(found) + repr(found)


async def test_a_401_to_a_request_without_the_clients_credentials_is_no_fault_of_the_client(
    bodies: Any, fake_upstream: Any
) -> None:
    fake_upstream.script("e401")
    upstream = HttpUpstream(settings_of(fake_upstream.url), credentials=False)
    found = await fault(upstream, bodies["chat_completions"])
    assert (found.status, found.kind, found.told) == (502, "upstream", "")
    assert "upstream.key" in found.hint
    await upstream.close()


@pytest.mark.parametrize(("mode", "waits"), [("hang", {"first_s": 0.2}), ("hang_mid", {"first_s": 0.2}), ("slow", {})])
async def test_an_upstream_that_is_late_is_told_as_a_timeout(
    http: Open, bodies: Any, fake_upstream: Any, mode: str, waits: Any
) -> None:
    fake_upstream.script(mode, delay=5)
    found = await fault(http(**{"total_s": 0.3} | waits), bodies["chat_completions"])
    assert (found.status, found.kind) == (504, "timeout")


async def test_an_upstream_that_is_down_is_told_as_down(http: Open, bodies: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        upstream = http(url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        found = await fault(upstream, bodies["chat_completions"])
        assert (found.status, found.kind) == (503, "upstream")
        assert "connection refused" in found.what
        assert not await upstream.ready()


async def test_a_name_that_is_nowhere_is_told_as_down(http: Open, bodies: Any) -> None:
    found = await fault(http(url="http://no-such-host.invalid/v1"), bodies["chat_completions"])
    assert (found.status, found.kind) == (503, "upstream")
    assert "its host is not known" in found.what


async def test_a_full_pool_is_told_as_a_timeout_and_not_waited_for(http: Open, bodies: Any, fake_upstream: Any) -> None:
    fake_upstream.script("hang")
    upstream = http(connections=1, connect_s=0.2)
    first = asyncio.create_task(upstream.ask("chat_completions", bodies["chat_completions"], {}))
    await asyncio.to_thread(fake_upstream.asked)
    found = await fault(upstream, bodies["chat_completions"])
    assert (found.status, found.kind) == (504, "timeout")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("mode", ["gzip", "one_byte"])
async def test_a_body_is_read_however_it_comes(http: Open, bodies: Any, fake_upstream: Any, mode: str) -> None:
    plain = await http().ask("chat_completions", bodies["chat_completions"], {})
    fake_upstream.script(mode)
    assert (await http().ask("chat_completions", bodies["chat_completions"], {})).data == plain.data


async def test_a_small_body_that_unpacks_to_a_huge_one_is_broken_off(
    http: Open, bodies: Any, fake_upstream: Any
) -> None:
    fake_upstream.script("gzip", body={"filler": "x" * 2**22})
    found = await fault(http(answer_bytes=2**20), bodies["chat_completions"])
    assert (found.status, found.kind) == (502, "upstream")


async def test_a_cancelled_ask_is_seen_by_the_upstream(http: Open, bodies: Any, fake_upstream: Any) -> None:
    fake_upstream.script("hang")
    task = asyncio.create_task(http().ask("chat_completions", bodies["chat_completions"], {}))
    await asyncio.to_thread(fake_upstream.asked)
    left_at = time.time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (gone,) = await asyncio.to_thread(fake_upstream.gone)
    assert gone["gone_at"] - left_at < 10.0


async def test_many_asks_at_once_get_each_their_own_answer_over_pooled_connections(
    http: Open, fake_upstream: Any
) -> None:
    upstream = http()

    async def said(n: int) -> str:
        body = {"model": "fake", "messages": [{"role": "user", "content": f"say: number {n}"}]}
        answered = await upstream.ask("chat_completions", body, {})
        return str(answered.data["choices"][0]["message"]["content"])

    for _ in range(3):
        assert await asyncio.gather(*map(said, range(8))) == [f"number {n}" for n in range(8)]
    assert len({request["port"] for request in fake_upstream.seen()}) <= 8


async def test_a_pooled_connection_that_the_upstream_had_closed_is_replaced() -> None:
    """The server ends each connection when a second request comes over it, which it has then not read."""
    served, over = 0, asyncio.Semaphore(0)

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        served += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read(1)
        writer.close()
        over.release()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = HttpUpstream(settings_of(f"http://127.0.0.1:{port}"))
    for _ in range(3):
        assert (await upstream.ask("chat_completions", {}, {})).data == {}
    assert served == 3
    await upstream.close()
    for _ in range(served):
        await over.acquire()
    server.close()


async def test_a_new_connection_that_breaks_is_not_tried_again(http: Open, bodies: Any, fake_upstream: Any) -> None:
    fake_upstream.script("close")
    await fault(http(), bodies["chat_completions"])
    assert len(fake_upstream.seen()) == 1


async def test_requests_without_a_conversation_are_handed_on(http: Open, fake_upstream: Any) -> None:
    upstream = http()
    status, body, headers = await upstream.passed("GET", "/v1/models?after=x", None, {})
    assert (status, orjson.loads(body)["data"][0]["id"]) == (200, "fake")
    assert headers["content-type"].startswith("application/json")
    status, body, _ = await upstream.passed("POST", "/embeddings", b'{"model": "m", "input": "x"}', {})
    assert orjson.loads(body)["data"][0]["embedding"] == [0.5, -0.5]
    assert [request["path"] for request in fake_upstream.seen()] == ["/v1/models?after=x", "/v1/embeddings"]
    fake_upstream.script("e404")
    with pytest.raises(UpstreamFault) as caught:
        await upstream.passed("POST", "/v1/embeddings", b"{}", {})
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../admin",
        "//elsewhere/v1",
        "models",
        "/models/../../x",
        "@elsewhere",
        "/models/%2e%2e/responses/resp_1",
        "/models/m%2f..%2f..%2fresponses%2fresp_1",
        "/models/%252e%252e/responses/resp_1",
        "/models/..;a/responses/resp_1",
        "/models/..%5cresponses",
    ],
)
async def test_a_path_that_leads_elsewhere_is_refused(http: Open, fake_upstream: Any, path: str) -> None:
    with pytest.raises(UpstreamFault):
        await http().passed("GET", path, None, {})
    assert fake_upstream.seen() == []


async def test_readiness_is_asked_once_a_second_however_many_ask(http: Open, fake_upstream: Any) -> None:
    upstream = http()
    assert all(await asyncio.gather(*(upstream.ready() for _ in range(20))))
    assert await upstream.ready()
    assert len(fake_upstream.seen()) == 1


async def test_no_proxy_of_the_environment_stands_before_loopback(
    http: Open, bodies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert (await http().ask("chat_completions", bodies["chat_completions"], {})).status == 200


async def test_the_identity_holds_no_key(http: Open, fake_upstream: Any) -> None:
    upstream = http(key="sk-secret-0123456789")
    assert upstream.identity == f"openai:{fake_upstream.url}"
    assert "secret" not in repr(upstream)


def test_an_upstream_works_in_one_loop_after_another(fake_upstream: Any) -> None:
    upstream = HttpUpstream(settings_of(fake_upstream.url))

    async def once() -> int:
        answered = await upstream.ask("chat_completions", {"messages": []}, {})
        await upstream.close()
        await upstream.close()
        return answered.status

    assert [asyncio.run(once()) for _ in range(2)] == [200, 200]


def settings_of(url: str) -> Any:
    from server.upstreams.settings import UpstreamSettings

    return UpstreamSettings(url=url)
