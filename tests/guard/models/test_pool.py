"""A pool of endpoints against real servers on loopback: alive, killed, frozen, slow, busy, flapping, wrong."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from guard.adapters import choose_adapter
from guard.exchange import Message
from guard.models import open_model
from guard.models.base import Ask, ContextTooLong, ModelConfigError, ModelUnavailable, Sampling, StreamingChatModel
from guard.models.pool import PoolModel
from tests.ports import refusing

SERVED = Path(__file__).with_name("served.py")


def ask(text: str = "Hello?", *before: str) -> Ask:
    messages = [Message("system", before[0])] if before else []
    messages += [Message("user" if number % 2 else "assistant", said) for number, said in enumerate(before[1:], 1)]
    return Ask((*messages, Message("user", text)), Sampling(max_tokens=16))


def completion(content: str = "Fine.") -> dict[str, Any]:
    said = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"object": "chat.completion", "choices": [said], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


class Server:
    """One endpoint on loopback whose behaviour is set while it runs."""

    def __init__(self) -> None:
        self.base = ""
        self.names = ["mock"]
        self.root = ""
        self.listed = True
        self.list_status = 200
        self.delay = 0.0
        self.answer: Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]] = lambda _: (200, completion(), {})
        self.stream_status = 200
        self.chunks: list[str | None] = []
        """Of a stream; None closes the socket."""
        self.asked: list[dict[str, Any]] = []
        self.looked = 0
        self.keys: list[str | None] = []
        self.open = 0
        self.most_open = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> Server:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        port = int(self.base.rpartition(":")[2].partition("/")[0]) if self.base else 0
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        self.looked += 1
        if not self.listed:
            return web.Response(status=404)
        data = [{"id": name, "root": self.root} for name in self.names]
        return web.json_response({"data": data}, status=self.list_status)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("Authorization"))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.delay)
            if body.get("stream") and self.chunks:
                return await self._stream(request)
            status, said, headers = self.answer(body)
            return web.json_response(said, status=status, headers=headers)
        finally:
            self.open -= 1

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in self.chunks:
            if chunk is None:
                assert request.transport is not None
                request.transport.abort()
                return response
            part = {"choices": [{"index": 0, "delta": {"content": chunk}, "finish_reason": None}]}
            await response.write(f"data: {json.dumps(part)}\n\n".encode())
            await asyncio.sleep(0.01)
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await response.write(f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode())
        return response


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "WARDLAW_CALL_TIMEOUT", "WARDLAW_PATIENCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def servers() -> AsyncIterator[Callable[[int], Any]]:
    """Starts servers, and stops them at the end."""
    started: list[Server] = []

    async def start(count: int) -> list[Server]:
        new = [await Server().start() for _ in range(count)]
        started.extend(new)
        return new

    yield start
    for server in started:
        await server.stop()


@pytest.fixture
async def pool() -> AsyncIterator[Callable[..., PoolModel]]:
    """Opens pools that check their endpoints often, and closes them."""
    opened: list[PoolModel] = []

    def open_quick(*bases: str, model: str = "mock", options: str = "", concurrency: int = 16) -> PoolModel:
        # It is the deadline of a check too, which a busy machine must not miss.
        name = f"pool:{','.join(bases)}#{model}?health=0.3{options}"
        found = open_model(name, concurrency=concurrency)
        assert isinstance(found, PoolModel)
        opened.append(found)
        return found

    yield open_quick
    for model in opened:
        await model.close()


@dataclass
class Process:
    process: subprocess.Popen[str]
    base: str
    log: Path

    @property
    def came(self) -> list[str]:
        return [line[2:] for line in self.lines if line.startswith("+")]

    @property
    def unanswered(self) -> int:
        return len(self.came) - sum(line.startswith("-") for line in self.lines)

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., list[Process]]]:
    """Starts servers in processes of their own, and kills them at the end."""
    with ExitStack() as stack:

        def start(count: int, *options: str) -> list[Process]:
            new = []
            for number in range(count):
                log = tmp_path / f"{len(list(tmp_path.iterdir()))}-{number}.log"
                command = [sys.executable, str(SERVED), "--log", str(log), *options]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                stack.callback(_end, process)
                new.append((process, log))
            return [Process(process, f"http://127.0.0.1:{_port(process)}/v1", log) for process, log in new]

        yield start


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # servers in other processes set no event here
            await asyncio.sleep(0.01)


def states(model: PoolModel) -> list[str]:
    return [told.state for told in model.endpoints()]


async def many(model: PoolModel, count: int, at_once: int = 16) -> Counter[str]:
    """Ask `count` questions; what came of them."""
    came: Counter[str] = Counter()
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            came[(await model.chat(ask(f"Question {number}?"))).text] += 1

    await asyncio.gather(*(work() for _ in range(at_once)))
    return came


# The name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pool:", "no model"),
        ("pool:http://a/v1", "no model"),
        ("pool:#mock", "no address"),
        ("pool:http://a/v1,#mock", "is empty"),
        ("pool:http://a/v1,http://a/v1/#mock", "stands twice"),
        ("pool:http://a/v1,ftp://b#mock", "no http address"),
        ("pool:http://a/v1#mock?ech=3", "unknown option `ech`"),
        ("pool:http://a/v1#mock?each=0", "`each` of a pool cannot be `0`"),
        ("pool:http://a/v1#mock?each=3&each=4", "twice"),
        ("pool:http://a/v1#mock?health=soon", "`health`"),
        ("pool:http://a/v1?timeout=3#mock", "option at the address"),
        ("pool:http://a/v1?key=NOT_SET_HERE#mock", "NOT_SET_HERE"),
        ("pool:@/no/such/file#mock", "cannot be read"),
    ],
)
def test_a_name_that_misses_is_answered_with_what_is_wrong_in_it(name: str, says: str) -> None:
    with pytest.raises(ModelConfigError, match=says) as caught:
        open_model(name)
    assert caught.value.hint
    assert "\n" not in caught.value.what


def test_a_bad_line_of_the_file_is_told_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.txt"
    file.write_text("# the rack in the hall\nhttp://a/v1   # first\n\nhttp:/b\n")
    with pytest.raises(ModelConfigError, match=r"endpoints\.txt:4: `http:/b`"):
        open_model(f"pool:@{file}#mock")
    file.write_text("# none yet\n")
    with pytest.raises(ModelConfigError, match="names no endpoint"):
        open_model(f"pool:@{file}#mock")


async def test_the_identity_is_the_models_name_whatever_the_addresses_and_options(pool) -> None:
    one = pool("http://127.0.0.1:1/v1", model="org/name:free")
    other = pool("http://127.0.0.1:2/v1", "http://127.0.0.1:3/v1", model="org/name:free", options="&each=3")
    assert one.identity == other.identity == "pool:#org/name:free"
    assert isinstance(one, StreamingChatModel)
    assert not one.local


def test_a_guard_model_behind_a_pool_is_known_by_its_name() -> None:
    assert choose_adapter("auto", "pool:#Qwen/Qwen3Guard-Gen-8B") is choose_adapter(
        "auto", "openai:http://a/v1#Qwen/Qwen3Guard-Gen-8B"
    )


async def test_each_endpoint_gets_its_own_key(servers, pool, monkeypatch) -> None:
    a, b = await servers(2)
    monkeypatch.setenv("A_KEY", "key-of-a")
    monkeypatch.setenv("ALL_KEY", "key-of-all")
    model = pool(f"{a.base}?key=A_KEY", b.base, options="&key=ALL_KEY")
    a.delay = b.delay = 0.02
    await many(model, 8)
    assert set(a.keys) == {"Bearer key-of-a"}
    assert set(b.keys) == {"Bearer key-of-all"}


# Who is asked


async def test_calls_are_spread_and_a_slow_endpoint_gets_fewer(servers, pool) -> None:
    fast, slow = await servers(2)
    fast.delay, slow.delay = 0.05, 0.4  # large beside the time that a busy machine takes for a call
    model = pool(fast.base, slow.base)
    assert await many(model, 200) == {"Fine.": 200}
    assert len(slow.asked) >= 15
    assert len(fast.asked) > 2 * len(slow.asked)
    told = model.endpoints()
    assert [each.calls for each in told] == [len(fast.asked), len(slow.asked)]
    assert told[0].p50_s < told[1].p50_s
    assert not any(each.failures or each.in_flight for each in told)


async def test_no_more_calls_are_in_flight_than_were_allowed_at_each_and_at_all(servers, pool) -> None:
    a, b, c = await servers(3)
    for server in (a, b, c):
        server.delay = 0.01
    await many(pool(a.base, b.base, c.base, options="&each=2", concurrency=16), 60)
    assert max(server.most_open for server in (a, b, c)) == 2
    before = [server.most_open for server in (a, b, c)]
    for server in (a, b, c):
        server.most_open = 0
    await many(pool(a.base, b.base, c.base, concurrency=3), 60)
    assert max(server.most_open for server in (a, b, c)) <= max(before)
    assert sum(len(server.asked) for server in (a, b, c)) == 120


async def test_a_caller_that_is_cancelled_while_it_waits_for_a_place_takes_none_with_it(servers, pool) -> None:
    (server,) = await servers(1)
    server.delay = 0.05
    model = pool(server.base, options="&each=1")
    calls = [asyncio.create_task(model.chat(ask(str(number)))) for number in range(6)]
    await until(lambda: server.open == 1)
    calls[2].cancel()
    calls[4].cancel()
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(reply, asyncio.CancelledError) for reply in done] == [False, False, True, False, True, False]
    assert model.endpoints()[0].in_flight == 0
    assert (await model.chat(ask("again"))).text == "Fine."


# Endpoints that die


async def test_a_server_killed_in_mid_run_costs_no_call_and_only_what_was_in_flight_is_asked_twice(
    processes, pool
) -> None:
    a, b = processes(2, "--delay-ms", "20")
    model = pool(a.base, b.base)
    run = asyncio.create_task(many(model, 300))
    await until(lambda: len(b.came) >= 40)
    os.kill(b.process.pid, signal.SIGKILL)
    came = await run
    assert sum(came.values()) == 300
    asked = Counter(a.came + b.came)
    assert len(asked) == 300
    assert sum(asked.values()) - 300 <= b.unanswered <= 16
    assert states(model)[0] == "up"
    assert states(model)[1] == "out"
    lost = model.endpoints()[1]
    assert lost.failures >= b.unanswered
    assert "takes no connection" in lost.why or "broke off" in lost.why


async def test_a_killed_server_that_is_started_again_is_asked_again_by_itself(processes, pool) -> None:
    a, b = processes(2, "--delay-ms", "5")
    model = pool(a.base, b.base)
    await many(model, 20)
    os.kill(b.process.pid, signal.SIGKILL)
    b.process.wait()
    await many(model, 20)
    assert states(model) == ["up", "out"]
    (again,) = processes(1, "--delay-ms", "5", "--port", b.base.rpartition(":")[2].partition("/")[0])
    await until(lambda: states(model)[1] != "out")
    await many(model, 40)
    assert states(model) == ["up", "up"]
    assert again.came


async def test_a_frozen_server_is_found_by_its_checks_and_its_calls_are_asked_elsewhere(processes, pool) -> None:
    a, b = processes(2, "--delay-ms", "20")
    model = pool(a.base, b.base)
    run = asyncio.create_task(many(model, 120))
    await until(lambda: len(b.came) >= 10)
    os.kill(b.process.pid, signal.SIGSTOP)
    try:
        assert sum((await run).values()) == 120
        assert states(model) == ["up", "out"]
        assert "no answer within" in model.endpoints()[1].why
    finally:
        os.kill(b.process.pid, signal.SIGCONT)
    await until(lambda: states(model)[1] != "out")


async def test_an_endpoint_that_is_down_at_the_start_is_left_out_until_it_is_there(servers, pool) -> None:
    a, b = await servers(2)
    await b.stop()
    model = pool(a.base, b.base)
    await many(model, 10)
    assert states(model) == ["up", "out"]
    await b.start()
    await until(lambda: states(model)[1] == "trial")
    b.delay = a.delay = 0.01
    await many(model, 40)
    assert states(model) == ["up", "up"]
    assert b.asked


async def test_an_endpoint_that_flaps_costs_no_call(servers, pool) -> None:
    steady, flapping = await servers(2)
    steady.delay = flapping.delay = 0.005
    model = pool(steady.base, flapping.base)
    stop = asyncio.Event()
    times = 0

    async def flap() -> None:
        nonlocal times
        while not stop.is_set():
            await flapping.stop()
            await asyncio.sleep(0.05)
            await flapping.start()
            await asyncio.sleep(0.1)
            times += 1

    flaps = asyncio.create_task(flap())
    rounds = 0
    while rounds < 6 or times < 2:
        assert await many(model, 100) == {"Fine.": 100}
        rounds += 1
    stop.set()
    await flaps


async def test_one_that_answers_checks_and_fails_calls_is_sent_ever_fewer(servers, pool) -> None:
    fine, broken = await servers(2)
    fine.delay = 0.01
    broken.answer = lambda _: (500, {"error": "the engine is dead"}, {})
    model = pool(fine.base, broken.base)
    assert sum((await many(model, 300, at_once=4)).values()) == 300
    assert len(broken.asked) < 30
    assert model.endpoints()[1].failures == len(broken.asked)


async def test_with_all_down_a_call_ends_with_all_of_them_named_and_since_when(servers, pool) -> None:
    a, b = await servers(2)
    model = pool(a.base, b.base, options="&patience=2")
    await model.chat(ask())
    await a.stop()
    await b.stop()
    with pytest.raises(ModelUnavailable) as caught:
        await model.chat(ask())
    assert caught.value.endpoint_down
    for server in (a, b):
        assert f"`{server.base}` takes no connection: connection refused (since 2" in caught.value.what
    await a.start()
    await until(lambda: "trial" in states(model))
    assert (await model.chat(ask())).text == "Fine."


async def test_none_there_from_the_start_is_said_as_of_one_endpoint(pool) -> None:
    with refusing() as port, pytest.raises(ModelUnavailable, match="none of the 1 endpoints") as caught:
        await pool(f"http://127.0.0.1:{port}/v1", options="&patience=0.3").chat(ask())
    assert caught.value.endpoint_down
    assert caught.value.hint


async def test_a_prompt_that_breaks_every_server_fails_alone(servers, pool) -> None:
    all_of_them = await servers(3)
    for server in all_of_them:
        server.delay = 0.005
        server.answer = lambda body: (
            (500, {"error": "boom"}, {}) if "poison" in body["messages"][-1]["content"] else (200, completion(), {})
        )
    model = pool(*(server.base for server in all_of_them), options="&patience=2")
    poison = asyncio.create_task(model.chat(ask("poison")))
    assert await many(model, 200) == {"Fine.": 200}
    with pytest.raises(ModelUnavailable, match="boom") as caught:
        await poison
    assert not caught.value.endpoint_down
    assert sum("poison" in body["messages"][-1]["content"] for server in all_of_them for body in server.asked) <= 5


async def test_what_is_refused_for_what_is_in_it_is_not_asked_elsewhere(servers, pool) -> None:
    a, b = await servers(2)
    for server in (a, b):
        server.answer = lambda _: (400, {"error": {"message": "maximum context length is 10 tokens"}}, {})
    model = pool(a.base, b.base)
    with pytest.raises(ContextTooLong):
        await model.chat(ask())
    assert len(a.asked) + len(b.asked) == 1
    assert states(model) == ["up", "up"]


# Busy ones


async def test_one_that_asks_to_wait_is_left_in_peace_and_the_others_are_asked_at_once(servers, pool) -> None:
    busy, fine = await servers(2)
    busy.answer = lambda _: (429, {"error": "slow down"}, {"Retry-After": "30"})
    model = pool(busy.base, fine.base)
    assert sum((await many(model, 60)).values()) == 60
    assert len(busy.asked) <= 16
    assert states(model) == ["up", "up"]


async def test_with_all_busy_the_call_waits_for_the_first_that_said_when(servers, pool) -> None:
    a, b = await servers(2)
    model = pool(a.base, b.base)
    a.answer = lambda _: (429, {"error": "later"}, {"Retry-After": "30"})
    b.answer = lambda _: (
        (429, {"error": "soon"}, {"Retry-After": "0.2"}) if len(b.asked) == 1 else (200, completion("b"), {})
    )
    assert (await model.chat(ask())).text == "b"
    assert len(a.asked) == 1
    assert len(b.asked) == 2


# What they serve


async def test_an_endpoint_without_the_model_is_told_at_the_start_with_the_names_it_has(servers, pool) -> None:
    a, b = await servers(2)
    b.names = ["mick", "other"]
    b.answer = lambda _: (404, {"error": {"message": "The model `mock` does not exist.", "code": 404}}, {})
    model = pool(a.base, b.base)
    with pytest.raises(ModelConfigError, match=f"`{b.base}` has no model `mock`") as caught:
        await model.chat(ask())
    assert caught.value.hint == "did you mean `mick`? it offers: mick, other"
    b.names, b.answer = ["mock"], lambda _: (200, completion(), {})
    assert (await model.chat(ask())).text == "Fine."


async def test_a_server_that_takes_any_name_or_has_no_list_is_used(servers, pool) -> None:
    alias, bare = await servers(2)
    alias.names = ["/models/mock-q4.gguf"]
    bare.listed = False
    model = pool(alias.base, bare.base)
    alias.delay = bare.delay = 0.01
    assert sum((await many(model, 20)).values()) == 20
    assert states(model) == ["up", "up"]
    assert sum(body["max_tokens"] == 1 for body in alias.asked) == 1


async def test_one_restarted_with_another_model_is_left_out_and_the_run_goes_on(servers, pool) -> None:
    a, b = await servers(2)
    a.delay = b.delay = 0.005
    model = pool(a.base, b.base)
    await many(model, 20)
    b.names = ["next"]
    b.answer = lambda _: (404, {"error": {"message": "The model `mock` does not exist.", "code": 404}}, {})
    assert sum((await many(model, 40)).values()) == 40
    assert states(model) == ["up", "wrong"]
    assert "has no model `mock`" in model.endpoints()[1].why
    b.names, b.answer = ["mock"], lambda _: (200, completion(), {})
    await until(lambda: states(model)[1] == "trial")


async def test_other_weights_under_the_same_name_are_refused_unless_that_is_meant(servers, pool) -> None:
    a, b = await servers(2)
    a.root, b.root = "org/mock-v1", "org/mock-v2"
    with pytest.raises(ModelConfigError, match=r"from `org/mock-v2`, and .* from `org/mock-v1`") as caught:
        await pool(a.base, b.base).chat(ask())
    assert "?roots=any" in caught.value.hint
    assert (await pool(a.base, b.base, options="&roots=any").chat(ask())).text == "Fine."


async def test_a_refused_key_is_told_at_the_start_and_never_shown(servers, pool, monkeypatch) -> None:
    a, b = await servers(2)
    monkeypatch.setenv("B_KEY", "sk-wardlaw-0123456789abcdef")
    b.list_status = 401
    with pytest.raises(ModelConfigError, match="B_KEY") as caught:
        await pool(a.base, f"{b.base}?key=B_KEY").chat(ask())
    assert "0123456789" not in f"{caught.value.what}{caught.value.hint}"


# The file


async def test_servers_join_and_leave_a_run_by_the_file(servers, pool, tmp_path, caplog) -> None:
    a, b = await servers(2)
    a.delay = b.delay = 0.005
    file = tmp_path / "endpoints.txt"
    file.write_text(f"{a.base}\n")
    model = pool(f"@{file}")
    await many(model, 10)
    assert not b.asked
    file.write_text(f"{a.base}\n{b.base}  # joined\n")
    await until(lambda: states(model) == ["up", "up"])
    await many(model, 40)
    assert b.asked
    file.write_text("no address\n")
    await until(lambda: "stay as they are" in caplog.text)
    assert len(states(model)) == 2
    file.write_text(f"{b.base}\n")
    await until(lambda: len(states(model)) == 1)
    before = len(a.asked)
    assert sum((await many(model, 20)).values()) == 20
    assert len(a.asked) == before


async def test_calls_in_flight_at_one_that_leaves_are_answered_there(servers, pool, tmp_path) -> None:
    a, b = await servers(2)
    file = tmp_path / "endpoints.txt"
    file.write_text(f"{a.base}\n")
    model = pool(f"@{file}")
    a.delay = 0.5
    call = asyncio.create_task(model.chat(ask()))
    await until(lambda: a.open == 1)
    file.write_text(f"{b.base}\n")
    await until(lambda: [told.base for told in model.endpoints()] == [b.base])
    assert (await call).text == "Fine."
    assert not b.asked


# Streams


async def test_a_stream_that_breaks_before_its_first_piece_is_asked_elsewhere(servers, pool) -> None:
    a, b = await servers(2)
    a.chunks = [None]
    b.chunks = ["one ", "two"]
    model = pool(a.base, b.base)
    for _ in range(64):  # each is as likely to be asked first
        async with aclosing(model.stream(ask())) as pieces:
            heard = [piece async for piece in pieces]
        assert heard[-1].reply is not None
        assert "".join(piece.text for piece in heard) == heard[-1].reply.text == "one two"
        if a.asked:
            break
    assert a.asked
    assert model.endpoints()[0].failures == len(a.asked)
    assert [told.in_flight for told in model.endpoints()] == [0, 0]


async def test_a_stream_that_breaks_later_is_not_begun_again(servers, pool) -> None:
    a, b = await servers(2)
    for server in (a, b):
        server.chunks = ["one ", "two ", None]
    model = pool(a.base, b.base)
    heard = []
    with pytest.raises(ModelUnavailable, match="broke off"):
        async with aclosing(model.stream(ask())) as pieces:
            async for piece in pieces:
                heard.append(piece.text)  # noqa: PERF401  # a comprehension would be lost with the error
    assert "".join(heard) == "one two "
    assert len(a.asked) + len(b.asked) == 1


async def test_a_stream_that_is_left_gives_its_place_back(servers, pool) -> None:
    (server,) = await servers(1)
    server.chunks = ["word "] * 50
    model = pool(server.base, options="&each=1")
    for _ in range(3):
        async with aclosing(model.stream(ask())) as pieces:
            async for _piece in pieces:
                break
    assert model.endpoints()[0].in_flight == 0
    assert model.limit.in_flight == 0


# Beginnings


def _cached(server: Server, rules: int) -> list[float]:
    """Give a server a prefix cache of few rules, as a small GPU has; the share of each call that was in it."""
    held: list[str] = []
    shares: list[float] = []

    def answer(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        beginning = body["messages"][0]["content"]
        shares.append(float(beginning in held))
        if beginning in held:
            held.remove(beginning)
        held.append(beginning)
        del held[:-rules]
        return 200, completion(), {}

    server.answer = answer
    return shares


async def _hits(all_of_them: list[Server], model: PoolModel) -> float:
    shares = [_cached(server, rules=4) for server in all_of_them]
    draw = random.Random(7)
    numbers = iter(range(480))

    async def work() -> None:
        for number in numbers:
            rule = f"Rule {draw.randrange(12)}. " * 60
            await model.chat(ask(f"Case {number}", rule))

    await asyncio.gather(*(work() for _ in range(12)))
    every = [share for each in shares for share in each]
    assert len(every) == 480
    return sum(every) / len(every)


async def test_calls_that_begin_alike_go_where_that_beginning_was_read_lately(servers, pool) -> None:
    all_of_them = await servers(4)
    for server in all_of_them:
        server.delay = 0.005
    bases = [server.base for server in all_of_them]
    with_it = pool(*bases)
    hits = await _hits(all_of_them, with_it)
    spread = [told.calls for told in with_it.endpoints()]
    without = await _hits(all_of_them, pool(*bases, options="&prefix=off"))
    assert hits > without + 0.3
    assert hits > 0.6
    assert max(spread) < 2 * min(spread)
    assert all(told.reused is not None and told.reused > 0.5 for told in with_it.endpoints())


async def test_a_beginning_that_all_calls_share_does_not_pull_all_of_them_to_one_endpoint(servers, pool) -> None:
    all_of_them = await servers(4)
    for server in all_of_them:
        server.delay = 0.01
    model = pool(*(server.base for server in all_of_them))

    async def work(who: int) -> None:
        for number in range(10):
            await model.chat(ask(f"Case {who} {number}", "One system prompt for all. " * 50))

    await asyncio.gather(*(work(who) for who in range(16)))
    assert max(server.most_open for server in all_of_them) <= 9  # half above the least, and two
    assert min(len(server.asked) for server in all_of_them) > 15


# Life


async def test_a_pool_can_be_used_again_after_it_was_closed(servers, pool) -> None:
    (server,) = await servers(1)
    model = pool(server.base)
    await model.chat(ask())
    await model.close()
    await model.close()
    looked = server.looked
    await asyncio.sleep(0.7)
    assert server.looked == looked
    assert (await model.chat(ask())).text == "Fine."


async def test_an_idle_endpoint_is_checked_and_a_busy_one_is_not(servers, pool) -> None:
    idle, busy = await servers(2)
    model = pool(idle.base, busy.base, options="&each=1", concurrency=4)
    await model.chat(ask())
    other = pool(busy.base)
    idle.looked = busy.looked = 0
    await other.close()
    await until(lambda: idle.looked >= 3)
    assert busy.looked >= 1


@pytest.mark.parametrize("closing", ["await model.close()", "pass"], ids=["closed", "left open"])
async def test_a_pool_can_be_used_from_one_event_loop_after_another(servers, closing) -> None:
    (server,) = await servers(1)
    code = f"""if True:
        import asyncio
        from guard.exchange import Message
        from guard.models import open_model
        from guard.models.base import Ask
        model = open_model("pool:{server.base}#mock")
        async def once():
            print((await model.chat(Ask((Message("user", "x"),)))).text)
            {closing}
        asyncio.run(once())
        asyncio.run(once())
    """
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    said, _ = await run.communicate()
    assert (run.returncode, said.split()) == (0, [b"Fine.", b"Fine."])


async def test_one_that_joins_is_asked_though_all_others_know_the_beginning(servers, pool, tmp_path) -> None:
    all_of_them = await servers(4)
    for server in all_of_them:
        server.delay = 0.01
    file = tmp_path / "endpoints.txt"
    file.write_text("".join(f"{server.base}\n" for server in all_of_them[:3]))
    model = pool(f"@{file}")

    async def work(who: int, count: int) -> None:
        for number in range(count):
            await model.chat(ask(f"Case {who} {number}", "One system prompt for all. " * 50))

    await asyncio.gather(*(work(who, 4) for who in range(16)))
    file.write_text("".join(f"{server.base}\n" for server in all_of_them))
    await until(lambda: len(states(model)) == 4 and states(model)[3] == "up")
    await asyncio.gather(*(work(who, 10) for who in range(16)))
    assert len(all_of_them[3].asked) > 15
