"""ShareGPT conversations for LLaMA-Factory.

It takes the system message as a column of its own and drops any conversation whose turns do not alternate, so a row
like that is left out here and counted rather than lost there. Reasoning, where wanted, is inline: it reads no key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from constitution.formats.base import Options, Unfit, finished, origin, origin_type, refuse_tags, think
from constitution.row import Row, Said

NAME = "sharegpt"
ABOUT = "The same conversations for LLaMA-Factory, ShareGPT form."
HOW = """```yaml
dataset_dir: .            # dataset_info.json lies here
dataset: wardlaw_sharegpt
mask_history: true        # learn the last answer alone: earlier turns are as they came in
```"""

SPEAKERS = {"user": "human", "tool": "observation", "assistant": "gpt"}


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """One line an accepted row."""
    pair = finished(row)
    if pair is None:
        return
    final = pair[1]
    refuse_tags(final, row.rationale)
    system, said = split_system(row.prompt)
    reasoning = None if options.reasoning == "none" else row.rationale
    yield {
        "conversations": [*conversation(said), {"from": "gpt", "value": think(final, reasoning)}],
        "system": system,
        "wardlaw": origin(row),
    }


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    return pa.schema([("conversations", pa.list_(turn_type())), ("system", pa.string()), ("wardlaw", origin_type())])


def describe(file: str) -> dict[str, Any]:
    """Its entry in dataset_info.json."""
    return {"file_name": file, "formatting": "sharegpt", "columns": COLUMNS, "tags": TAGS}


COLUMNS = {"messages": "conversations", "system": "system"}
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
}


def split_system(prompt: tuple[Said, ...]) -> tuple[str, tuple[Said, ...]]:
    """The system message, empty where there is none, and the turns after it."""
    if prompt and prompt[0].role == "system":
        return prompt[0].content, prompt[1:]
    return "", prompt


def conversation(said: tuple[Said, ...]) -> list[dict[str, str]]:
    """The turns as ShareGPT has them.

    Raises:
        Unfit: they do not alternate between others and the assistant, from others to others.
    """
    if len(said) % 2 == 0 or any((turn.role == "assistant") != (at % 2 == 1) for at, turn in enumerate(said)):
        raise Unfit("the turns do not alternate")
    if any(turn.role not in SPEAKERS for turn in said):
        raise Unfit("a system message stands among the turns")
    return [{"from": SPEAKERS[turn.role], "value": turn.content} for turn in said]


def turn_type() -> Any:
    """pyarrow type of a turn."""
    import pyarrow as pa

    return pa.struct([("from", pa.string()), ("value", pa.string())])
