"""The content blocks of an answer: which channel each one's text goes through."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from guard.guarding.incoming import Unscannable
from guard.window.outcomes import Channel
from server.dialects._leaves import Json, Path, written
from server.dialects.messages.slots import Slot, files, leaves

CALLS = frozenset(("tool_use", "server_tool_use", "mcp_tool_use"))
"""Blocks that call a tool: `name` and `input`."""

RESULTS = frozenset(
    "tool_result mcp_tool_result web_search_tool_result web_fetch_tool_result code_execution_tool_result "
    "bash_code_execution_tool_result text_editor_code_execution_tool_result tool_search_tool_result "
    "advisor_tool_result".split()
)
"""Blocks in which a tool's result stands."""

OTHERS = frozenset(
    "image document search_result container_upload compaction fallback mcp_tool_listing tool_reference tool_addition "
    "tool_removal browser_state".split()
)
"""Blocks that are known and have no shape of their own here: every string in them is read."""

ASIDE = Channel("aside")
"""Everything a client can read beside text, reasoning and tool inputs: tools' names, citations, results of the
provider's own tools. One text a line, lines ended."""


@dataclass(slots=True)
class Channels:
    """Hands out the channels of an answer's blocks.

    Text blocks that follow each other directly are one text, as the API cuts a text where a citation is due; so is
    reasoning. What comes after a block of another kind has the next index.
    """

    _last: str = ""
    _next: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str) -> Channel | None:
        """The channel of the next block; None for one whose texts all go aside."""
        name = {"text": "text", "thinking": "reasoning"}.get(kind) or ("tool" if kind in CALLS else "")
        if not name:
            self._last = kind
            return None
        index = self._next.get(name, 0)
        if self._last == kind and name != "tool":
            index -= 1
        self._last = kind
        self._next[name] = index + 1
        return Channel(name, index)  # type: ignore[arg-type]  # one of the three above


@dataclass(slots=True)
class Content:
    """What stands in an answer."""

    slots: dict[Channel, list[Slot]] = field(default_factory=dict)
    unscannable: list[Unscannable] = field(default_factory=list)

    def text(self, channel: Channel) -> str:
        """The text of a channel."""
        text = joiner(channel).join(slot.text for slot in self.slots[channel])
        return text + "\n" if channel == ASIDE else text

    def texts(self) -> dict[Channel, str]:
        """All texts, empty ones left out."""
        return {channel: text for channel in self.slots if (text := self.text(channel))}

    def add(self, channel: Channel, slots: list[Slot]) -> None:
        """Note texts of a channel."""
        if slots:
            self.slots.setdefault(channel, []).extend(slots)


def joiner(channel: Channel) -> str:
    """What stands between the texts of a channel."""
    return "\n" if channel == ASIDE else ""


def read_block(block: object, path: Path, channel: Channel | None, content: Content) -> None:
    """Read one block of an answer.

    Raises:
        ValueError: it has not the shape of a block.
    """
    place = written(path)
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise ValueError(f"{place}: a block is an object with a `type`")
    kind: str = block["type"]
    if channel is None:
        if kind not in RESULTS and kind not in OTHERS and kind != "redacted_thinking":
            content.unscannable.append(Unscannable(place, kind))
        content.unscannable += files(block, path)
        content.add(ASIDE, leaves(block, path))
        return
    own = {"text": "text", "reasoning": "thinking", "tool": "input"}[channel.kind]
    if channel.kind == "tool":
        content.add(channel, [Slot((*path, own), input_text(block.get(own), place), "input")])
    else:
        text = block.get(own)
        if not isinstance(text, str):
            raise ValueError(f"{place}.{own}: no text")
        content.add(channel, [Slot((*path, own), text, "block" if own == "text" else "thinking")] if text else [])
    content.add(ASIDE, leaves({key: value for key, value in block.items() if key != own}, path))


def input_text(value: object, place: str) -> str:
    """A tool's input as JSON text.

    Raises:
        ValueError: it is no object, or one nested too deep.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{place}.input: no object")
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise ValueError(f"{place}.input: nested too deep") from None


def read_content(response: Json, path: Path = ()) -> Content:
    """Read an answer: its blocks, and whatever else of it a client could read.

    Raises:
        ValueError: it has not the shape of a message.
    """
    blocks = response.get("content")
    if not isinstance(blocks, list):
        raise ValueError(f"{written((*path, 'content'))}: no list of blocks")
    content, channels = Content(), Channels()
    for place, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, dict) else None
        at = (*path, "content", place)
        read_block(block, at, channels.of(kind) if isinstance(kind, str) else None, content)
    beside = {key: value for key, value in response.items() if key not in _ENVELOPE}
    content.add(ASIDE, leaves(beside, path))
    return content


_ENVELOPE = frozenset(
    "content usage container context_management diagnostics input_transformations service_tier".split()
)
"""Parts of a message that tell of the request's handling: numbers, dates and names from closed lists."""
