"""The OpenAI-compatible backend against a real server on loopback that fails in every way it can."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tenacity import RetryCallState

from guard.exchange import Message
from guard.models import open_model, schemes
from guard.models._endpoint import read_endpoint
from guard.models._patience import Passing, Patience, _Course
from guard.models._refusals import retry_after
from guard.models.base import (
    Ask,
    ChatModel,
    ContentRefused,
    ContextTooLong,
    ModelConfigError,
    ModelError,
    ModelUnavailable,
    Sampling,
    TokenLogprob,
    Usage,
)
from tests.ports import refusing

KEY = "sk-wardlaw-0123456789abcdef0123456789"


def ask(text="Hello?", *, schema=None, logprobs=0, **sampling):
    return Ask((Message("user", text),), Sampling(**sampling), schema, logprobs)


def error(message, **more):
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


# What goes out and what comes back


async def test_a_conversation_is_asked_as_it_stands_and_its_answer_comes_back(endpoint, connect):
    model = connect()
    messages = (Message("system", "Be kind."), Message("user", "嗨"), Message("assistant", "Hi."), Message("user", "?"))
    reply = await model.chat(Ask(messages, Sampling(0.3, 0.9, 64, seed=5, stop=("END",))))
    assert (reply.text, reply.finish, reply.usage) == ("Fine.", "stop", Usage(7, 3))
    assert endpoint.seen[0].body == {
        "model": "mock",
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 64,
        "seed": 5,
        "stop": ["END"],
    }
    assert isinstance(model, ChatModel)


async def test_an_endpoint_named_as_one_string_is_opened_and_asked(endpoint):
    model = open_model(f"openai:{endpoint.base}/#org/name:free", concurrency=3)
    try:
        assert (await model.chat(ask())).text == "Fine."
        assert endpoint.seen[0].body["model"] == "org/name:free"
        assert model.identity == f"openai:{endpoint.base}#org/name:free"
    finally:
        await model.close()
        await model.close()


async def test_a_schema_is_sent_as_a_response_format(endpoint, connect):
    schema = {"type": "object", "properties": {"quotes": {"type": "array"}}}
    await connect().chat(ask(schema=schema))
    form = endpoint.seen[0].body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"] == schema


async def test_what_the_chat_template_is_told_is_sent_and_never_left_out(endpoint, connect):
    told = {"guardian_config": {"criteria_id": "harm"}, "think": False}
    model = connect()
    await model.chat(Ask((Message("user", "Hello?"),), Sampling(), template=told))
    assert endpoint.seen[0].body["chat_template_kwargs"] == told
    await model.chat(ask())
    assert "chat_template_kwargs" not in endpoint.seen[1].body
    endpoint.always(400, error("chat_template_kwargs is not supported", param="chat_template_kwargs"))
    with pytest.raises(ModelError, match="chat_template_kwargs"):
        await model.chat(Ask((Message("user", "Hello?"),), Sampling(), template=told))


async def test_log_probabilities_come_back_where_they_are_asked_for(endpoint, connect):
    body = endpoint.completion("yes")
    tops = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]
    body["choices"][0]["logprobs"] = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": tops}]}
    endpoint.then(body=body)
    reply = await connect().chat(ask(logprobs=2))
    assert reply.logprobs == (TokenLogprob("yes", -0.1, {"yes": -0.1, "no": -2.5}),)
    assert endpoint.seen[0].body["logprobs"] is True
    assert endpoint.seen[0].body["top_logprobs"] == 2


async def test_a_prompt_of_many_megabytes_is_sent_whole(endpoint, connect):
    await connect().chat(ask("x" * 3_000_000))
    assert len(endpoint.seen[0].body["messages"][0]["content"]) == 3_000_000


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_in_a_field_of_its_own_is_kept_apart(endpoint, connect, field):
    endpoint.then(body=endpoint.completion("Answer.", **{field: "Thought."}))
    reply = await connect().chat(ask())
    assert (reply.text, reply.reasoning) == ("Answer.", "Thought.")


async def test_an_empty_answer_is_returned_as_it_is(endpoint, connect):
    endpoint.then(body=endpoint.completion("")).then(body=endpoint.completion(None))
    model = connect()
    assert (await model.chat(ask())).text == ""
    assert (await model.chat(ask())).text == ""


async def test_a_filter_that_left_part_of_the_answer_is_told_by_finish(endpoint, connect):
    endpoint.then(body=endpoint.completion("Some of", finish="content_filter"))
    reply = await connect().chat(ask())
    assert (reply.text, reply.finish) == ("Some of", "filter")


async def test_a_filter_that_left_nothing_is_a_refusal(endpoint, connect):
    endpoint.then(body=endpoint.completion(None, finish="content_filter"))
    with pytest.raises(ContentRefused, match="mock"):
        await connect().chat(ask())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("The response was filtered by the provider's content management policy", code="content_filter")),
        (403, error("Your input was flagged", code=403)),
    ],
    ids=["azure", "openrouter"],
)
async def test_a_prompt_that_the_provider_filters_is_refused_at_once(endpoint, connect, status, body):
    endpoint.always(status, body)
    with pytest.raises(ContentRefused):
        await connect().chat(ask())
    assert len(endpoint.seen) == 1


# Faults that pass, and those that do not


async def test_an_endpoint_that_is_down_is_given_up_soon_and_called_down(connect, endpoint):
    with refusing() as port:
        base = f"http://127.0.0.1:{port}/v1"
        with pytest.raises(ModelUnavailable, match=f"{base}` takes no connection: connection refused") as caught:
            await connect(f"{base}#mock", total_s=60.0).chat(ask())
    assert caught.value.endpoint_down
    assert "start the server" in caught.value.hint


async def test_a_host_that_no_one_knows_is_down(connect, endpoint):
    with pytest.raises(ModelUnavailable) as caught:
        await connect("http://no-such-host.invalid/v1#mock").chat(ask())
    assert caught.value.endpoint_down


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"body": b"\x00\xff<html>"}, "no JSON"),
        ({"body": b"[" * 100_000}, "no JSON"),
        ({"body": b""}, "no JSON"),
        ({"body": {"object": "list"}}, "no chat completion"),
        ({"body": {"choices": []}}, "no chat completion"),
        ({"body": {"choices": [{"message": "text"}]}}, "no chat completion"),
        ({"body": ["choices"]}, "no chat completion"),
        ({"status": 500, "body": {"error": "oh no"}}, "oh no"),
        ({"status": 502, "body": b"<html>bad gateway</html>"}, "502"),
        ({"cut": True}, "broke off"),
    ],
    ids=["bytes", "nested", "empty", "other-json", "no-choices", "odd-message", "list", "500", "502", "cut"],
)
async def test_a_broken_answer_fails_the_call_after_a_few_attempts_but_not_the_endpoint(endpoint, connect, what, says):
    endpoint.always(**what)
    with pytest.raises(ModelUnavailable, match=says) as caught:
        await connect().chat(ask())
    assert not caught.value.endpoint_down
    assert len(endpoint.seen) == 3


@pytest.mark.parametrize(
    "what",
    [{"status": 500, "body": error("boom")}, {"cut": True}, {"body": b"garbage"}, {"status": 408, "body": b""}],
    ids=["500", "cut", "garbage", "408"],
)
async def test_a_fault_that_passes_is_survived(endpoint, connect, what):
    endpoint.then(**what).then(**what)
    assert (await connect().chat(ask())).text == "Fine."
    assert len(endpoint.seen) == 3


async def test_an_attempt_past_its_deadline_is_made_again(endpoint, connect):
    endpoint.then(hang=True)
    assert (await connect(attempt_s=0.1).chat(ask())).text == "Fine."
    assert len(endpoint.seen) == 2


async def test_an_endpoint_that_hangs_for_ever_is_given_up(endpoint, connect):
    endpoint.always(hang=True)
    with pytest.raises(ModelUnavailable, match="no answer within") as caught:
        await connect(attempt_s=0.05).chat(ask())
    assert not caught.value.endpoint_down
    assert "WARDLAW_CALL_TIMEOUT" in caught.value.hint


async def test_too_many_requests_for_a_while_are_outlasted_beyond_the_bound_on_attempts(endpoint, connect):
    for _ in range(25):
        endpoint.then(429, error("slow down"))
    assert (await connect(attempts=1).chat(ask())).text == "Fine."
    assert len(endpoint.seen) == 26


async def test_too_many_requests_for_ever_end_with_the_patience(endpoint, connect):
    endpoint.always(429, error("slow down"))
    with pytest.raises(ModelUnavailable, match="429: slow down") as caught:
        await connect(total_s=0.2).chat(ask())
    assert not caught.value.endpoint_down


def test_a_minute_of_429s_is_survived_by_default():
    course, waited = _Course(Patience()), 0.0
    state = RetryCallState(None, None, (), {})
    while waited < 60:
        busy = Passing("busy", "answers 429")
        state.set_exception((Passing, busy, None))
        state.upcoming_sleep = course.wait(state)
        assert not course.stop(state)
        waited += state.upcoming_sleep
        state.attempt_number += 1


@pytest.mark.parametrize("headers", [{"Retry-After": "1"}, {"retry-after-ms": "300", "Retry-After": "60"}])
async def test_the_wait_that_the_endpoint_asks_for_is_kept(endpoint, connect, headers):
    endpoint.then(429, error("later"), headers=headers)
    await connect().chat(ask())
    first, second = endpoint.seen
    assert second.at - first.at >= (0.3 if "retry-after-ms" in headers else 1.0)


async def test_a_wait_longer_than_the_patience_is_not_begun(endpoint, connect):
    endpoint.always(429, error("daily limit"), headers={"Retry-After": "86400"})
    with pytest.raises(ModelUnavailable, match="daily limit") as caught:
        await connect().chat(ask())
    assert "asks to wait 86400 s" in caught.value.hint
    assert len(endpoint.seen) == 1


def test_retry_after_is_read_as_seconds_milliseconds_or_date():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=100), usegmt=True)
    assert retry_after({"Retry-After": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "1500", "Retry-After": "2"}) == 1.5
    assert 90 < retry_after({"Retry-After": soon}) <= 100
    assert retry_after({"Retry-After": past}) == 0
    assert retry_after({"Retry-After": "-5"}) == 0
    for nonsense in ({}, {"Retry-After": "soon"}, {"Retry-After": "nan"}, {"Retry-After": "inf"}):
        assert retry_after(nonsense) is None


async def test_a_model_that_is_still_loading_is_waited_for(endpoint, connect):
    for _ in range(6):
        endpoint.then(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
    assert (await connect(attempts=2).chat(ask())).text == "Fine."


@pytest.mark.parametrize("status", [401, 403])
async def test_a_missing_key_names_the_variable_that_is_not_set(endpoint, connect, status):
    endpoint.always(status, error("no key"))
    with pytest.raises(ModelConfigError, match=r"`OPENAI_API_KEY` is not set: no key"):
        await connect().chat(ask())
    assert len(endpoint.seen) == 1


async def test_a_key_that_is_refused_names_the_variable_it_came_from(endpoint, connect, monkeypatch):
    monkeypatch.setenv("MY_VLLM_KEY", "not-it-at-all")
    endpoint.always(401, error("wrong key not-it-at-all"))
    with pytest.raises(ModelConfigError, match=r"`MY_VLLM_KEY`") as caught:
        await connect(f"{endpoint.base}?key=MY_VLLM_KEY#mock").chat(ask())
    assert "not-it-at-all" not in str(caught.value)
    assert endpoint.seen[0].headers["Authorization"] == "Bearer not-it-at-all"


async def test_an_unknown_model_is_answered_with_those_there_are(endpoint, connect):
    endpoint.always(404, error("The model `qwen` does not exist", code="model_not_found"))
    endpoint.models = type(endpoint.models)(body={"data": [{"id": "qwen3-8b"}, {"id": "smollm2"}]})
    with pytest.raises(ModelConfigError) as caught:
        await connect(f"{endpoint.base}#qwen3").chat(ask())
    assert "has no model `qwen3`" in caught.value.what
    assert caught.value.hint == "did you mean `qwen3-8b`? it offers: qwen3-8b, smollm2"


async def test_an_address_without_the_api_is_told_to_end_in_v1(endpoint, connect):
    with pytest.raises(ModelConfigError, match="404") as caught:
        await connect(f"{endpoint.base.removesuffix('/v1')}#mock").chat(ask())
    assert "most end in `/v1`" in caught.value.hint


async def test_an_address_that_redirects_is_not_followed(endpoint, connect):
    endpoint.always(307, b"", headers={"Location": "https://elsewhere.invalid/v1/chat/completions"})
    with pytest.raises(ModelConfigError, match="elsewhere"):
        await connect().chat(ask())


async def test_an_account_out_of_credit_is_no_matter_of_patience(endpoint, connect):
    endpoint.always(429, error("You exceeded your current quota", code="insufficient_quota"))
    with pytest.raises(ModelConfigError, match="out of credit"):
        await connect().chat(ask())
    assert len(endpoint.seen) == 1


async def test_another_refusal_says_what_the_server_said_on_one_line(endpoint, connect):
    endpoint.always(400, error("temperature must be\n between 0 and 2", param="temperature"))
    with pytest.raises(ModelError, match="temperature must be between 0 and 2") as caught:
        await connect().chat(ask(temperature=9.0))
    assert type(caught.value) is ModelError
    assert "\n" not in caught.value.what
    assert len(endpoint.seen) == 1


TOO_LONG = {
    "openai": (
        400,
        error("This model's maximum context length is 8192 tokens.", code="context_length_exceeded", param="messages"),
    ),
    "vllm": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 6048 tokens. However, you requested 6616 tokens "
            "(568 in the messages, 6048 in the completion).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "vllm-newer": (
        400,
        error(
            "You passed 25 input tokens and requested 1000 output tokens. However, the model's context length is only "
            "1024 tokens.",
            param="input_tokens",
            code=400,
        ),
    ),
    "vllm-none-left": (400, {"object": "error", "message": "max_tokens must be at least 1, got -186.", "code": 400}),
    "vllm-field": (
        400,
        error(
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is "
            "4096 tokens and your request has 12 input tokens",
            param="max_tokens",
        ),
    ),
    "llama.cpp": (
        400,
        error(
            "request (1407 tokens) exceeds the available context size (256 tokens), try increasing it",
            type="exceed_context_size_error",
            code=400,
        ),
    ),
    "llama.cpp-older": (500, error("the request exceeds the available context size.", code=500)),
    "llama-cpp-python": (400, error("Requested tokens (2285) exceed context window of 2048", code=None)),
    "ollama": (400, {"error": "the input length exceeds the context length"}),
    "lm-studio": (200, {"error": "Context size has been exceeded."}),
    "sglang": (400, error("The input (9000 tokens) is longer than the model's context length (8192 tokens).")),
    "tgi": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."}),
    "gateway": (413, b"<html>Request Entity Too Large</html>"),
}


@pytest.mark.parametrize(("status", "body"), TOO_LONG.values(), ids=TOO_LONG.keys())
async def test_a_context_too_long_is_known_in_each_servers_words(endpoint, connect, status, body):
    endpoint.always(status, body)
    with pytest.raises(ContextTooLong, match="`mock`"):
        await connect().chat(ask())
    assert len(endpoint.seen) == 1


async def test_an_error_sent_as_a_success_is_an_error(endpoint, connect):
    endpoint.then(200, {"error": {"message": "upstream is busy", "code": 429}})
    assert (await connect().chat(ask())).text == "Fine."
    assert len(endpoint.seen) == 2


# Fields that some servers do not take


REFUSED_FIELDS = {
    "seed": (error("Unsupported parameter: seed", param="seed"), {"seed"}),
    "seed-fastapi": (
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
        {"seed"},
    ),
    "schema": (error("This response_format type is unavailable now"), {"response_format"}),
    "schema-by-other-words": (error("structured outputs are not enabled"), {"response_format"}),
    "schema-not-understood": (error("JSON schema error at #: unrecognized type"), {"response_format"}),
    "logprobs": (error("This model does not support logprobs"), {"logprobs", "top_logprobs"}),
    "temperature": (error("Unsupported value: 'temperature' does not support 0.7 with this model."), {"temperature"}),
}


@pytest.mark.parametrize(("refusal", "gone"), REFUSED_FIELDS.values(), ids=REFUSED_FIELDS.keys())
async def test_a_field_the_server_refuses_is_left_out_and_remembered(endpoint, connect, caplog, refusal, gone):
    endpoint.decide(lambda body: (400, refusal) if gone & set(body) else (200, endpoint.completion()))
    model, asked = connect(), ask(schema={"type": "object"}, logprobs=3, seed=1)
    assert (await model.chat(asked)).text == "Fine."
    assert (await model.chat(asked)).text == "Fine."
    first, second, third = (set(seen.body) for seen in endpoint.seen)
    assert first - second == gone
    assert third == second
    assert sorted(gone)[0] in caplog.text


async def test_the_bound_on_tokens_is_sent_under_its_other_name(endpoint, connect):
    wrong = error("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'")
    endpoint.decide(lambda body: (400, wrong) if "max_tokens" in body else (200, endpoint.completion()))
    model = connect()
    await model.chat(ask(max_tokens=9))
    await model.chat(ask(max_tokens=9))
    assert [seen.body.get("max_completion_tokens") for seen in endpoint.seen] == [None, 9, 9]


async def test_a_field_whose_absence_did_not_help_is_sent_again_the_next_time(endpoint, connect):
    endpoint.always(400, error("the word seed is in this refusal by chance"))
    model = connect()
    with pytest.raises(ModelError, match="by chance"):
        await model.chat(ask(seed=4))
    endpoint.always()
    await model.chat(ask(seed=4))
    assert endpoint.seen[-1].body["seed"] == 4


# Keys


async def test_a_key_is_seen_nowhere_but_in_the_request(endpoint, connect, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    model = connect()
    told = [str(model), repr(model), model.identity, repr(model._endpoint)]
    everywhere = error(f"your key {KEY} (Bearer {KEY}) is not good for this")
    for status in (400, 401, 403, 404, 429, 500):
        endpoint.always(status, everywhere)
        with pytest.raises(ModelError) as caught:
            await connect(total_s=0.05).chat(ask())
        told += [str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))]
    endpoint.always(cut=True)
    with pytest.raises(ModelError) as caught:
        await model.chat(ask())
    link = caught.value
    while link is not None:
        told.append(repr(link))
        link = link.__context__
    assert endpoint.seen[0].headers["Authorization"] == f"Bearer {KEY}"
    assert all(KEY not in text for text in told)
    assert KEY not in caplog.text


async def test_a_key_glued_to_other_words_is_scrubbed_and_a_dummy_key_leaves_words_alone(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "abcdefgh")
    assert read_endpoint(f"{endpoint.base}#m").scrub("xabcdefghx, abcdefgh\n!") == "x[key]x, [key] !"
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert read_endpoint(f"{endpoint.base}#m").scrub("an extra x") == "an extra [key]"


@pytest.mark.parametrize(
    "spec",
    [
        "http://user:hunter2@host/v1#m",
        f"http://{KEY}@host/v1#m",
        f"http://user:{KEY}@host/v1#m",
        f"http://host/v1/{KEY}#m",
        f"http://host/v1?key={KEY}#m",
        "http://host/v1?key=0123456789abcdef0123456789abcdef#m",
        "http://host/v1?key=AKIAABCDEFGHIJKLMNOP#m",
        f"http://host/v1?token={KEY}#m",
    ],
)
async def test_a_key_in_the_address_is_refused_and_not_repeated(spec, endpoint):
    with pytest.raises(ModelConfigError) as caught:
        open_model(f"openai:{spec}")
    assert caught.value.hint
    for secret in (KEY, "hunter2", "0123456789abcdef0123456789abcdef", "AKIAABCDEFGHIJKLMNOP"):
        assert secret not in str(caught.value)


# Names of models


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("http://host/v1", "no model is named"),
        ("http://host/v1#", "no model is named"),
        ("host/v1#m", "is no http address"),
        ("ftp://host/v1#m", "is no http address"),
        ("http://host:port/v1#m", "is no address"),
        ("http://host:99999/v1#m", "is no address"),
        ("http://[::1/v1#m", "is no address"),
        ("http://a..b/v1#m", "is no address"),
        ("http://ho st/v1#m", "is no http address"),
        ("http://host/v1\nHost: x#m", "is no http address"),
        ("http://host/v1?tiemout=3#m", "did you mean `timeout`"),
        ("http://host/v1?timeout=soon#m", "no number of seconds"),
        ("http://host/v1?timeout=-1#m", "no number of seconds"),
        ("http://host/v1?timeout=nan#m", "no number of seconds"),
        ("http://host/v1?timeout=1&timeout=2#m", "given twice"),
        ("http://host/v1?key=NO_SUCH_KEY#m", "`NO_SUCH_KEY` is not set"),
        ("#gpt-x", "`OPENAI_API_KEY` is not set"),
    ],
)
async def test_a_wrong_name_is_refused_with_a_hint_before_anything_is_sent(spec, says, endpoint):
    with pytest.raises(ModelConfigError) as caught:
        open_model(f"openai:{spec}")
    assert says in str(caught.value)
    assert caught.value.hint
    assert "\n" not in caught.value.what


async def test_an_empty_address_is_the_one_of_the_environment_or_the_official_one(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert open_model("openai:#gpt-x").identity == "openai:https://api.openai.com/v1#gpt-x"
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base)
    assert open_model("openai:#gpt-x").identity == f"openai:{endpoint.base}#gpt-x"


async def test_patience_is_set_by_the_name_or_else_by_the_environment(endpoint, monkeypatch):
    monkeypatch.setenv("WARDLAW_CALL_TIMEOUT", "7")
    monkeypatch.setenv("WARDLAW_PATIENCE", "8")
    patience = open_model(f"openai:{endpoint.base}?patience=3#m")._endpoint.patience
    assert (patience.attempt_s, patience.total_s, patience.down_s) == (7, 3, 3)


def test_the_http_client_is_loaded_when_a_model_is_opened_and_not_before():
    """Not before: no command that asks no endpoint pays for it. Not after: the first call, and all behind it, would."""
    code = (
        "import sys; import guard.models.openai; from guard.models import open_model;"
        "print(*{'aiohttp', 'tenacity', 'yarl'} & set(sys.modules), 'aiohttp' in sys.modules);"
        "open_model('openai:http://127.0.0.1:9/v1#m');"
        "print('aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["False", "True"])


def test_helper_files_are_no_kinds_of_model():
    assert {"openai", "scripted"} <= set(schemes())
    assert not [name for name in schemes() if name.startswith("_")]


# Many calls at once


async def test_cancelling_a_call_closes_its_connection(endpoint, connect):
    endpoint.always(hang=True)
    model = connect()
    call = asyncio.create_task(model.chat(ask()))
    await endpoint.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(endpoint.client_left.wait(), 20)
    assert model.limit.in_flight == 0


async def test_a_call_can_be_cancelled_while_it_waits_to_be_tried_again(endpoint, connect):
    endpoint.always(429, error("later"), headers={"Retry-After": "3"})
    model = connect(concurrency=1)
    call = asyncio.create_task(model.chat(ask()))
    await endpoint.arrived.wait()
    async with model.limit:  # its place is free: it waits
        pass
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(endpoint.seen) == 1


async def test_a_retried_attempt_that_is_cancelled_closes_its_connection_too(endpoint, connect):
    endpoint.then(500, error("boom")).always(hang=True)
    model = connect()
    call = asyncio.create_task(model.chat(ask()))
    await endpoint.arrived.wait()
    endpoint.arrived.clear()
    await endpoint.arrived.wait()
    assert len(endpoint.seen) == 2
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(endpoint.client_left.wait(), 20)
    assert model.limit.in_flight == 0


async def test_no_more_calls_are_in_flight_than_were_allowed(endpoint, connect):
    endpoint.always(delay=0.01)
    model = connect(concurrency=5)
    await asyncio.gather(*(model.chat(ask(str(number))) for number in range(40)))
    assert endpoint.most_in_flight == 5
    assert len(endpoint.seen) == 40


async def test_the_limit_shrinks_where_the_endpoint_is_overloaded_and_recovers_after(endpoint, connect):
    model, room, limits = connect(concurrency=32), 4, []

    def crowded(_body):
        limits.append(model.limit.current)
        full = endpoint.in_flight > room
        return (429, error("too many at once")) if full else (200, endpoint.completion())

    endpoint.decide(crowded)
    replies = await asyncio.gather(*(model.chat(ask(str(number))) for number in range(100)))
    assert {reply.text for reply in replies} == {"Fine."}
    assert min(limits) <= 8

    endpoint.always(delay=0.001)
    await asyncio.gather(*(model.chat(ask(str(number))) for number in range(900)))
    assert model.limit.current == 32


@pytest.mark.parametrize("closing", ["await model.close()", "pass"], ids=["closed", "left open"])
async def test_a_model_can_be_used_from_one_event_loop_after_another(endpoint, closing):
    code = f"""if True:
        import asyncio
        from guard.exchange import Message
        from guard.models import open_model
        from guard.models.base import Ask
        model = open_model("openai:{endpoint.base}#mock")
        async def once():
            print((await model.chat(Ask((Message("user", "x"),)))).text)
            {closing}
        asyncio.run(once())
        asyncio.run(once())
    """
    # In a process of its own, since what the second case leaves open would be blamed on other tests.
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    said, _ = await run.communicate()
    assert said.split() == [b"Fine.", b"Fine."]


async def test_calls_made_one_after_another_share_their_connections(endpoint, connect):
    model = connect(concurrency=4)
    for _ in range(3):
        await asyncio.gather(*(model.chat(ask()) for _ in range(4)))
    assert len(endpoint.seen) == 12
    assert len({seen.peer for seen in endpoint.seen}) <= 4
