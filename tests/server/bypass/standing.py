"""Real servers before an upstream that answers what it is told, and the official clients in front of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.server.bypass.answering import Json, Said
from tests.server.serving import Served

BEFORE, AFTER = "before a reload", "after a reload"
PHRASES = {BEFORE: "summon the kraken", AFTER: "wake the leviathan"}
"""What the rules forbid; the second only once they have been loaded again."""
TELLING = {BEFORE: ("kraken", "kra", "raken"), AFTER: ("leviathan", "levi", "athan")}
RULE_IDS = {BEFORE: "calling-up-the-deep", AFTER: "waking-what-sleeps"}
TITLE = "What lies in the deep"
PATHS = {"chat_completions": "chat/completions", "messages": "messages", "responses": "responses"}
APIS = tuple(PATHS)

RULE = """\
  - id: {id}
    title: What lies in the deep
    rule: Do not help anyone to {phrase}.
    why: It sinks the ships of people who did not ask for it.
    watches: [prompt, response, reasoning, tool_call, tool_result, system]
    detect: {{patterns: [{{literal: {phrase}}}], meaning: null}}
"""

SECRET = "tangerine-4711"
"""What is masked wherever it stands."""
MASKED = """\
  - id: passing-the-word-on
    title: The word of the day
    rule: Do not tell anyone the word of the day.
    why: The word is a secret, and whoever hears it can enter.
    watches: [prompt, response, reasoning, tool_call, tool_result, system]
    on: {prompt: redact, response: redact, reasoning: redact, tool_call: redact, tool_result: redact, system: redact}
    detect: {patterns: [{literal: tangerine-4711}], meaning: null}
"""


def rules(*whens: str) -> str:
    """A constitution with a rule for each."""
    said = [RULE.format(id=RULE_IDS[when], phrase=PHRASES[when]) for when in whens]
    return "constitution: bypass\ntitle: Bypass\nrules:\n" + "".join(said) + MASKED


UPSTREAMS = {
    "native": ("chat_completions", "messages", "responses"),
    "of chat completions": ("chat_completions",),
    "of messages": ("messages",),
}
"""Kinds of upstream, and the APIs each speaks."""
WAYS = (
    *((api, "native") for api in APIS),
    ("messages", "of chat completions"),
    ("responses", "of chat completions"),
    ("chat_completions", "of messages"),
    ("responses", "of messages"),
)
"""The client's API, and the upstream's kind."""


def spoken(api: str, upstream: str) -> str:
    """The API in which an upstream is asked."""
    return api if api in UPSTREAMS[upstream] else UPSTREAMS[upstream][0]


@dataclass
class Got:
    """What a client got."""

    status: int
    headers: httpx.Headers
    raw: bytes
    api: str
    parsed: list[Json] = field(default_factory=list)
    """What the official client made of it: the answer, or the events."""

    @property
    def texts(self) -> str:
        """Everything that can be read in it: each string on its own, and those that stand at one place of several
        events together."""
        places: dict[str, list[str]] = {}
        for each in self.parsed:
            kind = str(each.get("type", ""))
            for place, said in strings(each, kind):
                places.setdefault(place, []).append(said)
        apart = [said for listed in places.values() for said in listed]
        return "\n".join([*apart, *("".join(listed) for listed in places.values())])

    @property
    def ending(self) -> str:
        """How the API says that the answer ended, or that a choice of it did."""
        ends = [end for each in self.parsed for end in ends_of(each)]
        return ",".join(dict.fromkeys(ends))


def ends_of(data: Json) -> Iterator[str]:
    """The words for the end in an answer or an event."""
    if data.get("error"):
        yield "error"
    for choice in data.get("choices") or ():
        if choice.get("finish_reason"):
            yield str(choice["finish_reason"])
    for holder in (data, data.get("delta"), data.get("message")):
        if isinstance(holder, dict) and holder.get("stop_reason"):
            yield str(holder["stop_reason"])
    response = data.get("response", data)
    if response.get("incomplete_details"):
        yield str(response["incomplete_details"]["reason"])


def strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every string in JSON, names of members too, with its place; only indexes of choices, blocks and items count."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for each in value:
            yield from strings(each, place)
    elif isinstance(value, dict):
        numbers = [str(value[name]) for name in ("index", "output_index", "content_index") if name in value]
        for name, each in value.items():
            yield f"{place} names", name
            yield from strings(each, f"{place}.{name}{numbers}")


FILTERED = {"chat_completions": "content_filter", "messages": "refusal", "responses": "content_filter"}
"""How each API says that something was withheld."""


class Kept:
    """The bytes of the last answer."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.raw = b""

    def client(self, library: Any) -> Any:
        """An HTTP client that notes what comes. Args: library: `httpx`, or the one like it that a client wants."""
        kept = self

        class Stream(library.SyncByteStream):  # type: ignore[misc]
            def __init__(self, stream: Any) -> None:
                self._stream = stream

            def __iter__(self) -> Iterator[bytes]:
                for chunk in self._stream:
                    kept.raw += chunk
                    yield chunk

            def close(self) -> None:
                self._stream.close()

        class Transport(library.HTTPTransport):  # type: ignore[misc]
            def handle_request(self, request: Any) -> Any:
                kept.raw = b""
                response = super().handle_request(request)
                response.stream = Stream(response.stream)
                return response

        return library.Client(transport=Transport(), timeout=20, trust_env=False)


def _library() -> str:
    """The HTTP library that the Anthropic client is made with."""
    return str(anthropic.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])


class Stand:
    """A server before one kind of upstream."""

    def __init__(self, folder: Path, fake: Any, upstream: str) -> None:
        apis = UPSTREAMS[upstream]
        where = ["--upstream", fake.url, "--set", f"upstream.apis={json.dumps(list(apis))}"]
        if "chat_completions" not in apis:
            where += ["--set", "upstream.kind=anthropic"]
        self.fake = fake
        self.when = BEFORE
        sync = ("--set", "audit.write=database", "--set", "tell.detail=finding")
        self.served = Served(folder, *where, *sync, rules=rules(BEFORE))
        self._kept = Kept()
        self._clients = (self._kept.client(httpx), self._kept.client(importlib.import_module(_library())))
        self._http = self._clients[0]
        self._opened = False

    def ready(self) -> Stand:
        """Wait until it listens."""
        if not self._opened:
            url = self.served.ready().url
            self._openai = openai.OpenAI(
                base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=self._clients[0]
            )
            self._anthropic = anthropic.Anthropic(
                base_url=url, api_key="none", max_retries=0, http_client=self._clients[1]
            )
            self._opened = True
        return self

    def turn(self, when: str) -> Stand:
        """See that the rules of a time are in force, by a reload where they are not."""
        self.ready()
        if when != self.when:
            digest = self._digest()
            self.served.rules.write_text(rules(BEFORE) if when == BEFORE else rules(BEFORE, AFTER))
            self.served.until(lambda: self._digest() != digest)
            self.when = when
        return self

    def _digest(self) -> str:
        return str(self.served.health()["constitutions"]["default"]["digest"])

    def close(self) -> None:
        for each in self._clients:
            each.close()
        self.served.kill()

    def answers(self, said: Said, *, stream: bool) -> None:
        """What the upstream answers from now on."""
        self.fake.forget()
        self.fake.script(**({"events": list(said.events)} if stream else {"raw": said.raw}))

    def ask(self, api: str, body: Json, *, stream: bool = False, **headers: str) -> Got:
        """Ask by the API's own client."""
        body = {**body, **({"stream": True} if stream else {})}
        known = {"model", "messages", "input", "max_tokens", "stream", "tools", "system", "n", "instructions"}
        more = {name: value for name, value in body.items() if name not in known}
        body = {name: value for name, value in body.items() if name in known}
        resource: Any = {
            "chat_completions": lambda: self._openai.chat.completions,
            "responses": lambda: self._openai.responses,
            "messages": lambda: self._anthropic.messages,
        }[api]()
        fault: Any = None
        parsed: list[Json] = []
        try:
            answer = resource.with_raw_response.create(**body, extra_body=more, extra_headers=headers)
            made = answer.parse()
            parsed = [
                each.to_dict(warnings=False) for each in (made if stream and hasattr(made, "__iter__") else [made])
            ]
            response = answer.http_response
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            fault, response = error, error.response
        except (openai.APIError, anthropic.APIError) as error:  # told in the middle of a stream
            fault, response = error, None
        if fault is not None and isinstance(fault.body, dict):
            parsed.append({"error": fault.body})
        status = response.status_code if response is not None else 200
        return Got(status, response.headers if response is not None else httpx.Headers(), self._kept.raw, api, parsed)

    def post(self, api: str, body: Any, **headers: str) -> Got:
        """Ask with bytes that no client would send."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        answer = self._http.post(f"{self.served.url}/v1/{PATHS[api]}", content=raw, headers=headers)
        try:
            parsed = [answer.json()]
        except ValueError:
            events = [line[5:].strip() for line in answer.text.splitlines() if line.startswith("data:")]
            parsed = [json.loads(event) for event in events if event != "[DONE]"]
        return Got(answer.status_code, answer.headers, answer.content, api, parsed)

    def decision(self, got: Got) -> Json:
        """The audit's row of it."""
        answer = self._http.get(f"{self.served.url}/v1/decisions/{got.headers['x-wardlaw-decision']}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def reached(self, *telling: str) -> list[str]:
        """The requests that the model has seen, with any of these words."""
        seen = [request["raw"] for request in self.fake.seen()]
        return [raw for raw in seen if any(word in raw or word in _plain(raw) for word in telling)]


def _plain(raw: str) -> str:
    """The strings of a request, without what hides in them."""
    said = "\n".join(text for _, text in strings(json.loads(raw), ""))
    return "".join(sign for sign in said if sign.isprintable() and sign != "\u200b")


class Stands:
    """The servers, each started when it is first wanted."""

    def __init__(self, folder: Path, fake: Any) -> None:
        self._folder = folder
        self._fake = fake
        self._started: dict[str, Stand] = {}

    def __call__(self, upstream: str, when: str = BEFORE) -> Stand:
        """The server before an upstream, with the rules of a time in force."""
        for each in UPSTREAMS:  # they start side by side
            if each not in self._started:
                self._started[each] = Stand(self._folder / each.replace(" ", "-"), self._fake, each)
        return self._started[upstream].turn(when)

    def close(self) -> None:
        for each in self._started.values():
            each.close()


@pytest.fixture(scope="session")
def stands(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: Any) -> Iterator[Stands]:
    made = Stands(tmp_path_factory.mktemp("bypass"), fake_upstream_process)
    yield made
    made.close()


@pytest.fixture(scope="session", params=[BEFORE, AFTER])
def when(request: pytest.FixtureRequest) -> str:
    """Parametrised by session, so that all tests of one time run together."""
    return str(request.param)


def telling(got: Got, when: str) -> list[str]:
    """What of the forbidden phrase reached the client."""
    said = got.texts + "\n" + got.raw.decode()
    plain = "".join(sign for sign in said if sign != "\u200b").lower()
    return [word for word in TELLING[when] if word in plain]
