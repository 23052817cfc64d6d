"""What users of other guards have reported, each held here.

Those that have a place elsewhere: an answer in a stream that is not scanned (aisix#204, litellm#35257), only the first
choice scanned, tools unscanned (NeMo#1615, NeMo#2056, agentgateway#2955, litellm#35999) and an attack split over turns
(aisix#1166) are cells of `test_answers.py` and `test_prompts.py`, each before and after a reload (NeMo#2263,
litellm#40201; several workers: `cli/test_serve.py`). Images and parts that get by (litellm#35332, aisix#465) are in
`test_oddities.py`. A judge that is down (NeMo#2045) is in `faults/test_judge.py`, a rule file that is wrong
(semantic-router#3203) in `cli/test_serve.py`, clients side by side in `faults/test_tenants.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from guard.detectors.base import Scan
from guard.detectors.patterns import Patterns
from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.guard import Guard
from guard.guarding.incoming import Answer, Incoming
from guard.window.outcomes import Channel
from rules.load import load
from rules.schema import Action
from tests.server.bypass import asking
from tests.server.bypass.answering import ANSWERS, CLEAN, chat, letters, message_item, messages, output, responses, text
from tests.server.bypass.asking import HELLO, assistant, user
from tests.server.bypass.standing import APIS, BEFORE, MASKED, PHRASES, RULE_IDS, SECRET, TITLE, Stands, rules, telling
from tests.server.serving import Served, serve

__all__ = ["serve"]

PHRASE = PHRASES[BEFORE]
FORMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
EACH_API = pytest.mark.parametrize("api", APIS)
LEFT_OF_IT = re.compile(r"(?<![0-9a-f])4711(?![0-9a-f])")
"""The end of the secret, which ids that are drawn by chance may hold too."""
ASKED = {
    "chat_completions": asking.chat(user(HELLO)),
    "messages": asking.messages(user(HELLO)),
    "responses": asking.responses(HELLO),
}


def saying(api: str, said: str) -> Any:
    """An answer, a letter a chunk."""
    if api == "chat_completions":
        return chat({"content": said}, cut=letters)
    if api == "messages":
        return messages(text(said), cut=letters)
    return responses(message_item(output(said)), cut=letters)


# litellm#35257


@FORMS
@EACH_API
def test_what_the_audit_calls_scanned_was_scanned(stands: Stands, api: str, stream: bool) -> None:
    stand = stands("native")
    stand.answers(saying(api, CLEAN), stream=stream)
    decision = stand.decision(stand.ask(api, ASKED[api], stream=stream))
    assert decision["streamed"] == stream
    assert RULE_IDS[BEFORE] in decision["coverage"]["scanned"]["patterns"]
    assert not decision["coverage"]["degraded"]


# agentgateway#2956


@FORMS
@EACH_API
@pytest.mark.parametrize("place", ["text", "reasoning", "tool arguments", "chunks of one letter", "the name of a tool"])
def test_a_mask_is_put_on_in_streams_too(stands: Stands, place: str, api: str, stream: bool) -> None:
    stand = stands("native")
    stand.answers(ANSWERS[place][api](SECRET), stream=stream)
    got = stand.ask(api, ASKED[api], stream=stream)
    assert SECRET not in got.texts
    assert not LEFT_OF_IT.search(got.texts)
    assert "[redacted]" in got.texts or place == "reasoning"
    decision = stand.decision(got)
    assert decision["action"] == "redact"
    assert {rule["id"] for rule in decision["rules"]} == {"passing-the-word-on"}


@FORMS
@EACH_API
def test_a_mask_beside_a_block_lets_neither_text_through(stands: Stands, api: str, stream: bool) -> None:
    stand = stands("native")
    for said in (
        f"{SECRET} {PHRASE}",
        f"{PHRASE} {SECRET}",
        f"{SECRET}{SECRET} {PHRASE}",
        f"summon {SECRET} the kraken",
    ):
        stand.answers(saying(api, f"So: {said} and on."), stream=stream)
        got = stand.ask(api, ASKED[api], stream=stream)
        assert not LEFT_OF_IT.search(got.texts)
        if PHRASE in said:
            assert telling(got, BEFORE) == []


@EACH_API
def test_a_mask_in_a_prompt_is_put_on_before_the_model_sees_it(stands: Stands, api: str) -> None:
    stand = stands("native")
    stand.answers(saying(api, CLEAN), stream=False)
    for build in asking.PROMPTS.values():
        if api in build:
            stand.ask(api, build[api](SECRET))
    assert stand.fake.seen()
    assert stand.reached(SECRET) == []


# NeMo#1615, NeMo#2056: tools dropped


@FORMS
def test_tools_and_calls_of_them_go_through_unchanged(stands: Stands, stream: bool) -> None:
    stand = stands("native")
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    tools: dict[str, list[Any]] = {
        "chat_completions": [{"type": "function", "function": {"name": "look_up", "parameters": schema}}],
        "messages": [{"name": "look_up", "input_schema": schema}],
        "responses": [{"type": "function", "name": "look_up", "parameters": schema}],
    }
    for api in APIS:
        stand.answers(ANSWERS["tool arguments"][api]("row"), stream=stream)
        got = stand.ask(api, {**ASKED[api], "tools": tools[api]}, stream=stream)
        assert stand.fake.seen()[0]["body"]["tools"] == tools[api]
        assert "look_up" in got.texts
        assert '{"q": "now row", "n": 3}' in got.texts or '"input": {"q": "now row", "n": 3}' in json.dumps(got.parsed)


# litellm#37055, and 10-100 s answers (NeMo#154, guardrails#1028, llm-guard#97)


class Counting(Patterns):
    """Notes how many characters it is given."""

    read = 0

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        self.read += sum(len(exchange.messages[-1].content) for exchange in exchanges)
        return super().scan(exchanges)


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[tuple[Guard, Counting]]:
    (tmp_path / "rules.yaml").write_text(rules(BEFORE))
    constitution = load(tmp_path / "rules.yaml").constitution
    detector = Counting(constitution)
    gate = Gate(constitution, [detector])
    yield Guard(gate), detector
    gate.close()


async def test_a_turn_costs_the_new_text_and_a_short_look_back_and_not_the_whole_conversation(
    counted: tuple[Guard, Counting],
) -> None:
    guard, detector = counted
    said: list[Message] = []
    costs = []
    for turn in range(40):
        said.append(Message("user", f"Question {turn:04}: " + "what of the tide? " * 20))
        watch = guard.watch(Incoming(tuple(said)))
        detector.read = 0
        assert (await watch.admit()).action is Action.ALLOW
        answer = f"Answer {turn:04}: " + "it comes twice a day. " * 20
        await watch.rule([Answer({Channel("text"): answer})])
        costs.append(detector.read)
        said.append(Message("assistant", answer))
    size = len(said[0].content) + len(said[1].content)
    assert max(costs) <= 6 * size  # its own texts, the last answer again, and the look over the last turns
    assert max(costs[20:]) <= max(costs[5:20])


def test_an_answer_that_is_drawn_again_asks_the_model_so_often_and_no_more(
    serve: Callable[..., Served], fake_upstream: Any
) -> None:
    text_of_rules = rules(BEFORE).replace(
        "    detect: {patterns: [{literal: summon",
        "    on: {response: resample}\n    detect: {patterns: [{literal: summon",
    )
    assert "resample" in text_of_rules
    served = serve("--set", "guard.draws=2", rules=text_of_rules).ready()
    fake_upstream.script("ok", text=f"First {PHRASE} at dusk, as you please, and then wait for the tide.")
    for stream in (False, True):
        seen = len(fake_upstream.seen())
        answer = served.ask("hello", stream=stream)
        assert "kraken" not in answer.text
        assert answer.status_code == 200
        assert len(fake_upstream.seen()) - seen <= 1 + 2


# litellm#9882


@EACH_API
def test_a_conversation_goes_on_after_a_block(stands: Stands, api: str) -> None:
    stand = stands("native")
    make: Any = {
        "chat_completions": asking.chat,
        "messages": asking.messages,
        "responses": lambda *turns: asking.responses(list(turns)),
    }[api]
    turns = [user(f"Please {PHRASE}.")]
    stand.answers(saying(api, CLEAN), stream=False)
    blocked = stand.ask(api, make(*turns))
    assert stand.decision(blocked)["action"] == "block"
    said = blocked.parsed[0]
    reply = {
        "chat_completions": lambda: said["choices"][0]["message"]["content"],
        "messages": lambda: said["content"][0]["text"],
        "responses": lambda: said["output"][0]["content"][0]["text"],
    }[api]()
    for question in (HELLO, "And at night?", "Thank you. And in winter?"):
        turns += [assistant(reply), user(question)]
        got = stand.ask(api, make(*turns))
        assert CLEAN in got.texts
        assert stand.decision(got)["action"] in ("allow", "redact")
        reply = CLEAN
    assert len(stand.fake.seen()) == 3
    assert stand.reached("kraken") == []


# conductai#1379


@FORMS
@EACH_API
def test_a_client_may_know_why_and_never_by_which_pattern(stands: Stands, api: str, stream: bool) -> None:
    stand = stands("native")
    stand.answers(saying(api, f"First {PHRASE} at dusk."), stream=stream)
    body = {**ASKED[api], **({"stream": True} if stream else {})}
    got = stand.post(api, body, **{"x-wardlaw-tell": "body"})
    holders = [holder for each in got.parsed for holder in (each, each.get("response", {}))]
    told = next(holder["wardlaw"] for holder in holders if "wardlaw" in holder)
    assert told["action"] == "block"
    [rule] = told["rules"]
    assert (rule["id"], rule["title"]) == (RULE_IDS[BEFORE], TITLE)
    assert rule["why"].startswith("It sinks the ships")
    assert told["decision"] == got.headers["x-wardlaw-decision"]
    assert telling(got, BEFORE) == []


# unscanned call types passed through

ELSEWHERE = [
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions/"),
    ("POST", "/v1/chat/completions/x"),
    ("POST", "/v1/CHAT/COMPLETIONS"),
    ("POST", "//v1/chat/completions"),
    ("POST", "/v1//chat/completions"),
    ("POST", "/v1/%63hat/completions/..;/x"),
    ("POST", "/chat/completions"),
    ("GET", "/v1/chat/completions"),
    ("GET", "/v1/chat/completions/chatcmpl-1"),
    ("GET", "/v1/chat/completions/chatcmpl-1/messages"),
    ("GET", "/v1/responses/resp_1"),
    ("DELETE", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("GET", "/v1/responses/resp_1/input_items"),
    ("POST", "/v1/responses/compact"),
    ("GET", "/v1/responses/resp_1?stream=true"),
    ("POST", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches/1/results"),
    ("POST", "/v1/complete"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/files"),
    ("POST", "/v1/threads/runs"),
    ("POST", "/v1/conversations"),
    ("GET", "/v1/conversations/conv_1/items"),
    ("POST", "/v1/realtime/sessions"),
    ("POST", "/v1/fine_tuning/jobs"),
    ("GET", "/v1/made_up"),
    ("OPTIONS", "/v1/made_up"),
]


@pytest.mark.parametrize(("method", "path"), ELSEWHERE, ids=lambda each: each)
def test_what_is_not_guarded_is_not_served(stands: Stands, method: str, path: str) -> None:
    stand = stands("native")
    stand.fake.forget()
    body = {**asking.chat(user(PHRASE)), "prompt": PHRASE, "input": PHRASE}
    url = stand.served.url + path
    answer = httpx.request(method, url, json=body if method == "POST" else None, timeout=10, trust_env=False)
    assert answer.status_code in (404, 405), answer.text
    assert answer.json()["error"]["message"]
    assert stand.fake.seen() == []


# a cache keyed by a client's string; a client that picks its constitution


@FORMS
@EACH_API
def test_no_name_that_a_client_gives_brings_back_an_older_verdict(stands: Stands, api: str, stream: bool) -> None:
    stand = stands("native")
    names = {"user": "u1", "prompt_cache_key": "k1", "metadata": {"user_id": "u1"}, "seed": 7, "id": "r1"}
    heads = {"x-request-id": "r1", "idempotency-key": "i1", "x-client-request-id": "c1", "x-session-id": "s1"}
    stand.answers(saying(api, CLEAN), stream=stream)
    clean = stand.ask(api, {**ASKED[api], **names}, stream=stream, **heads)
    assert stand.decision(clean)["action"] == "allow"
    bad = stand.ask(api, {**asking.PROMPTS["text"][api](PHRASE), **names}, stream=stream, **heads)
    assert stand.decision(bad)["action"] == "block"
    stand.answers(saying(api, f"First {PHRASE}."), stream=stream)
    worse = stand.ask(api, {**ASKED[api], **names}, stream=stream, **heads)
    assert stand.decision(worse)["action"] == "block"
    assert telling(worse, BEFORE) == []


def test_each_key_is_judged_by_its_own_constitution_whatever_it_says_and_sees_its_own_decisions(
    serve: Callable[..., Served], fake_upstream: Any, tmp_path: Path
) -> None:
    (tmp_path / "lax.yaml").write_text("constitution: lax\ntitle: Lax\nrules:\n" + MASKED)
    (tmp_path / "strict.yaml").write_text(rules(BEFORE))
    constitutions = {"default": [str(tmp_path / "strict.yaml")], "lax": [str(tmp_path / "lax.yaml")]}
    served = serve(
        "--set",
        f"constitutions={json.dumps(constitutions)}",
        "--set",
        "auth=keys",
        "--set",
        "keys_refresh_s=0.05",
        "-c",
        str(tmp_path / "strict.yaml"),
    ).ready()
    secrets = {
        name: served.command("keys", "add", name, "--constitution", name, "--folder", "data").stdout.strip()
        for name in ("default", "lax")
    }

    def ask(name: str, *turns: Any, **heads: str) -> httpx.Response:
        return httpx.post(
            f"{served.url}/v1/chat/completions",
            json={**asking.chat(*turns), "constitution": "lax", "metadata": {"constitution": "lax"}},
            headers={"authorization": f"Bearer {secrets[name]}", **heads},
            timeout=20,
            trust_env=False,
        )

    served.until(lambda: ask("lax", user("Hello")).status_code == 200)
    heads = {"x-wardlaw-constitution": "lax", "x-wardlaw-mode": "shadow", "x-constitution": "lax"}
    talk = [user(f"Please {PHRASE}."), assistant("How?"), user(HELLO)]
    lax = ask("lax", *talk[:1])
    assert lax.headers["x-wardlaw-action"] == "allow"
    strict = ask("default", *talk[:1], **heads)
    assert strict.headers["x-wardlaw-action"] == "block"
    assert ask("lax", *talk).headers["x-wardlaw-action"] == "allow"
    assert ask("default", *talk, **heads).headers["x-wardlaw-action"] == "redact"
    other = served.url + "/v1/decisions/" + strict.headers["x-wardlaw-decision"]
    for name, status in (("lax", 404), ("default", 200)):
        key = {"authorization": f"Bearer {secrets[name]}"}
        served.until(
            lambda key=key, status=status: httpx.get(other, headers=key, trust_env=False).status_code == status
        )
    assert httpx.get(other, trust_env=False).status_code == 401
