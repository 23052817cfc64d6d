"""A request's conversation: its turns in order, and the place of every text in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from guard.exchange import Message, Role
from guard.guarding.incoming import Unscannable
from guard.window.outcomes import Channel
from server.dialects._leaves import Json, Path, Tangled, without, written
from server.dialects.base import BadRequest
from server.dialects.messages.blocks import CALLS, OTHERS, RESULTS, input_text
from server.dialects.messages.slots import Slot, files, joined, leaves

TEXT, REASONING = Channel("text"), Channel("reasoning")

_ROLES: dict[object, Role] = {"user": "user", "assistant": "assistant", "system": "system"}

_READ = frozenset(("messages", "system"))
_BESIDE = frozenset(
    "model max_tokens stream temperature top_p top_k metadata stop_sequences service_tier thinking cache_control "
    "container inference_geo speed diagnostics user_profile_id workspace_id betas anthropic_version thread mcp_servers "
    "billing_policy fallback_credit_token".split()
)
"""What says how the answer is made and is no text that the model reads."""

_DEFINITIONS = frozenset("tools tool_choice output_config output_format context_management".split())
"""What the developer of an application writes for the model; all else that is not known may be anybody's."""

_WORDS = frozenset(
    "name description input_schema type properties required items enum anyOf allOf oneOf format title default "
    "additionalProperties minimum maximum minLength maxLength minItems maxItems pattern const $ref $defs examples "
    "input_examples strict cache_control schema effort defer_loading allowed_callers edits trigger value keep "
    "clear_at_least exclude_tools clear_tool_inputs pause_after_compaction instructions".split()
)
"""Keys of tool definitions, schemas and rules for compaction that everyone writes; other keys are names that the author
has chosen."""


@dataclass(slots=True)
class Turn:
    """One message as the guard sees it."""

    role: Role
    slots: dict[Channel, list[Slot]] = field(default_factory=dict)

    def add(self, channel: Channel, slots: list[Slot]) -> None:
        """Note texts."""
        if slots:
            self.slots.setdefault(channel, []).extend(slots)

    def message(self) -> Message:
        """The turn as a message."""
        parts = self.slots
        if parts.keys() <= {TEXT}:
            return Message(self.role, joined(parts[TEXT], "\n") if parts else "")
        return Message(
            self.role,
            joined(parts[TEXT], "\n") if TEXT in parts else "",
            reasoning=joined(parts[REASONING], "\n") if REASONING in parts else None,
            tool_calls=tuple(slots[0].text for channel, slots in parts.items() if channel.kind == "tool"),
        )


class Turns:
    """Reads a request."""

    def __init__(self, body: Json) -> None:
        """Read it.

        Raises:
            BadRequest: something in it cannot be read.
        """
        self.turns: list[Turn] = []
        self.unscannable: list[Unscannable] = []
        try:
            self._read(body)
        except Tangled as error:
            raise BadRequest(error.where, error.what, "leave out what the model does not need") from None

    def _read(self, body: Json) -> None:
        if "stream" in body and not isinstance(body["stream"], bool):
            raise BadRequest("stream", "neither true nor false")
        self._system(body)
        self._definitions(body)
        self._beside(body)
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise BadRequest("messages", "no list", 'write `"messages": [{"role": "user", "content": "..."}]`')
        for place, message in enumerate(messages):
            self._message(message, ("messages", place))

    def _system(self, body: Json) -> None:
        system = body.get("system")
        if system is None:
            return
        turn = Turn("system")
        if isinstance(system, str):
            turn.add(TEXT, [Slot(("system",), system)])
        elif isinstance(system, list):
            for place, block in enumerate(system):
                self._block(turn, block, ("system", place))
        else:
            _bad(("system",), "neither a string nor a list of text blocks")
        self.turns.append(turn)

    def _definitions(self, body: Json) -> None:
        """Everything else in a request that may be a text and reach the model: definitions of tools, the schema of the
        answer, and fields that are not known."""
        tools = body.get("tools")
        if tools is not None and not isinstance(tools, list):
            _bad(("tools",), "no list")
        for place, tool in enumerate(tools or ()):
            if not isinstance(tool, dict):
                _bad(("tools", place), "no object")
        slots: list[Slot] = []
        unknown: list[Slot] = []
        for key, value in body.items():
            if key not in _READ and key not in _BESIDE:
                found = slots if key in _DEFINITIONS else unknown
                found += leaves(value, (key,), says=_chosen)
                self.unscannable += files(value, (key,))
        if slots:
            self.turns.append(Turn("system", {TEXT: slots}))
        if unknown:  # nobody knows what becomes of it: every rule for a user's words holds for it
            self.turns.append(Turn("user", {TEXT: unknown}))

    def _beside(self, body: Json) -> None:
        """What the provider adds to the conversation without our seeing it."""
        thread = body.get("thread")
        if isinstance(thread, dict) and thread.get("previous_message_id") is not None:
            self.unscannable.append(Unscannable("thread", "thread"))
        container = body.get("container")
        skills = container.get("skills") if isinstance(container, dict) else None
        for place, skill in enumerate(skills if isinstance(skills, list) else ()):
            if not (isinstance(skill, dict) and skill.get("type") == "anthropic"):
                self.unscannable.append(Unscannable(f"container.skills[{place}]", "skill"))

    def _message(self, message: object, path: Path) -> None:
        if not isinstance(message, dict):
            _bad(path, "no object", 'write `{"role": "user", "content": "..."}`')
        role = _ROLES.get(message.get("role")) if isinstance(message.get("role"), str) else None
        if role is None:
            _bad((*path, "role"), "not one of `user`, `assistant`, `system`", "tool results go into a `user` turn")
        content = message.get("content")
        at = (*path, "content")
        turn, begin = Turn(role), len(self.turns)
        self.turns.append(turn)
        if isinstance(content, str):
            turn.add(TEXT, [Slot(at, content)])
        elif isinstance(content, list):
            for place, block in enumerate(content):
                turn = self._block(turn, block, (*at, place))
        elif content is not None or role != "system":
            _bad(at, "neither a string nor a list of blocks")
        if len(message) > 2:
            self.turns[begin].add(TEXT, leaves(without(message, "role", "content"), path))
        # A turn of images alone is still a turn; what is left empty between two results is none.
        said = [turn for turn in self.turns[begin:] if turn.slots]
        self.turns[begin:] = said or [self.turns[begin]]

    def _block(self, turn: Turn, block: object, path: Path) -> Turn:
        """Read a block; what comes after it belongs to the turn that is returned."""
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(block, dict) or not isinstance(kind, str):
            _bad(path, "no block with a `type`", 'write `{"type": "text", "text": "..."}`')
        if kind == "text":
            turn.add(TEXT, [Slot((*path, "text"), _string(block, "text", path), "block")])
            if len(block) > 2:
                turn.add(TEXT, leaves(without(block, "text"), path))
        elif kind == "thinking" and turn.role == "assistant":
            turn.add(REASONING, [Slot((*path, "thinking"), _string(block, "thinking", path), "thinking")])
            turn.add(TEXT, leaves(without(block, "thinking"), path))
        elif kind in CALLS and turn.role == "assistant":
            self._call(turn, block, path)
        elif kind in RESULTS:
            return self._result(turn, block, path)
        elif kind != "redacted_thinking":  # encrypted: what is in it only the provider can write and read
            if kind not in OTHERS and kind not in CALLS and kind != "thinking":
                self.unscannable.append(Unscannable(written(path), kind))
            self.unscannable += files(block, path)
            turn.add(TEXT, leaves(block, path))
        return turn

    def _call(self, turn: Turn, block: Json, path: Path) -> None:
        name = _string(block, "name", path)
        try:
            text = input_text(block.get("input"), written(path))
        except ValueError as error:
            place, _, what = str(error).partition(": ")
            raise BadRequest(place, what, "write the tool's input as an object") from None
        index = sum(channel.kind == "tool" for channel in turn.slots)
        turn.add(Channel("tool", index), [Slot((*path, "input"), text, "input")])
        if not name.replace("-", "_").isidentifier():  # `get_weather` says nothing; a sentence in its place would
            turn.add(TEXT, [Slot((*path, "name"), name)])
        turn.add(TEXT, leaves(without(block, "name", "input"), path))

    def _result(self, turn: Turn, block: Json, path: Path) -> Turn:
        role = turn.role
        if turn.slots:
            turn = Turn("tool")
            self.turns.append(turn)
        else:
            turn.role = "tool"
        content = block.get("content")
        at = (*path, "content")
        if isinstance(content, str):
            turn.add(TEXT, [Slot(at, content)])
        elif isinstance(content, list) and block["type"] in ("tool_result", "mcp_tool_result"):
            for place, inner in enumerate(content):
                if isinstance(inner, dict) and inner.get("type") in RESULTS:
                    _bad((*at, place), "a result within a result")
                self._block(turn, inner, (*at, place))
        elif isinstance(content, list | dict):
            self.unscannable += files(content, at)
            turn.add(TEXT, leaves(content, at))
        elif content is not None:
            _bad(at, "neither a string nor a list of blocks")
        turn.add(TEXT, leaves(without(block, "content"), path))
        if not turn.slots:
            turn.add(TEXT, [Slot(at, "")])
        after = Turn(role)
        self.turns.append(after)
        return after


def _string(block: Json, key: str, path: Path) -> str:
    text = block.get(key)
    if not isinstance(text, str):
        _bad((*path, key), "no string")
    return text


def _chosen(name: str) -> bool:
    return name not in _WORDS


def _bad(path: Path, what: str, hint: str = "") -> NoReturn:
    raise BadRequest(written(path), what, hint)
