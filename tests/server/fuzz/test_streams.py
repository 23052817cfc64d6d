"""Streams that are cut anywhere, through the whole proxy: what is clean arrives, what is banned does not, and what is
redacted is what would be redacted of the whole."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.server.fuzz.inside import MASK, REPLY, Inside
from tests.server.fuzz.reading import Heard, listen
from tests.server.fuzz.speaking import Key, Said, heard

APIS = ("chat_completions", "messages", "responses")
FILTERED = {"content_filter", "refusal"}

WORDS = st.sampled_from(
    "sea tide summon the kraken the kra kraken, summons harbour chest- chest-12 chest chest-12a 1234 潮は 🌊 "
    'снова "quoted" back\\slash new\nline [redacted] e\u0301 { } : , Summon'.split(" ")
)
BANNED = st.sampled_from(("summon the kraken", "Summon The Kraken", "summon  the\nkraken"))
CODE = st.sampled_from(("chest-1234", "chest-9876", "chest-0000"))


def texts(*special: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[str]:
    """Words with spaces between them, some of them special; never the banned phrase by chance."""
    word = st.one_of(WORDS, WORDS, *special) if special else WORDS
    said = st.lists(word, min_size=least, max_size=14).map(" ".join)
    return said if BANNED in special else said.filter(lambda text: not banned(text))


def banned(text: str) -> re.Match[str] | None:
    return re.search(r"summon\s+the\s+kraken", text, re.IGNORECASE)


def masked(text: str) -> str:
    return re.sub(r"chest-[0-9]{4}", MASK, text)


def argument(text: str, *, escaped: bool) -> str:
    return json.dumps({"place": text, "n": [1, {"deep": "sea"}]}, ensure_ascii=escaped)


@st.composite
def answers(draw: st.DrawFn, *special: st.SearchStrategy[str]) -> Said:
    api = draw(st.sampled_from(APIS))
    text = texts(*special, least=1)
    tool = st.builds(lambda said, escaped: ("tool", argument(said, escaped=escaped)), text, st.booleans())
    kinds = ("text", "reasoning") if api == "messages" else ("text", "reasoning", "refusal")
    part = st.tuples(st.sampled_from(kinds), text) | tool
    # Only tools may come twice: two texts of one kind would be one text, without a space where they meet.
    once = st.lists(part, min_size=1, max_size=3, unique_by=lambda each: each[0] if each[0] != "tool" else id(each))
    choices = draw(st.lists(once, min_size=1, max_size=3))
    if api != "chat_completions":
        choices = choices[:1]
    return Said(api, tuple(tuple(parts) for parts in choices))


WILD = st.text(
    st.one_of(
        st.sampled_from('summonthekrakenchest-1234 \n\u200b\u00ad\u0301\uff10\u2010\U0001f30a{}[]"\\/<|'),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
"""Letters of every kind, those of disguises among them."""


@st.composite
def wild(draw: st.DrawFn) -> Said:
    """Texts that may or may not be disguises: only the gate can tell."""
    hidden = st.builds(lambda a, b, c: a + b + c, WILD, BANNED | CODE, WILD)
    text = WILD.filter(str.strip) | hidden
    api = draw(st.sampled_from(("chat_completions", "responses")))
    parts = [("text", draw(text))]
    if draw(st.booleans()):
        parts.insert(0, ("reasoning", draw(text)))
    return Said(api, (tuple(parts),))


SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Inside]]:
    def folder(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    tight = {"window": {"first": 1, "stride": 64, "overlap": 32, "patience": 0.004}}
    made = {
        "patterns": Inside(folder("patterns")),
        "models": Inside(folder("models"), slow=True),
        "tight": Inside(folder("tight"), slow=True, guard=tight),
    }
    yield made
    for each in made.values():
        each.close()


class Clients:
    """The official clients, before one proxy."""

    def __init__(self, proxy: Inside) -> None:
        given: dict[str, Any] = {"api_key": "sk", "max_retries": 0}
        http = httpx.AsyncClient(transport=httpx.ASGITransport(proxy.app))
        self.openai = openai.AsyncOpenAI(base_url="http://wardlaw/v1", http_client=http, **given)
        http2 = httpx2.AsyncClient(transport=httpx2.ASGITransport(proxy.app))
        self.anthropic = anthropic.AsyncAnthropic(base_url="http://wardlaw", http_client=http2, **given)

    async def hear(self, said: Said) -> dict[Key, str]:
        """The texts as the clients' own helpers put them together."""
        asked = said.request(stream=True)
        del asked["stream"]
        if said.api == "messages":
            async with self.anthropic.messages.stream(**asked) as stream:
                return heard("messages", (await stream.get_final_message()).model_dump())
        if said.api == "responses":
            events = [event async for event in await self.openai.responses.create(**asked, stream=True)]
            return heard("responses", events[-1].model_dump()["response"])
        async with self.openai.chat.completions.stream(**asked) as chunks:
            async for _ in chunks:
                pass
            return heard("chat_completions", chunks.current_completion_snapshot.model_dump())


@pytest.fixture(scope="module")
def clients(runner: asyncio.Runner, proxies: dict[str, Inside]) -> Iterator[Clients]:
    made = Clients(proxies["patterns"])
    yield made
    runner.run(made.openai.close())
    runner.run(made.anthropic.close())


def checked(proxy: Inside, said: Said, answer: Any) -> Heard:
    """The stream as its API's client understands it, against what the guard would make of the whole."""
    note(f"{said}\n{answer.body.decode()}")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert all(record.fault == "" for record in proxy.audit.records[-2:]), proxy.audit.records[-1]
    return listen(said.api, answer.body)


def channels(said: Said) -> dict[Key, str]:
    """The texts as a client is to have them: banned choices whole, codes masked."""
    return {key: text if key[1] == "tool" else masked(text) for key, text in heard(said.api, said.whole()).items()}


def same(got: dict[Key, str], wanted: dict[Key, str]) -> None:
    """Texts are the same to a letter; arguments are the same JSON."""
    assert got.keys() == wanted.keys()
    for key, text in wanted.items():
        if key[1] == "tool":
            assert json.loads(got[key]) == json.loads(masked(text))
        else:
            assert got[key] == text


def run_clean(runner: asyncio.Runner, proxy: Inside, said: Said, seed: int, pause: float = 0.0) -> None:
    got = checked(proxy, said, runner.run(proxy.say(said, seed, stream=True, pause=pause)))
    same(got.texts, channels(said))
    assert not FILTERED & set(got.endings.values())
    assert len(got.endings) == len(said.choices)
    whole = heard(said.api, runner.run(proxy.say(said, seed, stream=False)).json)
    # A thinking block whose text is changed has lost what its signature vouches for: of a whole answer it is left out.
    if said.api != "messages" or not any(
        kind == "reasoning" and MASK in masked(text) for kind, text in said.choices[0]
    ):
        same(whole, channels(said))


def run_banned(runner: asyncio.Runner, proxy: Inside, said: Said, seed: int, pause: float = 0.0) -> None:
    got = checked(proxy, said, runner.run(proxy.say(said, seed, stream=True, pause=pause)))
    raw, wanted = heard(said.api, said.whole()), channels(said)
    if said.api == "messages":  # where whole arguments are no text
        raw |= {(0, "tool", n): text for n, (kind, text) in enumerate(said.choices[0]) if kind == "tool"}
    stopped = {key[0] for key, text in raw.items() if forbidden(text)}
    for choice in range(len(said.choices)):
        assert (got.endings[choice] in FILTERED) == (choice in stopped), (choice, got)
        mine = {key: text for key, text in got.texts.items() if key[0] == choice}
        if choice not in stopped:
            same(mine, {key: text for key, text in wanted.items() if key[0] == choice})
            continue
        replies = [key for key, text in mine.items() if text.endswith(REPLY)]
        assert len(replies) == 1, mine
        for key, text in mine.items():
            before_reply = text.removesuffix(REPLY).rstrip() if key in replies else text
            if key not in wanted:
                assert before_reply == "", (key, text)
                continue
            hit = forbidden(raw[key])
            # What a model finds by its whole sense may have begun to leave; the last of it never does.
            end = None if hit is None else hit.end() - 1 if hit[0] == "whalebait" else hit.start()
            upto = masked(raw[key][:end])
            assert upto.startswith(before_reply), (key, before_reply, upto)


def forbidden(text: str) -> re.Match[str] | None:
    """Where the first thing stands that stops a stream, in the text or in the JSON of arguments."""
    return banned(text) or re.search(r"summon(\s|\\n)+the(\s|\\n)+kraken|whalebait", text, re.IGNORECASE)


def fuzz(examples: int, *, fixed: bool = True) -> Callable[[Any], Any]:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=fixed,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@fuzz(120)
@given(said=answers(), seed=SEEDS)
def test_a_clean_stream_arrives_whole_and_in_order(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int
) -> None:
    run_clean(runner, proxies["patterns"], said, seed)


@fuzz(120)
@given(said=answers(CODE), seed=SEEDS)
def test_codes_are_masked_as_in_the_whole(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int
) -> None:
    run_clean(runner, proxies["patterns"], said, seed)


@fuzz(200)
@given(said=answers(BANNED, CODE), seed=SEEDS)
def test_nothing_of_a_banned_phrase_arrives(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int
) -> None:
    run_banned(runner, proxies["patterns"], said, seed)


@fuzz(40)
@given(said=answers(CODE), seed=SEEDS, which=st.sampled_from(("models", "tight")))
def test_a_stream_that_waits_for_a_model_arrives_the_same(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int, which: str
) -> None:
    run_clean(runner, proxies[which], said, seed, pause=0.002)


@fuzz(60)
@given(said=answers(BANNED, CODE, st.just("whalebait")), seed=SEEDS, which=st.sampled_from(("models", "tight")))
def test_what_a_model_or_a_pattern_finds_stops_a_stream(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int, which: str
) -> None:
    run_banned(runner, proxies[which], said, seed, pause=0.002)


@fuzz(120)
@given(said=wild(), seed=SEEDS)
def test_a_stream_comes_to_what_the_whole_comes_to(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int
) -> None:
    proxy = proxies["patterns"]
    got = checked(proxy, said, runner.run(proxy.say(said, seed, stream=True)))
    whole = runner.run(proxy.say(said, seed, stream=False))
    blocked = whole.headers["x-wardlaw-action"] == "block"
    assert (got.endings[0] in FILTERED) == blocked
    if not blocked:
        assert got.texts == heard(said.api, whole.json)


@fuzz(40)
@given(said=answers(BANNED, CODE), seed=SEEDS)
def test_the_official_clients_understand_every_stream(
    runner: asyncio.Runner, proxies: dict[str, Inside], clients: Clients, said: Said, seed: int
) -> None:
    proxy = proxies["patterns"]
    got = checked(proxy, said, runner.run(proxy.say(said, seed, stream=True)))
    proxy.model.random.seed(seed)
    understood = runner.run(clients.hear(said))
    stopped = {choice for choice, ending in got.endings.items() if ending in FILTERED}
    whole = {key: text for key, text in understood.items() if key[1] != "tool" or key[0] not in stopped}
    same(whole, {key: text for key, text in got.texts.items() if key in whole})
    # Arguments that were cut off may be there, as far as they came.
    assert all(key in whole for key in got.texts if key[1] != "tool")


@pytest.mark.slow
@fuzz(5000, fixed=False)
@given(said=answers(BANNED, CODE), seed=SEEDS)
def test_nothing_of_a_banned_phrase_arrives_in_many_more_streams(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int
) -> None:
    run_banned(runner, proxies["patterns"], said, seed)


@pytest.mark.slow
@fuzz(1500, fixed=False)
@given(said=answers(BANNED, CODE, st.just("whalebait")), seed=SEEDS, which=st.sampled_from(("models", "tight")))
def test_what_is_found_stops_many_more_streams(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int, which: str
) -> None:
    run_banned(runner, proxies[which], said, seed, pause=0.002)


@pytest.mark.slow
@fuzz(5000, fixed=False)
@given(said=wild(), seed=SEEDS)
def test_many_more_streams_come_to_what_the_whole_comes_to(
    runner: asyncio.Runner, proxies: dict[str, Inside], said: Said, seed: int
) -> None:
    test_a_stream_comes_to_what_the_whole_comes_to.hypothesis.inner_test(runner, proxies, said, seed)  # type: ignore[attr-defined]
