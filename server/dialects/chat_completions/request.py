"""Requests: the texts in them, each with its place, and how they are replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from guard.exchange import Message, Role
from guard.guarding.incoming import Incoming, Unscannable
from guard.guarding.rulings import Place
from guard.window.outcomes import Channel
from server.dialects._leaves import (
    Leaf,
    Path,
    Rewriting,
    Tangled,
    anywhere,
    apart,
    embedded,
    identifier,
    joined,
    setting,
    wordy,
    written,
)
from server.dialects.base import BadRequest, Json

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_PLAIN = frozenset({"role", "content"})

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

_SCHEMA = frozenset(
    "type function custom name description parameters strict properties required items enum anyOf oneOf allOf not "
    "additionalProperties default const title format minimum maximum minItems maxItems minLength maxLength pattern "
    "$ref $defs definitions $schema schema json_schema examples allowed_tools mode tools grammar syntax definition "
    "uniqueItems exclusiveMinimum exclusiveMaximum multipleOf prefixItems nullable".split()
)
"""Names of members in definitions that say nothing themselves."""
_TYPES = frozenset(
    "object string number integer boolean array null function custom json_schema json_object text grammar auto none "
    "required allowed_tools lark regex".split()
)
"""Values of `type` and the like that say nothing."""

_REASONING = frozenset({"reasoning_content", "reasoning", "thinking"})
_OPAQUE = frozenset({"type", "id", "index", "format", "signature", "data", "thought_signature", "encrypted_content"})
"""Members of reasoning details, and of what providers add to tool calls, that no reader can make sense of."""
_FILES = frozenset({"image_url", "input_audio", "file"})


@dataclass(slots=True)
class Turn:
    """One message, and where its texts stand."""

    role: Role
    at: Path
    said: list[Leaf] = field(default_factory=list)
    thought: list[Leaf] = field(default_factory=list)
    calls: list[list[Leaf]] = field(default_factory=list)

    def message(self) -> Message:
        """The message that it is to the guard."""
        return Message(
            self.role,
            joined(self.said),
            reasoning=joined(self.thought) if self.thought else None,
            tool_calls=tuple(map(joined, self.calls)),
        )

    def leaves(self, channel: Channel) -> list[Leaf]:
        """The texts of a channel."""
        if channel.kind == "tool":
            return self.calls[channel.index]
        return self.thought if channel.kind == "reasoning" else self.said


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
        if type(message) is dict and message.keys() == _PLAIN:
            role, content = message["role"], message["content"]
            if type(content) is str and type(role) is str and role in _ROLES:
                seen.append(Message(_ROLES[role], content))
                continue
        if names is None:
            names = tool_names(body)
        seen.append(_turn(message, place, names, unscannable).message())
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


def shown(value: object) -> str:
    """A value in an error, short whatever it is."""
    said = str(value) if type(value) in {str, int, float, bool} else type(value).__name__
    return said if len(said) <= 40 else said[:39] + "…"


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
    return [*_beside(body, unscannable), *(_turn(message, place, names, unscannable) for place, message in messages)]


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
            defined += (leaf for leaf in anywhere(value, (name,), says=_defines) if leaf.text not in _TYPES)
        else:
            if wordy(name):
                other.append(Leaf((name,), name, is_name=True))
            leaves = _readable(anywhere(value, (name,)), unscannable)
            other += (leaf for leaf in leaves if name not in _SETTINGS or not setting(leaf.text))
    turns = []
    if defined:
        turns.append(Turn("system", (), defined))
    if other:
        turns.append(Turn("user", (), other))
    return turns


def _defines(name: str) -> bool:
    return name not in _SCHEMA


def _readable(leaves: Iterator[Leaf], unscannable: list[Unscannable]) -> Iterator[Leaf]:
    for leaf in leaves:
        if embedded(leaf.text):
            unscannable.append(Unscannable(written(leaf.path), "data_url"))
        else:
            yield leaf


def _turn(message: object, place: int, names: AbstractSet[str], unscannable: list[Unscannable]) -> Turn:
    at: Path = ("messages", place)
    if type(message) is not dict:
        raise BadRequest(written(at), f"must be an object, not `{shown(message)}`", "give it a `role` and a `content`")
    role = message.get("role")
    if type(role) is not str or role not in _ROLES:
        raise BadRequest(f"{written(at)}.role", f"unknown role `{shown(role)}`", f"the roles are {', '.join(_ROLES)}")
    turn = Turn(_ROLES[role], at)
    _content(turn, message.get("content"), unscannable)
    extra: list[list[Leaf]] = []
    for name, value in message.items():
        if name in _PLAIN or value is None:
            continue
        path = (*at, name)
        if name == "tool_calls":
            _calls(turn, value, path, names, extra)
        elif name == "function_call":
            _called(turn, value, path, names, extra)
        elif name in _REASONING:
            turn.thought += anywhere(value, path)
        elif name == "reasoning_details":
            turn.thought += anywhere(value, path, skip=_OPAQUE)
        elif name == "audio":
            unscannable.append(Unscannable(written(path), "audio"))
        elif _silent(turn, name, value, names):
            continue
        elif name == "refusal" and type(value) is not str:
            raise BadRequest(written(path), f"must be a string, not `{shown(value)}`", "leave it out, or write a text")
        else:
            if wordy(name):
                turn.said.append(Leaf(path, name, is_name=True))
            turn.said += _readable(anywhere(value, path), unscannable)
    turn.calls += extra
    return turn


def _silent(turn: Turn, name: str, value: object, names: AbstractSet[str]) -> bool:
    """Whether a member of a message is an id, or repeats the name of a tool."""
    if name == "name":
        return turn.role == "tool" and type(value) is str and value in names
    return name in {"tool_call_id", "id"} and identifier(value)


def _content(turn: Turn, content: object, unscannable: list[Unscannable]) -> None:
    path = (*turn.at, "content")
    if type(content) is str:
        turn.said.append(Leaf(path, content))
    elif type(content) is list:
        for place, part in enumerate(content):
            _part(turn, part, (*path, place), unscannable)
    elif content is not None:
        what = f"must be a string or a list of parts, not `{shown(content)}`"
        raise BadRequest(written(path), what, 'write `"..."` or `[{"type": "text", "text": "..."}]`')


def _part(turn: Turn, part: object, path: Path, unscannable: list[Unscannable]) -> None:
    if type(part) is not dict:
        hint = 'write `{"type": "text", "text": "..."}`'
        raise BadRequest(written(path), f"must be an object, not `{shown(part)}`", hint)
    kind = part.get("type")
    if type(kind) is not str:
        raise BadRequest(f"{written(path)}.type", f"must be a string, not `{shown(kind)}`", "as `text`")
    if kind not in {"text", "refusal"}:
        unscannable.append(Unscannable(written(path), kind if kind in _FILES or identifier(kind) else "unknown"))
        return
    text = part.get(kind)
    if type(text) is not str:
        hint = "write the text as a string"
        raise BadRequest(f"{written(path)}.{kind}", f"must be a string, not `{shown(text)}`", hint)
    turn.said.append(Leaf((*path, kind), text))
    if len(part) > 2:
        rest = anywhere(part, path, skip={"type", kind})
        turn.said += (leaf for leaf in _readable(rest, unscannable) if not setting(leaf.text))


def _calls(turn: Turn, calls: object, path: Path, names: AbstractSet[str], extra: list[list[Leaf]]) -> None:
    if type(calls) is not list:
        hint = "each tool call is an object in it"
        raise BadRequest(written(path), f"must be a list, not `{shown(calls)}`", hint)
    for place, call in enumerate(calls):
        at = (*path, place)
        if type(call) is not dict:
            hint = "give it `id`, `type` and `function`"
            raise BadRequest(written(at), f"must be an object, not `{shown(call)}`", hint)
        leaves: list[Leaf] = []
        for name, value in call.items():
            if name in {"function", "custom"}:
                leaves += _arguments(value, (*at, name), names, extra)
            elif name not in {"id", "type"} or not identifier(value):
                leaves += anywhere({name: value}, at, skip=_OPAQUE - {"id", "type"})
        turn.calls.append(leaves)


def _called(turn: Turn, call: object, path: Path, names: AbstractSet[str], extra: list[list[Leaf]]) -> None:
    turn.calls.append(_arguments(call, path, names, extra))


def _arguments(function: object, path: Path, names: AbstractSet[str], extra: list[list[Leaf]]) -> list[Leaf]:
    """The texts of a call; its name is one only where the request defines no such tool."""
    if type(function) is not dict:
        hint = "give it `name` and `arguments`"
        raise BadRequest(written(path), f"must be an object, not `{shown(function)}`", hint)
    leaves: list[Leaf] = []
    for name, value in function.items():
        if name in {"arguments", "input"}:
            if type(value) is not str and value is not None:
                hint = "write them as a string of JSON"
                raise BadRequest(f"{written(path)}.{name}", f"must be a string, not `{shown(value)}`", hint)
            leaves.insert(0, Leaf((*path, name), value or ""))
        elif name == "name" and type(value) is str:
            if value not in names:
                extra.append([Leaf((*path, name), value)])
        else:
            leaves += anywhere({name: value}, path)
    return leaves
