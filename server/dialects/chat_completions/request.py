"""Requests: the texts in them, each with its place, and how they are replaced."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from guard.exchange import Message
from guard.guarding.incoming import Incoming, Unscannable
from guard.guarding.rulings import Place
from server.dialects._definitions import defines
from server.dialects._leaves import (
    Leaf,
    Path,
    Rewriting,
    Tangled,
    anywhere,
    apart,
    setting,
    wordy,
)
from server.dialects.base import BadRequest, Json
from server.dialects.chat_completions.turns import PLAIN, ROLES, Turn, read_turn, readable, shown

_DEFINES = frozenset(
    "tools functions tool_choice function_call response_format structured_outputs guided_json guided_regex "
    "guided_choice guided_grammar grammar json_schema regex ebnf".split()
)
"""Members that define something for the model; those after `response_format` are of vLLM, SGLang and llama.cpp."""

_UNSEEN = frozenset(
    "messages model models stream stream_options n stop stop_token_ids user metadata safety_identifier "
    "prompt_cache_key logit_bias request_id".split()
)
"""Members whose texts the model is not shown."""

_SETTINGS = frozenset(
    "service_tier reasoning_effort verbosity modalities prompt_cache_retention prompt_cache_options audio moderation "
    "reasoning thinking prediction web_search_options provider chat_template_kwargs transforms route plugins samplers "
    "keep_alive".split()
)
"""Members that hold the words of settings; any longer text in them is looked at."""

_TYPES = frozenset(
    "object string number integer boolean array null function custom json_schema json_object text grammar auto none "
    "required allowed_tools lark regex".split()
)
"""Values of `type` and the like that say nothing."""


def read(body: Json) -> Incoming:
    """See `Dialect.read`."""
    try:
        return _read(body)
    except Tangled as error:
        raise BadRequest(error.where, error.what, "leave out what the model does not need") from None


def _read(body: Json) -> Incoming:
    messages = _messages(body)
    unscannable: list[Unscannable] = []
    seen = [turn.message() for turn in _beside(body, unscannable)]
    names: AbstractSet[str] | None = None
    for place, message in enumerate(messages):
        # Plain turns are most of all traffic.
        if type(message) is dict and message.keys() == PLAIN:
            role, content = message["role"], message["content"]
            if type(content) is str and type(role) is str and role in ROLES:
                seen.append(Message(ROLES[role], content))
                continue
        if names is None:
            names = tool_names(body)
        seen.append(read_turn(message, place, names, unscannable).message())
    return Incoming(tuple(seen), tuple(unscannable))


def streams(body: Json) -> bool:
    """See `Dialect.streams`."""
    return body.get("stream") is True


def edited(body: Json, edits: Mapping[Place, str]) -> Json:
    """See `Dialect.edited`."""
    turns = _turns(body, [])
    copy = Rewriting(body)
    for (place, channel), text in edits.items():
        turn = turns[place]
        leaves = turn.leaves(channel)
        if not leaves and channel.kind == "text":
            copy.put((*turn.at, "content"), text)
            continue
        if not leaves:
            continue
        for leaf, new in zip(leaves, apart(leaves, text), strict=True):
            if new == leaf.text:
                continue
            copy.unsign(leaf.path)
            if new or not text or not _goes(copy, leaf.path):
                copy.write(leaf, new)
    return copy.done()


def tool_names(body: Json) -> frozenset[str]:
    """Names of the tools that a request defines: whatever repeats them says nothing that the client has not said."""
    named = set()
    for kind in ("tools", "functions"):
        listed = body.get(kind)
        for tool in listed if type(listed) is list else ():
            for each in (tool, tool.get("function"), tool.get("custom")) if type(tool) is dict else ():
                if type(each) is dict and type(each.get("name")) is str:
                    named.add(each["name"])
    return frozenset(named)


def _goes(copy: Rewriting, path: Path) -> bool:
    """Take out what an edit has emptied, where the API would not take it empty."""
    if path[0] != "messages":
        return False
    if len(path) == 3 and path[2] != "content":
        copy.drop(path)
    elif len(path) == 5 and path[2] == "content":
        copy.drop(path[:4])
    else:
        return False
    return True


def _messages(body: Json) -> list[Any]:
    messages = body.get("messages")
    if type(messages) is not list or not messages:
        raise BadRequest("messages", "must be a list with at least one message", "see the API's reference")
    stream = body.get("stream")
    if stream is not None and type(stream) is not bool:
        # An upstream that takes `1` for true would answer with a stream that nobody reads as one.
        raise BadRequest("stream", f"must be true or false, not `{shown(stream)}`", "write it without quotes")
    return messages


def _turns(body: Json, unscannable: list[Unscannable]) -> list[Turn]:
    """All messages as `read` gives them."""
    names = tool_names(body)
    messages = enumerate(_messages(body))
    return [
        *_beside(body, unscannable),
        *(read_turn(message, place, names, unscannable) for place, message in messages),
    ]


def _beside(body: Json, unscannable: list[Unscannable]) -> list[Turn]:
    """The messages that stand for what is said beside the messages."""
    defined: list[Leaf] = []
    other: list[Leaf] = []
    for name, value in body.items():
        if name in _UNSEEN:
            continue
        if value is None or type(value) in {int, float, bool}:
            if wordy(name):
                other.append(Leaf((name,), name, is_name=True))
        elif name in _DEFINES:
            defined += (leaf for leaf in anywhere(value, (name,), says=defines) if leaf.text not in _TYPES)
        else:
            if wordy(name):
                other.append(Leaf((name,), name, is_name=True))
            leaves = readable(anywhere(value, (name,)), unscannable)
            other += (leaf for leaf in leaves if name not in _SETTINGS or not setting(leaf.text))
    turns = []
    if defined:
        turns.append(Turn("system", (), defined))
    if other:
        turns.append(Turn("user", (), other))
    return turns
