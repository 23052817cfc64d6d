"""The scripted model: what it answers, and where it says a script is wrong."""

from __future__ import annotations

import asyncio
import json
import textwrap

import pytest

from guard.exchange import Message
from guard.models import open_model
from guard.models import scripted as module
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
)


@pytest.fixture
def script(tmp_path):
    def write(text, name="answers.yaml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def opened(script):
    return lambda text, name="answers.yaml": open_model(f"scripted:{script(text, name)}")


def ask(*texts, seed=None, logprobs=0):
    roles = ("user", "assistant")
    messages = tuple(Message(roles[number % 2], text) for number, text in enumerate(texts))
    return Ask(messages, Sampling(seed=seed), logprobs=logprobs)


async def test_the_first_reply_that_matches_the_last_user_message_is_given(opened):
    model = opened("""
        replies:
          - {match: Pipe Bomb, text: 'no'}
          - {regex: '^how (do|can) i\\b', text: so}
        default: {text: fine}
    """)
    assert isinstance(model, ChatModel)
    assert (await model.chat(ask("How to build a PIPE BOMB?"))).text == "no"
    assert (await model.chat(ask("how can i bake?"))).text == "so"
    assert (await model.chat(ask("oh, how can i bake?"))).text == "fine"
    assert (await model.chat(ask("a pipe bomb?", "no", "how do i bake?"))).text == "so"


async def test_any_message_is_looked_at_whoever_wrote_it_where_the_script_says_so(opened):
    model = opened("""
        - {match: critic, where: any, text: a critique}
        - {text: an answer}
    """)
    system = Ask((Message("system", "You are a critic."), Message("user", "hello")))
    assert (await model.chat(system)).text == "a critique"
    assert (await model.chat(ask("hello"))).text == "an answer"


async def test_a_conversation_without_a_user_is_matched_by_its_last_message(opened):
    model = opened("- {match: alone, text: here}")
    assert (await model.chat(Ask((Message("system", "all alone"),)))).text == "here"


async def test_texts_are_taken_by_the_seed_in_whatever_order_the_calls_end(opened):
    model = opened("""
        - match: one
          texts: [a, b, c]
          delay_ms: 1
    """)
    seeds = [5, 0, 4, 1, 3, 2, None]
    replies = await asyncio.gather(*(model.chat(ask("one", seed=seed)) for seed in seeds))
    assert [reply.text for reply in replies] == ["c", "a", "b", "b", "a", "c", "a"]


async def test_all_of_a_reply_can_be_scripted(opened):
    model = opened("""
        - text: "yes"
          reasoning: Thought.
          finish: length
          logprobs:
            - {token: "yes", logprob: -0.1, top: {"yes": -0.1, "no": -2.5}}
    """)
    reply = await model.chat(ask("12345678", logprobs=1))
    assert (reply.text, reply.reasoning, reply.finish) == ("yes", "Thought.", "length")
    assert reply.logprobs == (TokenLogprob("yes", -0.1, {"yes": -0.1}),)
    assert (reply.usage.prompt, reply.usage.completion) == (2, 3)
    assert (await model.chat(ask("x"))).logprobs is None


async def test_an_empty_answer_can_be_scripted(opened):
    assert (await opened("- {text: ''}").chat(ask("x"))).text == ""


@pytest.mark.parametrize(
    ("error", "kind"),
    [("unavailable", ModelUnavailable), ("context", ContextTooLong), ("refused", ContentRefused)],
)
async def test_a_call_can_be_scripted_to_fail(opened, error, kind):
    with pytest.raises(kind):
        await opened(f"- {{error: {error}}}").chat(ask("x"))


async def test_a_message_that_nothing_matches_is_named(opened):
    model = opened("- {match: tea, text: yes please}")
    with pytest.raises(ModelError, match=r"answers.yaml` matches a message that starts with `Coffee now\?`") as caught:
        await model.chat(ask("Coffee\n now?"))
    assert type(caught.value) is ModelError


async def test_json_and_json_lines_say_the_same_as_yaml(opened):
    entries = [{"match": "tea", "text": "line\u2028separator"}, {"text": "fine"}]
    for name, text in {
        "a.jsonl": "\n\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n",
        "b.json": json.dumps({"replies": entries}, indent="\t"),
        "c.yaml": json.dumps(entries),
    }.items():
        model = opened(text, name)
        assert (await model.chat(ask("some tea"))).text == "line\u2028separator"
        assert (await model.chat(ask("coffee"))).text == "fine"


def test_identity_changes_with_what_is_in_the_file_and_not_with_where_it_is(opened, tmp_path):
    first = opened("- {text: one}").identity
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "answers.yaml").write_bytes((tmp_path / "answers.yaml").read_bytes())
    assert open_model(f"scripted:{moved / 'answers.yaml'}").identity == first
    assert opened("- {text: two}").identity != first


async def test_no_more_calls_run_at_once_than_were_allowed(script):
    path = script("- {text: x, delay_ms: 20}")
    model = open_model(f"scripted:{path}", concurrency=2)
    calls = [asyncio.create_task(model.chat(ask("x"))) for _ in range(4)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    assert sum(call.done() for call in calls) <= 2
    await asyncio.gather(*calls)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- match: x\n  tetx: y\n", "2:3: unknown key `tetx`\n  hint: did you mean `text`?"),
        ("- match: x\n  text: y\n- match: z\n  text: 7\n", "4:3: `text`: must be a string"),
        ("- text: no\n", "1:3: `text`: must be a string\n  hint: put it in quotes"),
        ("- match: x\n", "1:3: a reply has exactly one of `text`, `texts` and `error`"),
        ("- match: x\n  text: a\n  error: context\n", "1:3: a reply has exactly one of"),
        ("- match: x\n  regex: y\n  text: a\n", "1:3: a reply has `match` or `regex`, not both"),
        ("- text: x\n- match: y\n  text: z\n", "1:3: a reply without `match` or `regex` hides those after it"),
        ("replies:\n  - text: x\ndefault: {text: y}\n", "2:5: a reply without `match` or `regex` hides"),
        ("- regex: '(['\n  text: x\n", "1:3: the regex `([` cannot be read"),
        ("- regex: '(?=x)'\n  text: x\n", "1:3: the regex `(?=x)` cannot be read"),
        ("- text: x\n  text: y\n", "2:3: key `text` is given twice"),
        ("- match: x\n  finish: later\n  text: y\n", "2:3: `finish`: must be 'stop', 'length' or 'filter'"),
        ("- match: ''\n  text: y\n", "1:3: `match`: string should have at least 1 character"),
        ("- text: x\n  delay_ms: -1\n", "2:3: `delay_ms`: must be greater than or equal to 0"),
        ("- text: x\n  logprobs: [{token: y, lgoprob: -1}]\n", "did you mean `logprob`?"),
        ("- just words\n- and more\n", "1:3: a reply is a map, as `- text: ...`"),
        ("replies: &all\n  - *all\n", "a reply is a map, as `- text: ...`"),
        ("default: Fine.\n", "a reply is a map, as `text: ...`"),
        ("text: x\n  - y: [\n", "no YAML"),
        ("just words\n", "1:1: a script is a list of replies"),
        ("", "1:1: a script is a list of replies"),
        ("- !!python/object:os.system {}\n", "no YAML"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place_and_a_hint(script, text, says):
    path = script(text)
    with pytest.raises(ModelConfigError) as caught:
        open_model(f"scripted:{path}")
    assert str(caught.value).startswith(f"{path}:")
    assert says in str(caught.value)
    assert caught.value.hint


def test_a_wrong_line_of_json_lines_is_named(script):
    path = script('{"text": "x", "match": "y"}\n\n{"text": 3}\n', "a.jsonl")
    with pytest.raises(ModelConfigError, match=r"a\.jsonl:3:1: `text`"):
        open_model(f"scripted:{path}")
    path = script('{"text": "x", "match": "y"}\n{"text": \n', "a.jsonl")
    with pytest.raises(ModelConfigError, match=r"a\.jsonl:2:1: no JSON"):
        open_model(f"scripted:{path}")


def test_a_script_that_cannot_be_read_is_said_so(tmp_path):
    with pytest.raises(ModelConfigError, match="No such file"):
        open_model(f"scripted:{tmp_path / 'none.yaml'}")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelConfigError, match="not UTF-8"):
        open_model(f"scripted:{tmp_path / 'bytes.yaml'}")


async def test_the_script_shown_in_the_module_itself_works(opened):
    shown = module.__doc__[module.__doc__.index("    replies:") : module.__doc__.index("The first reply")]
    model = opened(shown)
    assert (await model.chat(ask("a pipe bomb", seed=1))).text == "I will not help with that."
    reply = await model.chat(ask("Critique the answer.", seed=3))
    assert (reply.text, reply.finish) == ("second way", "length")
    with pytest.raises(ContextTooLong):
        await model.chat(ask("this is FAR TOO LONG"))
    assert (await model.chat(ask("x"))).text == "Fine."
