"""Requests: the conversation in them, and a copy with some of its texts replaced.

What stands upstream cannot be seen: the turns behind `previous_response_id`, `conversation`, `item_reference` and a
stored `prompt`. They went through the guard when they were said, or were put there by the operator, and what the model
makes of them is scanned on its way out; so they pass. An answer made in the background would be fetched later, past the
guard, so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from guard.exchange import Message
from guard.guarding.incoming import Incoming, Unscannable
from guard.guarding.rulings import Place
from guard.window.outcomes import Channel
from server.dialects._definitions import defines
from server.dialects._leaves import Leaf, Path, Tangled, anywhere, apart, joined, written
from server.dialects.base import BadRequest, Json
from server.dialects.responses.items import Found, look, look_part, look_value, machine
from server.dialects.responses.response import before_reply, rewritten

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
# What no model reads, and settings.
_APART = frozenset(
    "model metadata user safety_identifier prompt_cache_key prompt_cache_options prompt_cache_retention service_tier"
    " store stream stream_options background background_options include conversation previous_response_id"
    " max_output_tokens max_tool_calls parallel_tool_calls temperature top_p top_logprobs truncation reasoning"
    " moderation context_management access_programs image tool_choice".split()
)
_READ = frozenset({"instructions", "input", "tools", "text", "prompt"})
# Items that come from the model; all other items come from outside it.
_OWN = frozenset({"reasoning", "mcp_approval_request", "program", "compaction", "compaction_trigger"})
_STRINGS = {
    "function_call": ("arguments", "name", "call_id"),
    "custom_tool_call": ("input", "name", "call_id"),
    "mcp_call": ("arguments", "name"),
    "local_shell_call_output": ("output",),
}


@dataclass(slots=True)
class _Turn:
    """One message, and where its texts stand in the request."""

    role: Literal["system", "user", "assistant", "tool"]
    text: list[Leaf] = field(default_factory=list)
    reasoning: list[Leaf] = field(default_factory=list)
    calls: list[list[Leaf]] = field(default_factory=list)

    @property
    def message(self) -> Message:
        return Message(
            self.role,
            joined(self.text) if self.text else "",
            reasoning=joined(self.reasoning) if self.reasoning else None,
            tool_calls=tuple(joined(call) for call in self.calls),
        )

    def leaves(self, channel: Channel) -> list[Leaf]:
        """The texts that one text of the message is made of."""
        if channel.kind == "reasoning":
            return self.reasoning
        if channel.kind == "tool":
            return self.calls[channel.index] if channel.index < len(self.calls) else []
        return self.text


def read(body: Json) -> Incoming:
    """See `Dialect.read`."""
    unscannable: list[Unscannable] = []
    try:
        turns = _turns(body, unscannable)
    except Tangled as error:
        raise BadRequest(error.where, error.what, "leave out what the model does not need") from None
    _refuse_what_goes_past(body)
    # Items without a text are the upstream's to refuse, as an empty message is elsewhere: there is nothing to scan.
    if not turns and not unscannable and not any(body.get(name) for name in ("input", "prompt", "conversation")):
        if body.get("input") is None and not body.get("previous_response_id"):
            raise BadRequest("input", "missing", "say `input`, as a string or a list of items")
        raise BadRequest("input", "there is no text in it", "say what the model is to answer")
    return Incoming(tuple(turn.message for turn in turns) or (Message("user", ""),), tuple(unscannable))


def edited(body: Json, edits: Mapping[Place, str]) -> Json:
    """See `Dialect.edited`."""
    turns = _turns(body, [])
    changes: list[tuple[Leaf, str]] = []
    for (number, channel), text in edits.items():
        leaves = turns[number].leaves(channel)
        changes += zip(leaves, apart(leaves, text) if leaves else (), strict=True)
    return rewritten(body, changes)


def prepared(body: Json) -> Json:
    """The request as the model behind can take it up.

    A reply of the guard is not known upstream: what follows it goes on from the answer before it, which its id names.

    Returns:
        the request itself where it follows no such reply.
    """
    previous = body.get("previous_response_id")
    before = before_reply(previous)
    if before == previous:
        return body
    rest = {name: value for name, value in body.items() if name != "previous_response_id"}
    return rest if before is None else {**rest, "previous_response_id": before}


def _refuse_what_goes_past(body: Json) -> None:
    if body.get("background"):
        hint = "leave `background` out, or ask with `stream: true`"
        raise BadRequest("background", "an answer that is fetched later would not be guarded", hint)
    for name in ("background", "stream", "store", "parallel_tool_calls"):
        if not isinstance(body.get(name), bool | None):
            raise BadRequest(name, "neither true nor false")
    for name in ("model", "previous_response_id"):
        if not isinstance(body.get(name), str | None):
            raise BadRequest(name, "not a string")


def _turns(body: Json, unscannable: list[Unscannable]) -> list[_Turn]:
    """The conversation, each text with its place.

    Raises:
        BadRequest: something in it cannot be read.
    """
    turns: list[_Turn] = []
    instructions = body.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise BadRequest("instructions", "not a string", "give messages of the system as items of `input`")
    if instructions:
        turns.append(_Turn("system", [Leaf(("instructions",), instructions)]))
    if settings := list(_settings(body, unscannable)):
        turns.append(_Turn("system", settings))
    if unknown := _unknown(body, unscannable):
        turns.append(_Turn("user", unknown))
    if variables := _variables(body, unscannable):
        turns.append(_Turn("user", variables))
    given = body.get("input")
    if isinstance(given, str):
        if given:
            turns.append(_Turn("user", [Leaf(("input",), given)]))
    elif isinstance(given, list):
        for place, item in enumerate(given):
            _take_item(item, ("input", place), turns, unscannable)
    elif given is not None:
        raise BadRequest("input", "neither a string nor a list of items")
    return turns


def _settings(body: Json, unscannable: list[Unscannable]) -> Iterator[Leaf]:
    """The tools, and the shape that is asked for: a model may read all of it."""
    tools = body.get("tools")
    if tools is not None and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise BadRequest("tools", "not a list of objects")
    if not isinstance(body.get("text"), dict | None):
        raise BadRequest("text", "not an object", 'say `{"format": {"type": "text"}}`')
    for name in ("text", "tools"):
        found = Found()
        look_value(body.get(name), (name,), found, "note")
        unscannable += [Unscannable(written(path), what) for path, what in found.opaque]
        for leaf, _ in found.slots:
            # A schema's own words, and the login of a server, which only the upstream uses.
            if leaf.path[0] == "text" and leaf.path[-1] in ("verbosity", "type"):
                continue
            if leaf.path[0] == "tools" and (leaf.path[2:3] == ("headers",) or leaf.path[2:] == ("authorization",)):
                continue
            yield leaf
    for name in ("text", "tools"):  # a single word can say something too, where its author has chosen it
        for leaf in anywhere(body.get(name), (name,), says=defines):
            chosen = leaf.is_name or leaf.path[-1] == "name"
            if chosen and machine("name", leaf.text) and leaf.path[2:3] != ("headers",):
                yield leaf


def _unknown(body: Json, unscannable: list[Unscannable]) -> list[Leaf]:
    """What this dialect does not know. Nobody knows what becomes of it: every rule for a user's words holds for it."""
    found = Found()
    for name in body:
        if name not in _APART and name not in _READ:
            look_value(body[name], (name,), found, "note")
    unscannable += [Unscannable(written(path), what) for path, what in found.opaque]
    return [leaf for leaf, _ in found.slots]


def _variables(body: Json, unscannable: list[Unscannable]) -> list[Leaf]:
    """What is filled into a template that stands upstream."""
    prompt = body.get("prompt")
    if prompt is None:
        return []
    if not isinstance(prompt, dict):
        raise BadRequest("prompt", "not an object", "say the template's `id`, and its `variables`")
    variables = prompt.get("variables")
    if not isinstance(variables, dict | None):
        raise BadRequest("prompt.variables", "not an object")
    found = Found()
    for name, value in (variables or {}).items():
        path: Path = ("prompt", "variables", name)
        if not isinstance(value, str | dict):
            raise BadRequest(written(path), "neither a string nor a content part")
        look_part(value, path, found)
    unscannable += [Unscannable(written(path), what) for path, what in found.opaque]
    return [leaf for leaf, _ in found.slots]


def _take_item(item: object, path: Path, turns: list[_Turn], unscannable: list[Unscannable]) -> None:
    """Add one item to the conversation: what the model said in a row is one turn."""
    if not isinstance(item, dict):
        raise BadRequest(written(path), "not an object", 'say `{"role": "user", "content": "..."}`')
    kind = item.get("type", "message" if "role" in item else "item_reference" if "id" in item else None)
    if not isinstance(kind, str):
        raise BadRequest(written((*path, "type")), "missing, or not a string")
    _check(item, kind, path)
    found = look(item)
    unscannable += [Unscannable(_where(path, at), what) for at, what in found.opaque]
    if kind == "message":
        role = _ROLES[item["role"]]
        leaves = [Leaf((*path, *leaf.path), leaf.text, leaf.is_name) for leaf, _ in found.slots]
        if role == "assistant":
            _own(turns).text.extend(leaves)
        elif leaves or found.opaque:
            turns.append(_Turn(role, leaves))
        return
    given: list[Leaf] = []
    call: list[Leaf] = []
    thought: list[Leaf] = []
    own = kind in _OWN or kind.endswith("_call")
    for leaf, group in found.slots:
        if leaf.path == ("name",):
            if machine("name", leaf.text):
                continue  # of a tool that was called
            group = "call"
        placed = Leaf((*path, *leaf.path), leaf.text, leaf.is_name)
        if group in ("thought", "summary"):
            thought.append(placed)
        else:
            (call if group == "call" or (own and kind == "reasoning") else given).append(placed)
    if own and (call or thought):
        turn = _own(turns)
        if call:
            turn.calls.append(call)
        turn.reasoning += thought
    if given or (found.opaque and not own):
        turns.append(_Turn("tool", given))


def _where(path: Path, at: Path) -> str:
    return written((*path, *at))


def _own(turns: list[_Turn]) -> _Turn:
    """The turn of the model that is being said."""
    if not turns or turns[-1].role != "assistant":
        turns.append(_Turn("assistant"))
    return turns[-1]


def _check(item: Mapping[str, Any], kind: str, path: Path) -> None:
    """Refuse an item of a known kind that has another shape: the upstream might read it in a way of its own."""
    where = written(path)
    if kind == "message":
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            hint = "the roles are `user`, `assistant`, `system` and `developer`"
            raise BadRequest(f"{where}.role", f"unknown role `{str(role)[:40]}`", hint)
        _check_content(item.get("content"), f"{where}.content")
    elif kind in ("function_call_output", "custom_tool_call_output"):
        _check_content(item.get("output"), f"{where}.output")
    elif kind == "reasoning":
        for name in ("summary", "content"):
            if item.get(name) is not None:
                _check_parts(item[name], f"{where}.{name}")
    for name in _STRINGS.get(kind, ()):
        if not isinstance(item.get(name), str):
            raise BadRequest(f"{where}.{name}", "missing, or not a string")


def _check_content(content: object, where: str) -> None:
    if not isinstance(content, str):
        if not isinstance(content, list):
            raise BadRequest(where, "neither a string nor a list of parts")
        _check_parts(content, where)


def _check_parts(parts: object, where: str) -> None:
    if not isinstance(parts, list):
        raise BadRequest(where, "not a list of parts")
    for place, part in enumerate(parts):
        at = f"{where}[{place}]"
        if not isinstance(part, dict):
            raise BadRequest(at, "not an object", 'say `{"type": "input_text", "text": "..."}`')
        kind = part.get("type")
        if not isinstance(kind, str):
            raise BadRequest(f"{at}.type", "missing, or not a string")
        member = "refusal" if kind == "refusal" else "text"
        known = kind in ("input_text", "output_text", "text", "refusal", "reasoning_text", "summary_text")
        if known and not isinstance(part.get(member), str):
            raise BadRequest(f"{at}.{member}", "missing, or not a string")
