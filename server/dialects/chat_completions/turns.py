"""Messages of a request: the texts in each, with their places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from guard.exchange import Message, Role
from guard.guarding.incoming import Unscannable
from guard.window.outcomes import Channel
from server.dialects._leaves import Leaf, Path, anywhere, embedded, identifier, joined, setting, without, wordy, written
from server.dialects.base import BadRequest

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
PLAIN = frozenset({"role", "content"})

_REASONING = frozenset({"reasoning_content", "reasoning", "thinking"})
_OPAQUE = frozenset({"type", "id", "index", "format", "signature", "data", "thought_signature", "encrypted_content"})
"""Members of reasoning details, and of what providers add to tool calls, that hold what no reader can make sense of."""
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


def readable(leaves: Iterator[Leaf], unscannable: list[Unscannable]) -> Iterator[Leaf]:
    """The texts among some; files in URLs go to `unscannable`."""
    for leaf in leaves:
        if embedded(leaf.text):
            unscannable.append(Unscannable(written(leaf.path), "data_url"))
        else:
            yield leaf


def read_turn(message: object, place: int, names: AbstractSet[str], unscannable: list[Unscannable]) -> Turn:
    """A message of a request.

    Args:
        message: as it came.
        place: its index.
        names: of the tools that the request defines.
        unscannable: takes what is no text.

    Raises:
        BadRequest: it cannot be read.
        Tangled: it would take too long to look through.
    """
    at: Path = ("messages", place)
    if type(message) is not dict:
        raise BadRequest(written(at), f"must be an object, not `{shown(message)}`", "give it a `role` and a `content`")
    role = message.get("role")
    if type(role) is not str or role not in ROLES:
        raise BadRequest(f"{written(at)}.role", f"unknown role `{shown(role)}`", f"the roles are {', '.join(ROLES)}")
    turn = Turn(ROLES[role], at)
    _content(turn, message.get("content"), unscannable)
    extra: list[list[Leaf]] = []
    for name, value in message.items():
        if name in PLAIN or value is None:
            continue
        path = (*at, name)
        if name == "tool_calls":
            _calls(turn, value, path, names, extra)
        elif name == "function_call":
            _called(turn, value, path, names, extra)
        elif name in _REASONING:
            turn.thought += anywhere(value, path)
        elif name == "reasoning_details":
            turn.thought += anywhere(value, path, sealed=_OPAQUE)
        elif name == "audio":
            unscannable.append(Unscannable(written(path), "audio"))
        elif _silent(turn, name, value, names):
            continue
        elif name == "refusal" and type(value) is not str:
            raise BadRequest(written(path), f"must be a string, not `{shown(value)}`", "leave it out, or write a text")
        else:
            if wordy(name):
                turn.said.append(Leaf(path, name, is_name=True))
            turn.said += readable(anywhere(value, path), unscannable)
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
        rest = anywhere(without(part, "type", kind), path)
        turn.said += (leaf for leaf in readable(rest, unscannable) if not setting(leaf.text))


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
                leaves += anywhere({name: value}, at, sealed=_OPAQUE - {"id", "type"})
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


def shown(value: object) -> str:
    """A value in an error, short whatever it is."""
    said = str(value) if type(value) in {str, int, float, bool} else type(value).__name__
    return said if len(said) <= 40 else said[:39] + "…"
